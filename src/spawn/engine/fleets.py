"""What the doors ask about EC2 beyond what every provider does: plans, prices, instances, what is elsewhere, and what was left behind.

Any thread; calls ask AWS and may take seconds, so none of them is made in the engine's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from spawn.domain.children import ChildRecord
from spawn.domain.fleets import FleetOptions, InstanceFacts, Life, Plan
from spawn.domain.ids import ArrayKey, JobId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.states import InstanceState
from spawn.engine.records import AttemptRecord

LOOK_S: Final = 30.0
"""How long it may take to see how instances stand, unless said otherwise."""

Access = Mapping[str, str]
"""Variables named in `spawn.domain.fleets.ACCESS`, of whoever asks: secrets among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A launch as asked for, before anything is looked up."""

    options: FleetOptions
    name: str
    children: int
    ttl: timedelta | None  #: None: `--no-ttl`
    tags: Mapping[str, str]
    work_bytes: int  #: of script and environment, which have to reach the instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something of ours in an account that has outlived its end."""

    region: str
    kind: str  #: instance, volume, security-group, role, instance-profile, queue, objects
    id: str
    array: str  #: the array's id, empty when it is not known
    why: str  #: in a sentence, with the time since when
    removed: bool = False
    error: str | None = None  #: why it could not be removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What was looked at, and what was found there."""

    account: str
    regions: tuple[str, ...]
    failed: Mapping[str, str]  #: regions that could not be looked at, and why
    leftovers: tuple[Leftover, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unended:
    """Instances of which EC2 has not said that they end."""

    instances: Mapping[str, Instant | None] = field(default_factory=dict)  #: by id, when each ends by itself at the latest; None: never
    launching: int = 0  #: how many more may have been launched, by calls that got no answer

    def __len__(self) -> int:
        return len(self.instances) + self.launching


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The account of an access, and the arrays that go on with it."""

    account: str
    arrays: tuple[JobId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An array as its bucket tells of it."""

    job: Job
    max_concurrent: int | None
    children: Mapping[int, ChildRecord]  #: by position, of all that have had an attempt
    attempts: Sequence[AttemptRecord]


class Fleets(Protocol):
    """The provider `ec2`, as the doors see it."""

    def plan(self, wish: Wish, access: Access) -> Plan:
        """Look up all that a launch needs and check it; raise SpawnError with one sentence when it cannot be launched. Nothing is made."""

    def admit(self, job: Job, access: Access) -> None:
        """Keep whose access an array is launched with; to be called before the engine takes the job. Again: the access is renewed."""

    def renew(self, access: Access) -> Renewed:
        """Use this access from now on for the arrays of its account whose own one AWS does not accept any more. Again: there is none left."""

    def states(self, key: ArrayKey) -> Mapping[InstanceState, int]:
        """How many instances of an array are in each state, as last seen: those that ended, and those on which no child stands, too; asks nobody."""

    def lives(self, key: ArrayKey) -> Sequence[Life]:
        """The lives of all instances of an array so far, from what has been seen; asks nobody."""

    def instances(self, key: ArrayKey, positions: Collection[int] | None = None) -> Mapping[int, InstanceFacts]:
        """The latest instance of each child, as last seen, by position; asks nobody."""

    def look(self, key: ArrayKey, within_s: float = LOOK_S) -> None:
        """Ask EC2 and the bucket now rather than at the next poll, and return when that has been read; raise ProviderUnavailable when that takes longer."""

    def power(self, job: Job, positions: Collection[int], *, on: bool, hibernate: bool) -> Mapping[int, str]:
        """Start or stop the instances of these children; by position, why where it could not be done."""

    def fetch_log(self, job: Job, position: int, attempt: int) -> None:
        """Bring what there is of an attempt's log to where its file is on this machine. Again: only what is new."""

    def fetch_outputs(self, job: Job, attempts: Collection[tuple[int, int]]) -> Mapping[int, str]:
        """Bring outputs to where they are on this machine, several at a time, and only what is not there yet; by position, why where that failed."""

    def adopt(self, array: JobId, bucket: str | None, access: Access, *, check: Callable[[Job], object]) -> Found:
        """Read an array from its bucket (None: that of the account and region), and follow what runs of it; raise NotFound when it is not there.

        `check` is called with what was read before anything is followed; what it raises goes through.
        """

    def sweep(self, access: Access, *, regions: Sequence[str], live: Collection[JobId], remove: bool, at: Instant) -> Sweep:
        """Look for what carries our tag and has outlived its end; with `remove` remove it. `live` arrays are left alone; no regions: all enabled ones."""
