"""What one round of work has at hand, and what is remembered from one round to the next without being written down."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.errors import SpawnError
from spawn.domain.fleets import Fleet
from spawn.domain.hindrances import Because, Hindrance
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.pacing import Bucket, Rate, pause_ms
from spawn.engine.fleets import Access
from spawn.providers.ec2.clients import Clients, Kind, classify, code_of, translate
from spawn.providers.ec2.failures import is_denial_code, said_by_engine
from spawn.providers.ec2.ledger import Ledger
from spawn.providers.ec2.preparing import Prepared
from spawn.providers.ec2.stored import decode_job

T = TypeVar("T")
Subject = tuple[str, ...]
"""What a pause is about, such as `("offer", REGION, ZONE, TYPE, MARKET)`."""

FAILURES: Final = (BotoCoreError, ClientError, SpawnError)
"""What a call to AWS may raise without any bug of ours."""

_NEVER: Final = Instant(0)
LOOK_SOON_S: Final = 5.0
LOOK_LATE_S: Final = 30.0
PARTS_A_SECOND: Final = 300
FRESH_S: Final = 900.0
"""So long what is in user data counts as good to boot with: URLs live no longer than the credentials that signed them, whatever they say."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a call did not do what it was to do."""

    kind: Kind
    code: str
    sentence: str

    @classmethod
    def of(cls, error: BaseException, action: str) -> Refusal:
        """What an error of botocore, or one of ours that was made of it, means."""
        cause = error.__cause__ if isinstance(error, SpawnError) and error.__cause__ is not None else error
        return cls(kind=classify(cause), code=code_of(cause), sentence=said_by_engine(str(translate(error, action=action))))

    @property
    def is_denial(self) -> bool:
        """Whether somebody may lift it by giving a permission."""
        return is_denial_code(self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Not before an instant, why, and after how many failures in a row."""

    until: Instant
    why: Hindrance
    failures: int
    since: Instant


class Crew:
    """Does several calls at once, at most `size`; with 0 one after another in the caller's thread, in their order."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="ec2") if size else None

    def all(self, calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
        """What each call answered, or what it raised of `FAILURES`; in the order of the calls."""
        if self._pool is None or len(calls) < 2:
            return [_tried(call) for call in calls]
        return list(self._pool.map(_tried, calls))

    def close(self) -> None:
        """Let go of the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _tried(call: Callable[[], T]) -> T | Exception:
    try:
        return call()
    except FAILURES as error:
        return error


@dataclass(slots=True, kw_only=True)
class Memory:
    """Lost with the process, at the price of a call too many."""

    make_clients: Callable[[Access], Clients]
    prepare: Callable[[Clients, Job], Prepared]
    dissolve: Callable[[Clients, Job], None]
    chance: Callable[[], float]
    look_soon_s: float = LOOK_SOON_S
    buckets: dict[tuple[str, str, str], Bucket] = field(default_factory=dict)
    holds: dict[Subject, Hold] = field(default_factory=dict)
    polled: dict[Subject, Instant] = field(default_factory=dict)  #: when each was last looked at
    stirred_at: Instant = _NEVER  #: when something last happened that is likely to be followed by more
    _clients: dict[str, Clients] = field(default_factory=dict)

    def clients(self, access: str) -> Clients:
        """The clients of an access, as it stands in the ledger."""
        made = self._clients.get(access)
        if made is None:
            made = self._clients[access] = self.make_clients(json.loads(access))
        return made

    def forget_clients(self, access: str) -> None:
        """Read the credentials anew the next time."""
        self._clients.pop(access, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """An array as the ledger has it."""

    job: Job
    account: str
    access: str
    admitted: int
    forgotten: bool
    prepared: dict[str, Any] | None  #: what was made for it; empty: something may have been
    launches: int
    queue: str | None
    max_concurrent: int | None
    limit_due: bool

    @property
    def key(self) -> ArrayKey:
        """Its key."""
        return self.job.key

    @property
    def fleet(self) -> Fleet:
        """What it asks of EC2."""
        assert self.job.fleet is not None
        return self.job.fleet

    @property
    def prefix(self) -> str:
        """Where its objects are in the bucket."""
        return f"arrays/{self.job.id}/"

    @property
    def is_pool(self) -> bool:
        """Whether its instances take attempts from a queue."""
        return self.fleet.options.shared and self.fleet.options.distribute.value == "dynamic"


@dataclass(slots=True, kw_only=True)
class Turn:
    """One round: the same ledger, answers, time and chance give the same deeds. `next_at` is when the next one is wanted."""

    ledger: Ledger
    memory: Memory
    crew: Crew
    now: Instant
    next_at: Instant | None = None
    reasons: dict[str, Counter[Hindrance]] = field(default_factory=dict)

    def say(self, key: str, why: Hindrance, count: int) -> None:
        """Why so many attempts of an array have not begun."""
        if count > 0:
            self.reasons.setdefault(key, Counter())[why] += count

    def wake_at(self, at: Instant) -> None:
        """Another round is wanted then, or sooner."""
        self.next_at = at if self.next_at is None else min(self.next_at, at)

    def stir(self) -> None:
        """Something happened that is likely to be followed by more: look more often for a while."""
        self.memory.stirred_at = self.now

    def is_due(self, subject: Subject, *, at_once: bool, size: int = 0) -> bool:
        """Whether something is to be looked at again: every 5 s (`look_soon_s`) while much happens, and ever more seldom, up to 30 s, when nothing does.

        What takes long to read, because it has so many parts, is looked at once in `size` / 300 s at most.
        """
        quiet_s = (self.now - self.memory.stirred_at) / 1000
        interval = round(max(self.memory.look_soon_s, min(LOOK_LATE_S, quiet_s / 6), size / PARTS_A_SECOND) * 1000)
        last = self.memory.polled.get(subject)
        if last is not None and last + interval > self.now and not at_once:
            self.wake_at(Instant(last + interval))
            return False
        self.memory.polled[subject] = self.now
        self.wake_at(Instant(self.now + interval))
        return True

    # --- arrays ---------------------------------------------------------------------------------------------------------

    def arrays(self, *, live: bool = True) -> list[Array]:
        """All arrays with something to do, oldest first."""
        rows = self.ledger.rows("SELECT * FROM array WHERE live >= ? ORDER BY id, key", int(live))
        found = [array_of(row) for row in rows]
        return [array for array in found if array.job.fleet is not None]

    def clients(self, array: Array) -> Clients:
        """The clients with which an array's calls are made."""
        return self.memory.clients(array.access)

    def s3(self, array: Array) -> Any:
        """The client of an array's bucket."""
        return self.clients(array).client("s3", array.fleet.bucket_region)

    # --- pauses ---------------------------------------------------------------------------------------------------------

    def held(self, subject: Subject) -> Hold | None:
        """The pause of a subject, while it lasts; then another round is wanted at its end."""
        hold = self.memory.holds.get(subject)
        if hold is None or hold.until <= self.now:
            return None
        self.wake_at(hold.until)
        return hold

    def hold(
        self, subject: Subject, why: str, *, because: Because = Because.REFUSED, for_s: float | None = None, first_s: float = 1.0, most_s: float = 60.0
    ) -> Hold:
        """Pause a subject: for so long, or for longer after each failure."""
        before = self.memory.holds.get(subject)
        # where the pauses grow, several refusals of one round are one
        failures = 1 if before is None else before.failures + (for_s is not None or before.until <= self.now)
        pause = round(for_s * 1000) if for_s is not None else pause_ms(failures, self.memory.chance(), first_s=first_s, most_s=most_s)
        since = self.now if before is None else before.since
        hold = Hold(until=Instant(self.now + pause), why=Hindrance(because, why), failures=failures, since=since)
        self.memory.holds[subject] = hold
        self.wake_at(hold.until)
        _log.info("%s: held for %.1f s: %s", " ".join(subject), pause / 1000, why)
        return hold

    def free(self, subject: Subject) -> None:
        """It went well: the next failure is the first."""
        self.memory.holds.pop(subject, None)

    def access_subject(self, array: Array) -> Subject:
        """What is held while an array's access is not accepted; another access is another subject. No secret stands in it."""
        return ("access", array.account, str(array.admitted), fingerprint(array.access))

    def hold_access(self, array: Array, refusal: Refusal) -> Hold:
        """An array's access is not accepted, or may not do what is needed: nothing is asked with it for a while, and another one may take its place."""
        self.memory.forget_clients(array.access)
        self.ledger.write("UPDATE array SET refused = 1 WHERE key = ?", array.key)
        if refusal.kind is Kind.EXPIRED:  # and with it the URLs that were signed with it, also for other arrays
            old = "UPDATE launch SET made_at = min(made_at, ?) WHERE state = 'open' AND key IN (SELECT key FROM array WHERE access = ?)"
            self.ledger.write(old, self.now - round(FRESH_S * 1000) - 1, array.access)
        why = f"{refusal.sentence}; `spawn access`, in a shell whose credentials are accepted, lets it go on with those"
        return self.hold(self.access_subject(array), why, because=Because.ACCESS, first_s=5.0)

    # --- buckets --------------------------------------------------------------------------------------------------------

    def tokens_in(self, array: Array, region: str, name: str, rate: Rate, count: int) -> int:
        """Milliseconds until a bucket of an account and region holds so many tokens; 0: it does."""
        return self._bucket(array.account, region, name, rate).wait_ms(count, self.now)

    def take(self, array: Array, region: str, name: str, rate: Rate, count: int) -> None:
        """Take tokens out of a bucket."""
        bucket = self._bucket(array.account, region, name, rate)
        self.memory.buckets[array.account, region, name] = bucket.taken(count, self.now)

    def drain(self, array: Array, region: str, name: str, rate: Rate) -> None:
        """EC2 says that a bucket is empty, whoever emptied it."""
        bucket = self._bucket(array.account, region, name, rate)
        self.memory.buckets[array.account, region, name] = bucket.drained(self.now)

    def _bucket(self, account: str, region: str, name: str, rate: Rate) -> Bucket:
        return self.memory.buckets.get((account, region, name)) or Bucket.full(rate, self.now)


def fingerprint(access: str) -> str:
    """What tells one access from another without telling it."""
    return hashlib.sha256(access.encode()).hexdigest()[:16]


def array_of(row: Any) -> Array:
    """The array of a row."""
    return Array(
        job=decode_job(row["body"]),
        account=row["account"],
        access=row["access"],
        admitted=row["admitted"],
        forgotten=bool(row["forgotten"]),
        prepared=None if row["prepared"] is None else json.loads(row["prepared"]),
        launches=row["launches"],
        queue=row["queue"],
        max_concurrent=row["max_concurrent"],
        limit_due=bool(row["limit_due"]),
    )


def chunks(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """The items in their order, at most so many at a time."""
    return (items[at : at + size] for at in range(0, len(items), size))
