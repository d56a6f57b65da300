"""Retry strategies: whether a failed attempt is followed by another one (spec 2.7, AWS Batch `retryStrategy` and `evaluateOnExit`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from spawn.domain.errors import InvalidField, UsageError
from spawn.domain.ids import MAX_ATTEMPTS
from spawn.domain.outcomes import Outcome, OutcomeKind

BATCH_MAX_ATTEMPTS: Final = 10
"""Most attempts that AWS Batch takes."""

MAX_RULES: Final = 5
"""Most exit rules of a strategy (AWS Batch, `evaluateOnExit`)."""

MAX_PATTERN: Final = 512
"""Most characters of a rule's pattern."""

NEVER_RETRIED: Final = frozenset({OutcomeKind.SUCCEEDED, OutcomeKind.STOPPED, OutcomeKind.TIMED_OUT, OutcomeKind.EXPIRED})
"""Outcomes that no rule retries: the user, the timeout or the TTL ended the attempt, and would again."""

_EXIT_CODE = re.compile(r"[0-9]+\*?|\*")
_TEXT = re.compile(r"[A-Za-z0-9.:\s]+\*?|\*", re.ASCII)
_RULES = "write exit:137, exit:1*, reason:OutOfMemory*, status:Host EC2*, or oom, lost, any"


class Action(Enum):
    """What an exit rule does; AWS Batch stores and returns the lower case."""

    RETRY = "retry"  #: another attempt, while there are any left
    EXIT = "exit"  #: the job has failed

    @classmethod
    def parse(cls, text: str, *, field: str = "evaluateOnExit.action") -> Action:
        """Read RETRY or EXIT in any case; InvalidField else."""
        if text.lower() not in ("retry", "exit"):
            raise InvalidField(field, f"'{text[:60]}' is not an action: RETRY or EXIT")
        return cls(text.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRule:
    """A rule on how an attempt ended; it matches when all the conditions it has match, and it has at least one.

    A pattern is plain text, or the beginning of a text and `*`; `*` alone matches also what is absent. Case counts. Exit codes are
    digits; reasons are letters, digits, `.`, `:` and white space, up to 512 characters. InvalidField else.
    """

    action: Action
    on_exit_code: str | None = None  #: against the decimal exit code
    on_reason: str | None = None  #: against the container's reason, which a plain exit does not have
    on_status_reason: str | None = None  #: against why the attempt ended

    def __post_init__(self) -> None:
        if self.on_exit_code is None and self.on_reason is None and self.on_status_reason is None:
            raise InvalidField("evaluateOnExit", "a rule needs onExitCode, onReason or onStatusReason")
        _check_pattern("onExitCode", self.on_exit_code, _EXIT_CODE, "digits")
        _check_pattern("onReason", self.on_reason, _TEXT, "letters, digits, '.', ':' and spaces")
        _check_pattern("onStatusReason", self.on_status_reason, _TEXT, "letters, digits, '.', ':' and spaces")

    def matches(self, outcome: Outcome) -> bool:
        """Whether every condition of the rule holds for this outcome."""
        code = None if outcome.exit_code is None else str(outcome.exit_code)
        return _matches(self.on_exit_code, code) and _matches(self.on_reason, outcome.reason) and _matches(self.on_status_reason, outcome.status_reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryStrategy:
    """How many attempts a child has (1 to 255), and which ends of an attempt use another one. Every child has all of them."""

    attempts: int = 1
    rules: tuple[ExitRule, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= MAX_ATTEMPTS:
            raise InvalidField("retryStrategy.attempts", f"{self.attempts} is not between 1 and {MAX_ATTEMPTS}")
        if len(self.rules) > MAX_RULES:
            raise InvalidField("evaluateOnExit", f"{len(self.rules)} rules are more than the {MAX_RULES} allowed")

    @classmethod
    def for_batch(cls, *, attempts: int | None, rules: tuple[ExitRule, ...] = ()) -> RetryStrategy:
        """A strategy as AWS Batch takes it: `attempts` is required, and is 1 to 10."""
        if attempts is None:
            raise UsageError("Error executing request, Exception : RetryAttempts must be provided with retry strategy")
        if not 1 <= attempts <= BATCH_MAX_ATTEMPTS:
            raise InvalidField("retryStrategy.attempts", f"{attempts} is not between 1 and {BATCH_MAX_ATTEMPTS}")
        return cls(attempts=attempts, rules=rules)

    @classmethod
    def for_launch(cls, *, retries: int, rules: tuple[ExitRule, ...] = ()) -> RetryStrategy:
        """A strategy of `retries` more attempts after the first (`--retries`). With rules (`--retry-on`), only what matches is retried.

        At most four rules: the fifth says that the rest is not retried. Rules without retries would do nothing and are refused.
        """
        if not 0 <= retries < MAX_ATTEMPTS:
            raise InvalidField("--retries", f"{retries} is not between 0 and {MAX_ATTEMPTS - 1}")
        if not rules:
            return cls(attempts=retries + 1)
        if retries == 0:
            raise InvalidField("--retry-on", "it does nothing without retries: add --retries, such as --retries 2")
        if len(rules) >= MAX_RULES:
            raise InvalidField("--retry-on", f"{len(rules)} rules are more than the {MAX_RULES - 1} allowed")
        return cls(attempts=retries + 1, rules=(*rules, ExitRule(action=Action.EXIT, on_reason="*")))

    def decide(self, outcome: Outcome, *, made: int) -> bool:
        """Whether another attempt follows, after `made` attempts in this round, the ended one among them.

        Never after a success, a termination, a timeout or a TTL, and never when all attempts are used. Else the first rule that
        matches decides; without one it is retried. A lost attempt goes by the same rules, as `Host EC2 (instance i-...) terminated.`
        """
        if outcome.kind in NEVER_RETRIED or made >= self.attempts:
            return False
        for rule in self.rules:
            if rule.matches(outcome):
                return rule.action is Action.RETRY
        return True


def parse_retry_rule(text: str, *, field: str = "--retry-on") -> ExitRule:
    """Read a rule that retries: `exit:137`, `exit:1*`, `reason:OutOfMemory*`, `status:Host EC2*`, or `oom`, `lost`, `any`."""
    text = text.strip()
    if text in _SHORTHANDS:
        return _SHORTHANDS[text]
    kind, colon, pattern = text.partition(":")
    if not colon or kind not in ("exit", "reason", "status"):
        raise InvalidField(field, f"'{text[:60]}' is not a retry rule: {_RULES}")
    try:
        if kind == "exit":
            return ExitRule(action=Action.RETRY, on_exit_code=pattern)
        if kind == "reason":
            return ExitRule(action=Action.RETRY, on_reason=pattern)
        return ExitRule(action=Action.RETRY, on_status_reason=pattern)
    except InvalidField as error:
        raise InvalidField(field, f"'{text[:60]}': {error.problem}") from error


def _check_pattern(name: str, pattern: str | None, allowed: re.Pattern[str], words: str) -> None:
    if pattern is not None and (len(pattern) > MAX_PATTERN or not allowed.fullmatch(pattern)):
        raise InvalidField(f"evaluateOnExit.{name}", f"'{pattern[:60]}' is not a pattern: up to {MAX_PATTERN} {words}, and '*' only at the end")


def _matches(pattern: str | None, text: str | None) -> bool:
    if pattern is None or pattern == "*":
        return True
    if text is None:
        return False
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


_SHORTHANDS: Final = {
    "oom": ExitRule(action=Action.RETRY, on_reason="OutOfMemoryError*"),
    "lost": ExitRule(action=Action.RETRY, on_status_reason="Host EC2*"),
    "any": ExitRule(action=Action.RETRY, on_reason="*"),
}
