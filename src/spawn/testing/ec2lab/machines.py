"""The seam between the laboratory's API and its machines: what is launched, and what happens to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, runtime_checkable


class Ending(Enum):
    """How a machine came to its end."""

    SHUTDOWN = "shutdown"  #: from inside: `shutdown -h`, at once or at its time
    API = "api"  #: TerminateInstances or StopInstances
    INTERRUPTED = "interrupted"  #: the spot market took it back, two minutes after the notice
    DIED = "died"  #: its host failed, without a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """An instance as it was launched."""

    instance_id: str
    launch_index: int
    token: str  #: the launch's ClientToken, empty when there was none
    region: str
    zone: str
    type: str
    architecture: str  #: x86_64 or arm64
    vcpus: int
    image: str
    user_data: bytes  #: as sent, decoded from base64; may be gzipped
    spot: bool
    shutdown_behavior: str  #: terminate or stop
    profile: str | None  #: the name of the instance profile
    role: str | None  #: of that profile
    key_name: str | None
    private_ip: str
    public_ip: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Machines(Protocol):
    """Makes machines run. Called from any thread; no call waits for a machine to boot or to end.

    Machines that have a console offer `console(instance_id) -> bytes` besides: all that one has written there, also after its end."""

    def boot(self, machine: Machine) -> None:
        """Power it on, the first time or after `stop`. Running already: nothing."""

    def shut_down(self, instance_id: str, ending: Ending) -> None:
        """Press its power button: it is told to end, has `LabPlan.shutdown_s` to do so, and is then cut off. Gone already: nothing."""

    def cut(self, instance_id: str) -> None:
        """Cut the power: nothing in it runs any further. Gone already: nothing."""

    def notice(self, instance_id: str, action: str, at: float) -> None:
        """Tell it by its metadata that the spot market takes it back at a time (seconds since the epoch)."""

    def close(self) -> None:
        """Cut every machine off and remove what they left."""


@runtime_checkable
class Ticking(Protocol):
    """Machines that do things by the laboratory's clock, when that is a ManualClock, offer this besides."""

    def due(self) -> float | None:
        """When there is something to do next, in seconds since the epoch; None: nothing."""

    def tick(self, now: float) -> None:
        """Do all that is due by then. It may ask the laboratory; again at the same time: nothing."""


class Hypervisor(Protocol):
    """What machines tell the laboratory."""

    def running(self, instance_id: str) -> None:
        """The machine is up: `pending` becomes `running`."""

    def ended(self, instance_id: str, ending: Ending) -> None:
        """The machine is off: it is `terminated`, or `stopped` when that was asked or is its shutdown behaviour. Again: nothing."""

    def credentials(self, role: str) -> Mapping[str, str]:
        """AccessKeyId, SecretAccessKey, Token and Expiration for a role, as IMDS gives them; KeyError when there is no such role."""

    @property
    def endpoint(self) -> str:
        """Where machines reach every AWS service of the laboratory."""
