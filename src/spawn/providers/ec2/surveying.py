"""What the bucket tells of an array: every record that its instances left, read anew (docs/wire-ec2.md, "Objects")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from spawn.domain.errors import ConfigurationError, NotFound
from spawn.domain.ids import JobId
from spawn.domain.jobs import Job
from spawn.providers.ec2.asking import patiently, read_object
from spawn.providers.ec2.stored import decode_job

WIRE: Final = 1
_AT_ONCE: Final = 24
_RECORD = re.compile(r"(\d{1,10})/(\d{1,3})/(claim|started|completed|outcome)\.json")
_INSTANCE = re.compile(r"instances/(i-[0-9a-f]+)\.json")
_HEAP = re.compile(r"(.*/\d+/\d+/(?:log|output))/")

T = TypeVar("T")
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
"""Since the epoch. Every number that an instance writes has bounds: what no clock and no kernel can have said is not understood."""
Small = Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 32)]
Spent = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """`claim.json` and `started.json`: which instance took the attempt, or began it, and when."""

    instance_id: str
    at: Seconds


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """`completed.json`: what the script said with `spored complete`."""

    at: Seconds
    status: str
    message: str | None = None
    instance_id: str = ""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """`outcome.json`: how the attempt ended."""

    instance_id: str
    started_at: Seconds | None
    ended_at: Seconds
    end: Literal["ended", "refused", "lost", "dropped"]
    code: Small | None = None
    signal: Small | None = None
    why: str | None = None
    reason: str | None = None
    completed: Completed | None = None
    user: Spent | None = None
    system: Spent | None = None
    maxrss: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)] | None = None
    truncated: bool = False
    outputs_failed: tuple[str, ...] = ()

    @property
    def incomplete(self) -> str | None:
        """What of its log and outputs is not in the bucket, in a sentence; None: nothing is missing."""
        lacks = ["the end of its log"] if self.truncated else []
        if count := len(self.outputs_failed):
            named = ", ".join(repr(path[:60])[1:-1] for path in self.outputs_failed[:3]) + (", …" if count > 3 else "")
            lacks.append(f"{count} output{'s' if count > 1 else ''} ({named})")
        return f"not all that it left could be kept: {' and '.join(lacks)} missing" if lacks else None


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """`instances/ID.json`: the last word of an instance's agent."""

    instance_id: str
    at: Seconds
    launch_index: int = 0
    token: str = ""
    booted_at: Seconds | None = None
    ends_at: Seconds | None = None
    ending: str | None = None
    unsent: str | None = None
    interrupted_at: Seconds | None = None


@dataclass(slots=True, kw_only=True)
class Traces:
    """What one attempt left. `unreadable`: there is an outcome, but not one that can be understood."""

    claim: Claim | None = None
    started: Claim | None = None
    completed: Completed | None = None
    outcome: Ending | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Everything that the bucket tells of an array."""

    job: Job
    attempts: Mapping[tuple[int, int], Traces] = field(default_factory=dict)  #: by index and attempt
    heard: Mapping[str, Heard] = field(default_factory=dict)  #: by instance id


class _Document(msgspec.Struct):
    wire: int
    job: msgspec.Raw
    max_concurrent: int | None = None


class Described(NamedTuple):
    """What array.json tells."""

    job: Job
    max_concurrent: int | None


_KINDS: Final[dict[str, Any]] = {"claim": Claim, "started": Claim, "completed": Completed, "outcome": Ending}


def survey(s3: Any, bucket: str, job: Job) -> Survey:
    """Read an array from its bucket, with a listing and a reading of each attempt's last record."""
    prefix = f"arrays/{job.id}/"
    attempts: dict[tuple[int, int], dict[str, str]] = {}
    instances: list[str] = []
    for key in _keys(s3, bucket, prefix):
        name = key[len(prefix) :]
        if match := _RECORD.fullmatch(name):
            attempts.setdefault((int(match[1]), int(match[2])), {})[match[3]] = key
        elif _INSTANCE.fullmatch(name):
            instances.append(key)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="survey") as pool:
        read = partial(_read, s3, bucket)
        traces = dict(zip(attempts, pool.map(lambda names: _traces(names, read), attempts.values()), strict=True))
        heard = [one for one in pool.map(lambda key: read(key, Heard), instances) if one is not None]
    return Survey(job=job, attempts=traces, heard={one.instance_id: one for one in heard})


def read_job(s3: Any, bucket: str, array: JobId) -> Described:
    """An array's job and cap, from its array.json. NotFound when it is not there, ConfigurationError when it cannot be understood."""
    where = f"s3://{bucket}/arrays/{array}/array.json"
    try:
        content = read_object(s3, bucket, f"arrays/{array}/array.json", action=f"read {where}")
    except NotFound as missing:
        raise NotFound(f"there is no array '{array}' in the bucket {bucket}: name another one with --bucket, or its region with --region") from missing
    try:
        document = msgspec.json.decode(content, type=_Document)
        if document.wire != WIRE:
            raise ConfigurationError(f"{where} speaks wire {document.wire}, and this version {WIRE}: use the spawn that launched it")
        job = decode_job(bytes(document.job))
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{where} is not understood ({error}): use the spawn that launched it") from error
    if job.id != array or job.fleet is None:
        raise ConfigurationError(f"{where} is not of the array {array} on EC2: somebody has put it there")
    return Described(job, document.max_concurrent)


def _keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Every key below a prefix, but for heaps of logs and outputs that would fill pages of their own: those are stepped over."""
    after = prefix
    while True:
        page = patiently(partial(s3.list_objects_v2, Bucket=bucket, Prefix=prefix, StartAfter=after), action=f"list s3://{bucket}/{prefix}")
        keys = [entry["Key"] for entry in page.get("Contents", ())]
        yield from keys
        if not page.get("IsTruncated") or not keys:
            return
        heap = _HEAP.match(keys[-1])
        after = f"{heap[1]}0" if heap else keys[-1]  # 0 comes right after / in the order of keys


def _read(s3: Any, bucket: str, key: str, kind: type[T]) -> T | None:
    """An object of the instances; None when it is gone or not understood."""
    try:
        return msgspec.json.decode(read_object(s3, bucket, key, action=f"read s3://{bucket}/{key}"), type=kind)
    except (NotFound, msgspec.MsgspecError):
        return None


def _traces(names: Mapping[str, str], read: Callable[[str, type[Any]], Any]) -> Traces:
    """What one attempt left; after its outcome nothing else counts."""
    if "outcome" in names:
        outcome = read(names["outcome"], Ending)
        if outcome is not None:
            return Traces(outcome=outcome)
    found = {name: read(key, _KINDS[name]) for name, key in names.items() if name != "outcome"}
    return Traces(unreadable="outcome" in names, **found)
