"""What the engine answers (docs/api.md), decoded. Members an older or newer engine lacks or adds do no harm; `schema_version` says when they would."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import UNSET, Struct, UnsetType, field

from spawn.client.instances import Entrance, FleetPlace, Instance

SCHEMA_VERSION = 1


class Child(Struct, frozen=True, kw_only=True):
    """One child as a launch answers it."""

    index: int | None
    id: str
    name: str
    instance_id: str | None = None


class Reason(Struct, frozen=True, kw_only=True):
    """Why some members do not run now, or what should be known of their instances."""

    indexes: str | None
    count: int
    reason: str
    kind: str | None = None  #: of what keeps attempts on EC2 from beginning (docs/api.md); None: nothing of that


class Array(Struct, frozen=True, kw_only=True):
    """An array job, or a single job (`kind` is `job`), and where it stands. What is UNSET here is said of arrays on EC2 only."""

    schema_version: int
    array_id: str
    name: str | None = None
    kind: str
    size: int
    indexes: str | None = None
    provider: str = "local"
    status: str
    status_reason: str | None = None
    created_at: str
    started_at: str | None = None
    stopped_at: str | None = None
    counts: dict[str, int]
    instances: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    cancelled: int = 0
    max_concurrent: int | None = None
    ttl_s: float | None = None
    timeout_s: float | None = None
    on_complete: str | None = None
    retries: int = 0
    max_failures: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    depends_on: list[dict[str, Any]] = field(default_factory=list)
    sequential: bool = False
    private_tmp: bool | None = None
    cpus: float | None = None
    memory_mib: int | None = None
    command: list[str] | None = None
    script: bool = False
    env: list[str] = field(default_factory=list)
    workdir: str | None = None
    cloud: dict[str, Any] = field(default_factory=dict)
    directory: str | None = None
    rate_per_s: float | None = None
    seconds_left: float | None = None
    notes: list[str] = field(default_factory=list)
    interrupted: int | UnsetType = UNSET
    fleet: FleetPlace | UnsetType = UNSET
    remarks: list[Reason] | UnsetType = UNSET

    @property
    def title(self) -> str:
        """What to call it: its name, else its id."""
        return self.name or self.array_id

    @property
    def on_ec2(self) -> bool:
        """Whether its members have instances on EC2."""
        return self.provider == "ec2"

    @property
    def settled(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.status in ("SUCCEEDED", "FAILED")

    @property
    def done(self) -> int:
        """How many members have settled."""
        return self.counts.get("SUCCEEDED", 0) + self.counts.get("FAILED", 0)


class Launched(Array, frozen=True, kw_only=True):
    """The answer to a launch that asked for its children."""

    children: list[Child] = field(default_factory=list)


class SubmittedDocuments(Struct, frozen=True, kw_only=True):
    """The answer to job files: the arrays and jobs that were made of them, in order."""

    schema_version: int
    arrays: list[Array]
    notes: list[str] = field(default_factory=list)


class Member(Struct, frozen=True, kw_only=True):
    """One member of an array, or a single job."""

    schema_version: int
    array_id: str
    name: str
    index: int | None
    id: str
    instance_id: str | None
    state: str
    status: str
    status_reason: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    attempt: int = 0
    lost: bool = False
    created_at: str | None = None
    started_at: str | None = None
    stopped_at: str | None = None
    age_s: float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    interrupted: bool | UnsetType = UNSET
    instance: Instance | UnsetType | None = UNSET

    @property
    def machine(self) -> Instance | None:
        """Its instance on EC2, when there is one."""
        return self.instance if isinstance(self.instance, Instance) else None


class Attempt(Struct, frozen=True, kw_only=True):
    """One run of one member, and what it left."""

    attempt: int
    status: str | None = None
    instance_id: str | None = None
    status_reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    message: str | None = None
    started_at: str | None = None
    stopped_at: str | None = None
    cpu_s: float | None = None
    max_rss_kib: int | None = None
    log: str | None = None
    output: str | None = None
    lost: bool = False
    interrupted: bool | UnsetType = UNSET


class MemberDetail(Member, frozen=True, kw_only=True):
    """A member with all its attempts."""

    attempts: list[Attempt] = field(default_factory=list)


class Skipped(Struct, frozen=True, kw_only=True):
    """Indexes that a change left alone, and why."""

    indexes: str
    reason: str


class Change(Struct, frozen=True, kw_only=True):
    """What was, or in a dry run would be, changed."""

    schema_version: int = SCHEMA_VERSION
    array_id: str
    indexes: str | None
    count: int
    skipped: list[Skipped] = field(default_factory=list)


class Example(Struct, frozen=True, kw_only=True):
    """One failure of a group, with the end of its log."""

    index: int | None
    attempt: int
    log_tail: list[str] = field(default_factory=list)


class FailureGroup(Struct, frozen=True, kw_only=True):
    """Members that failed in the same way."""

    count: int
    indexes: str | None
    exit_code: int | None = None
    signal: int | None = None
    status_reason: str | None = None
    reason: str | None = None
    example: Example | None = None


class Engine(Struct, frozen=True, kw_only=True):
    """The engine that answers."""

    schema_version: int
    version: str
    pid: int
    runner_pid: int | None = None
    socket: str = ""
    store: str = ""
    started_at: str | None = None
    idle_exit_s: float | None = None
    arrays: dict[str, int] = field(default_factory=dict)
    children: dict[str, int] = field(default_factory=dict)
    capacity: dict[str, float] = field(default_factory=dict)
    features: dict[str, str | None] = field(default_factory=dict)
    instances: int = 0


class Key(Struct, frozen=True, kw_only=True):
    """A key pair that the AWS endpoint accepts."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"Key({self.access_key_id})"


class Endpoint(Struct, frozen=True, kw_only=True):
    """The AWS endpoint; `reason` says why it is not open."""

    schema_version: int
    open: bool
    url: str
    host: str
    port: int
    verify: bool
    certfile: str | None = None
    keyfile: str | None = None
    access_key_ids: list[str] = field(default_factory=list)
    reason: str | None = None


class Opened(Endpoint, frozen=True, kw_only=True):
    """The answer to who opened it. `pair` is for those who sent no keys of their own."""

    pair: Key | None = None


class Opening(Struct, frozen=True, kw_only=True):
    """What endpoint is to be open."""

    host: str
    port: int
    verify: bool = True
    certfile: str | None = None
    keyfile: str | None = None
    keys: list[Key] = field(default_factory=list)


class LogPiece(NamedTuple):
    """Some bytes of a log. `complete`: the attempt has ended, and nothing comes after `next`."""

    content: bytes
    next: int
    complete: bool
    attempt: int


class Session(Struct, frozen=True, kw_only=True):
    """What `spored enter` needs to enter a member's view (docs/wire.md), or how to reach its instance on EC2."""

    spec: dict[str, Any]
    runner: str
    key: str
    position: int
    index: int | None
    attempt: int
    state: str
    compute_environment: str = "local"
    instance: Entrance | None = None
