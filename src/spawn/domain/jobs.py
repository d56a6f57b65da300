"""What was submitted: a job or an array job, as a value that never changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from spawn.domain.dependencies import Dependency, Waits
from spawn.domain.fleets import Fleet
from spawn.domain.ids import ArrayKey, JobId, child_id
from spawn.domain.indexes import IndexSet
from spawn.domain.instances import Lifetime
from spawn.domain.instants import Instant
from spawn.domain.quantities import MaxFailures
from spawn.domain.retries import RetryStrategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What each child runs: a script for a machine of its own, or a command in place; exactly one of the two is given."""

    script: str | None
    command: tuple[str, ...] | None
    environment: Mapping[str, str] = field(repr=False)
    given: tuple[str, ...]  #: names of the variables that the user gave explicitly; values are never listed
    workdir: str  #: absolute; empty: each attempt starts in its own output directory
    private_tmp: bool
    compat_env: bool
    umask: int = 0o022  #: the file mode creation mask of whoever launched it

    def __post_init__(self) -> None:
        if (self.script is None) == (self.command is None):
            raise ValueError("exactly one of script and command must be given")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one child takes of a compute environment: thousandths of a vCPU and MiB (0: nothing stated)."""

    cpus: int
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """What a Batch client asked for beyond what every job has: kept to be shown again, and for the scheduler."""

    definition: str  #: NAME:REVISION of its job definition
    container: Mapping[str, object] = field(repr=False)  #: the merged container properties, as DescribeJobs shows them
    parameters: Mapping[str, str] = field(default_factory=dict)
    platform_capabilities: tuple[str, ...] = ()
    propagate_tags: bool = False
    share: str | None = None  #: the share identifier, on a queue with a fair-share policy
    priority: int = 0  #: within its share, the highest first
    consumables: Mapping[str, int] = field(default_factory=dict)  #: what each child takes of consumable resources, by name
    shown: Mapping[str, object] = field(default_factory=dict, repr=False)  #: further members of DescribeJobs, as they were given


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as submitted. `indexes` is None for a single job, which is kept as an array of one child without an index."""

    id: JobId
    key: ArrayKey
    name: str
    queue: str
    indexes: IndexSet | None
    work: Work
    demand: Demand
    retry: RetryStrategy
    timeout: timedelta | None
    lifetime: Lifetime
    grace: timedelta  #: between SIGTERM and SIGKILL
    max_failures: MaxFailures | None
    tags: Mapping[str, str]
    depends_on: tuple[Dependency, ...]
    waits: Waits
    cloud: Mapping[str, object]  #: flags for other providers, kept and shown, without effect here
    created_at: Instant
    batch: BatchJob | None = None  #: None: not submitted by a Batch client
    fleet: Fleet | None = None  #: where it runs on EC2; None: on this machine

    @property
    def is_array(self) -> bool:
        """Whether the children have an index."""
        return self.indexes is not None

    @property
    def spot_retries(self) -> int:
        """How many losses to the spot market a child is started again after, apart from its retries."""
        return 0 if self.fleet is None else self.fleet.options.spot_retries

    @property
    def size(self) -> int:
        """The number of children."""
        return 1 if self.indexes is None else len(self.indexes)

    def index_at(self, position: int) -> int:
        """The index of the child at a position; 0 for a single job, which never shows it."""
        return 0 if self.indexes is None else self.indexes.index_at(position)

    def child_id(self, position: int) -> str:
        """`ID:INDEX` for a child of an array, the job's own id for a single job."""
        return self.id if self.indexes is None else child_id(self.id, self.indexes.index_at(position))
