"""The types of flags: what the domain reads, refused in click's way. The domain is imported when a value is read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from spawn.config import did_you_mean
from spawn.domain.errors import InvalidField, UsageError

STATES: Final = ("pending", "running", "stopping", "stopped", "shutting-down", "terminated")
STATUSES: Final = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PARAMETER = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# those that tell a run who it is, in our words and in those of others, and where it is
_OWN_VARIABLE = re.compile(
    r"TASK_ARRAY_.*|TASK_ATTEMPT|TASK_OUTPUT_DIR|SPAWN_(ATTEMPT_ID|RUNNER|DETACHED)|AWS_BATCH_(JOB_.*|JQ_NAME|CE_NAME)|"
    r"SLURM_ARRAY_.*|JOB_COMPLETION_INDEX|BATCH_TASK_(INDEX|COUNT)|JOB_ARRAY_(INDEX|SIZE|ID|NAME)|PWD|OLDPWD"
)


_A_BUCKET: Final = (
    r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*\.\.)(?![0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$)"
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?<!-s3alias)(?<!--ol-s3)(?<!\.mrap)(?<!--x-s3)(?<!--table-s3)"
)
"""S3's rules for names of general purpose buckets, the beginnings and ends that it keeps for itself left out."""


class Read(click.ParamType[Any]):
    """A value read by a function; what it refuses (UsageError) becomes a refusal of the flag."""

    def __init__(self, name: str, reader: Callable[[str], Any]) -> None:
        self.name = name
        self._reader = reader

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value, read; what is no text has been read already."""
        if not isinstance(value, str):
            return value
        try:
            return self._reader(value)
        except InvalidField as refused:
            self.fail(refused.problem, param, ctx)
        except UsageError as refused:
            self.fail(str(refused), param, ctx)


class OneOf(click.ParamType[str]):
    """One of a few words, in any case; the refusal names the value and what would do."""

    def __init__(self, name: str, choices: Sequence[str]) -> None:
        self.name = name
        self._choices = {choice.lower(): choice for choice in choices}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word as it is written in `choices`."""
        found = self._choices.get(str(value).lower())
        if found is None:
            from difflib import get_close_matches

            near = get_close_matches(str(value).lower(), self._choices, n=1)
            guess = f"; did you mean '{self._choices[near[0]]}'?" if near else ""
            self.fail(f"unknown {self.name} '{value}'{guess} (one of {', '.join(self._choices.values())})", param, ctx)
        return found

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """All the words."""
        del param, ctx
        return "|".join(self._choices.values())

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words that begin so."""
        del ctx, param
        return [CompletionItem(choice) for lower, choice in self._choices.items() if lower.startswith(incomplete.lower())]


def _seconds(text: str) -> float:
    from spawn.domain.durations import parse_duration

    return parse_duration(text, field="duration").total_seconds()


def _array(text: str) -> str:
    from spawn.domain.indexes import IndexSet

    IndexSet.parse(text)
    return text


def read_selection(text: str) -> str:
    """A set of indexes or a state word, as it is; UsageError when it is neither."""
    from spawn.domain.indexes import STATE_WORDS, IndexSet

    if text.startswith("@"):
        if text not in STATE_WORDS:
            raise UsageError(f"unknown state word '{text}'{did_you_mean(text, sorted(STATE_WORDS))}")
        return text
    IndexSet.selection(text)
    return text


def _cpus(text: str) -> float:
    from spawn.domain.quantities import parse_cpus

    return parse_cpus(text) / 1000


def _memory(text: str) -> int:
    from spawn.domain.quantities import parse_memory

    return parse_memory(text)


def _share(text: str) -> str:
    from spawn.domain.quantities import parse_share

    return str(parse_share(text))


def _retry_rule(text: str) -> str:
    from spawn.domain.retries import parse_retry_rule

    parse_retry_rule(text)
    return text


def _depends_on(text: str) -> str:
    from spawn.domain.dependencies import parse_depends_on

    parse_depends_on(text)
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise UsageError(f"'{text[:60]}' is not a name: up to 128 letters, digits, '-' and '_'")
    if text == "last" or text.startswith("i-"):
        meaning = "the newest array" if text == "last" else "an instance"
        raise UsageError(f"'{text[:60]}' always means {meaning}: give another name")
    return text


def _whole(low: int, what: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        digits = text.strip().replace("_", "")
        if not digits.isdecimal() or int(digits) < low:
            raise UsageError(f"'{text[:60]}' is not {what}: write a whole number from {low}")
        return int(digits)

    return read


def _limit(text: str) -> int | str:
    return text if text == "none" else _whole(1, "a limit (or `none`)")(text)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"'{text[:60]}' is not KEY=VALUE")
    return key, value


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not _PARAMETER.fullmatch(name):
        raise UsageError(f"'{text[:60]}' is no parameter: write NAME=VALUE, the name of letters, digits, '-' and '_'")
    return name, value


def _variable(text: str) -> tuple[str, str]:
    """`K=V`, or `K`: its value here."""
    name, equals, value = text.partition("=")
    if not _VARIABLE.fullmatch(name):
        raise UsageError(f"'{name[:60]}' is not the name of a variable: write NAME=VALUE, or NAME to pass on this shell's")
    if not equals:
        if name not in os.environ:
            raise UsageError(f"{name} is not set here: write {name}=VALUE")
        value = os.environ[name]
    if _OWN_VARIABLE.fullmatch(name):
        raise UsageError(f"{name} is a variable that spawn sets itself: give yours another name")
    return name, value


class Directory(click.ParamType[str]):
    """Where to run: a directory that is there, or for another machine (`spawn.provider` of the context) one by its absolute path."""

    name = "dir"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The absolute path."""
        here = ctx is None or ctx.meta.get("spawn.provider", "local") == "local"
        try:
            return _directory(value) if here else _directory_elsewhere(value)
        except UsageError as refused:
            self.fail(str(refused), param, ctx)


def _directory_elsewhere(text: str) -> str:
    if not text.startswith("/"):
        raise UsageError(f"'{text[:60]}' is not an absolute path: it is a directory of the instance, such as /home/ec2-user")
    return text


def _directory(text: str) -> str:
    if not text:
        raise UsageError("'' is not a directory: write `.` for this one")
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.isdir(path):
        raise UsageError(f"{path} is {'not a directory' if os.path.exists(path) else 'not there'}")
    return path


def _dollars(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) else None


def _price(text: str) -> float:
    price = _dollars(text)
    if not price:
        raise UsageError(f"'{text[:60]}' is not a price: write dollars an hour, such as 0.15")
    return price


def _amount(text: str) -> float:
    amount = _dollars(text.removeprefix("$"))
    if amount is None:
        raise UsageError(f"'{text[:60]}' is not an amount: write US dollars, such as 20 or 2.50")
    return amount


class Several(click.ParamType[tuple[str, ...]]):
    """One or more values with commas between them."""

    def __init__(self, kind: Read) -> None:
        self.name = f"{kind.name}[,...]"
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Each of them, read."""
        return tuple(self._kind.convert(part, param, ctx) for part in value.split(",")) if isinstance(value, str) else value


def shaped(name: str, pattern: str, example: str) -> Read:
    """A text of a certain shape, such as an instance type."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise UsageError(f"'{text[:60]}' is not {name}: write one such as {example}")
        return text

    return Read(name.rsplit(maxsplit=1)[-1], read)


DURATION: Final = Read("duration", _seconds)
ARRAY: Final = Read("set", _array)
SELECTION: Final = Read("set", read_selection)
CPUS: Final = Read("number", _cpus)
MEMORY: Final = Read("size", _memory)
SHARE: Final = Read("n|p%", _share)
RETRY_RULE: Final = Read("rule", _retry_rule)
DEPENDS_ON: Final = Read("id[:N_TO_N]", _depends_on)
NAME: Final = Read("name", _name)
COUNT: Final = Read("n", _whole(0, "a number"))
POSITIVE: Final = Read("n", _whole(1, "a number"))
LIMIT: Final = Read("k|none", _limit)
TAG: Final = Read("k=v", _pair)
VARIABLE: Final = Read("k[=v]", _variable)
PARAMETER: Final = Read("name=value", _parameter)
DIRECTORY: Final = Directory()
PRICE: Final = Read("price", _price)
DOLLARS: Final = Read("usd", _amount)
STATE: Final = OneOf("state", STATES)
STATUS: Final = OneOf("status", STATUSES)
ON_COMPLETE: Final = OneOf("choice", ("terminate", "stop", "hibernate", "none"))
PROVIDER: Final = OneOf("provider", ("local", "ec2", "slurm", "awsbatch"))
DISTRIBUTE: Final = OneOf("way to distribute", ("static", "dynamic"))
INSTANCE_TYPE: Final = shaped("an instance type", r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "t3.micro")
AMI: Final = shaped("an image id", r"ami-[0-9A-Za-z-]+", "ami-0abc1234")
REGION: Final = shaped("a region", r"[a-z]{2,}(-[a-z]+)+-[0-9]+", "us-east-1")
IAM_POLICY: Final = shaped("a policy", r"arn:[^\s]+|[a-z0-9-]+:[A-Za-z0-9*]+", "s3:FullAccess")
KEY_NAME: Final = shaped("a key name", r"[\x20-\x7e]{1,255}", "my-key")
SUBNET: Final = shaped("a subnet id", r"subnet-[0-9A-Za-z-]+", "subnet-0abc1234")
SECURITY_GROUP: Final = shaped("a security group id", r"sg-[0-9A-Za-z-]+", "sg-0abc1234")
PROFILE: Final = shaped("an instance profile", r"[\w+=,.@-]{1,128}", "my-profile")
BUCKET: Final = shaped("a name that a bucket can have", _A_BUCKET, "my-bucket")
