"""An instance as the laboratory keeps it, and the words that EC2 has for its states."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

from spawn.testing.ec2lab.machines import Machine
from spawn.testing.ec2lab.wire import Xml


class State(Enum):
    """EC2's states and their numbers."""

    PENDING = (0, "pending")
    RUNNING = (16, "running")
    SHUTTING_DOWN = (32, "shutting-down")
    TERMINATED = (48, "terminated")
    STOPPING = (64, "stopping")
    STOPPED = (80, "stopped")

    @property
    def word(self) -> str:
        """As EC2 spells it."""
        return self.value[1]

    def shown(self) -> dict[str, object]:
        """As EC2 shows it."""
        return {"Code": self.value[0], "Name": self.value[1]}


ON = frozenset({State.PENDING, State.RUNNING})
"""What takes room and counts against the quotas, together with what is on its way out."""

LIVE = ON | {State.STOPPING, State.SHUTTING_DOWN}


class Cause(Enum):
    """Why an instance is in its state: EC2's code, and what it says with it."""

    STARTING = ("pending", "pending")
    USER = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
    INSIDE = ("Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
    SPOT = ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")
    HOST = ("Server.InternalError", "Server.InternalError: Internal error")
    NO_ROOM = (
        "Server.InsufficientInstanceCapacity",
        "Server.InsufficientInstanceCapacity: Insufficient capacity to satisfy instance request",
    )

    def shown(self) -> dict[str, str]:
        """As EC2 shows it."""
        return {"Code": self.value[0], "Message": self.value[1]}

    def transition(self, at: float) -> str:
        """EC2's StateTransitionReason."""
        stamp = f"({datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} GMT)"
        words = {Cause.USER: f"User initiated {stamp}", Cause.SPOT: f"Service initiated {stamp}", Cause.HOST: "Server.InternalError"}
        return {**words, Cause.NO_ROOM: "Server.InsufficientInstanceCapacity"}.get(self, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A stretch of time at one price."""

    since: float
    until: float | None  #: None: it goes on
    price: float  #: US dollars an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What became of an instance, and what it costs. Times are seconds since the epoch."""

    instance_id: str
    region: str
    zone: str
    type: str
    spot: bool
    token: str
    state: str
    launched_at: float
    ended_at: float | None  #: when it was terminated
    charges: tuple[Charge, ...]  #: EC2 charges while it runs, not while it is pending or on its way out
    volume_gb: int

    def cost(self, until: float) -> float:
        """US dollars up to a moment, without volumes, to the second. EC2's minimum of a minute is left out."""
        return sum(max(0.0, min(until, until if charge.until is None else charge.until) - charge.since) * charge.price for charge in self.charges) / 3600


@dataclass(slots=True, kw_only=True)
class Volume:
    """A volume of an instance."""

    id: str
    region: str
    zone: str
    instance_id: str | None
    device: str
    size: int
    type: str
    deleted_with_instance: bool
    created_at: float
    tags: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Instance:
    """An instance and its present state. Only the fleet changes it."""

    machine: Machine
    number: int  #: counted from 1 in the order of launching
    reservation: str
    subnet: str
    vpc: str
    groups: tuple[tuple[str, str], ...]
    public_ip: str | None
    launched_at: float
    started_at: float
    seen_from: float
    max_price: float | None
    spot_request: str | None
    root_device: str
    hibernates: bool
    protected: bool
    tags: dict[str, str]
    shutdown_behavior: str
    volumes: list[str]
    volume_gb: int
    powered: bool = False  #: whether its machine was ever told to boot
    state: State = State.PENDING
    cause: Cause | None = Cause.STARTING
    transition: str = ""
    ended_at: float | None = None
    interrupted_at: float | None = None
    charges: list[Charge] = field(default_factory=list)
    written: Xml | None = None  #: how DescribeInstances shows it; None: to be written anew

    @property
    def id(self) -> str:
        """i-…"""
        return self.machine.instance_id

    @property
    def region(self) -> str:
        """Where it is."""
        return self.machine.region

    def move(self, state: State, cause: Cause | None, at: float) -> None:
        """Be in another state, for a reason."""
        self.state, self.cause, self.written = state, cause, None
        self.transition = cause.transition(at) if cause else ""

    def charge(self, price: float, at: float) -> None:
        """Cost so much from now on."""
        self.stop_charging(at)
        self.charges.append(Charge(since=at, until=None, price=price))

    def stop_charging(self, at: float) -> None:
        """Cost nothing from now on."""
        if self.charges and self.charges[-1].until is None:
            last = self.charges.pop()
            if at > last.since:
                self.charges.append(Charge(since=last.since, until=at, price=last.price))
