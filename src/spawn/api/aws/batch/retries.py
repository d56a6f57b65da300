"""Retry strategies and timeouts as AWS Batch writes them: read from requests, and shown in answers (spec 2.7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from spawn.domain.retries import Action, ExitRule, RetryStrategy
from spawn.domain.submission_rules import check_timeout


def read_retry_strategy(members: Mapping[str, Any]) -> RetryStrategy:
    """The strategy of a `retryStrategy`; one without `attempts` is refused in AWS's words."""
    rules = tuple(
        ExitRule(
            action=Action.parse(rule["action"]),
            on_exit_code=rule.get("onExitCode"),
            on_reason=rule.get("onReason"),
            on_status_reason=rule.get("onStatusReason"),
        )
        for rule in members.get("evaluateOnExit", ())
    )
    return RetryStrategy.for_batch(attempts=members.get("attempts"), rules=rules)


def show_retry_strategy(strategy: RetryStrategy) -> dict[str, object]:
    """The `retryStrategy` of an answer; actions are in lower case, as AWS gives them back."""
    return {"attempts": strategy.attempts, "evaluateOnExit": [_show_rule(rule) for rule in strategy.rules]}


def _show_rule(rule: ExitRule) -> dict[str, object]:
    members = {"onStatusReason": rule.on_status_reason, "onReason": rule.on_reason, "onExitCode": rule.on_exit_code, "action": rule.action.value}
    return {name: value for name, value in members.items() if value is not None}


def read_timeout(members: Mapping[str, Any] | None) -> timedelta | None:
    """The time that a `timeout` allows an attempt; None when it states none. Less than a minute is refused."""
    seconds = None if members is None else members.get("attemptDurationSeconds")
    return None if seconds is None else check_timeout(seconds)


def show_timeout(timeout: timedelta | None) -> dict[str, object] | None:
    """The `timeout` of an answer; None: there is none."""
    return None if timeout is None else {"attemptDurationSeconds": int(timeout.total_seconds())}
