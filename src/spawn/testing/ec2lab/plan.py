"""What a laboratory is like: its limits, prices, delays and faults. All of it can be read from JSON."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Literal

import msgspec

from spawn.testing.ec2lab.boot.plan import ImageFile


class Bucket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token bucket: so many at most, and so many more each second."""

    size: float
    refill: float


class Image(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine image that exists in every region."""

    id: str
    architecture: str = "x86_64"
    name: str = ""
    root_device: str = "/dev/xvda"
    root_gb: int = 8


class SpotPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What spot instances of a type cost in a zone from some moment on. `*` stands for any zone or type."""

    zone: str = "*"
    type: str = "*"
    price: float
    at_s: float = 0.0  #: seconds after the laboratory's start


class FaultKind(Enum):
    """What goes wrong with a call."""

    SLOW = "slow"  #: the answer comes `delay_s` late
    DROPPED = "dropped"  #: the connection ends before anything is done
    LOST_ANSWER = "lost-answer"  #: everything is done, and then the connection ends
    BROKEN = "broken"  #: status 500
    UNAVAILABLE = "unavailable"  #: status 503
    THROTTLED = "throttled"  #: as if the bucket were empty
    DENIED = "denied"  #: no permission
    DUPLICATED = "duplicated"  #: SQS gives a message that it gave before


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that goes wrong: always, with a chance, or at the nth call that it could hit."""

    kind: FaultKind
    service: str = "*"  #: as in the signature: ec2, s3, sqs, iam
    action: str = "*"  #: RunInstances, PutObject; `*` may stand anywhere in it
    nth: int | None = None  #: only this one of the calls that match, counted from 1
    chance: float = 1.0
    times: int | None = None  #: at most so often
    key: str = "*"  #: S3: only keys like this, such as `arrays/*/outcome.json`
    caller: str = "*"  #: `user`, or the name of a role
    delay_s: float = 1.0
    from_s: float = 0.0  #: seconds after the laboratory's start
    until_s: float | None = None


class FateKind(Enum):
    """What befalls an instance."""

    INTERRUPTED = "interrupted"  #: the spot market takes it back, with notice; on-demand instances are spared
    DIES = "dies"  #: its host fails
    NO_ROOM = "no-room"  #: its launch was taken, and then there is no room for it after all; one that runs by then is spared


class Fate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What befalls instances: the nth that is launched, or each with a chance, some seconds after its launch."""

    kind: FateKind
    nth: int | None = None  #: counted from 1 in the order of launching
    chance: float = 1.0
    after_s: float = 60.0
    within_s: float = 0.0  #: at a random moment in so many seconds after `after_s`


class BootSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How machines really boot, for `python -m spawn.testing.ec2lab --boot real`; the meanings are BootPlan's."""

    minute_s: float = 60.0
    boot_s: float = 0.0
    at_once: int = 8
    python: str | None = None
    aws: str | None = None
    files: dict[str, dict[str, ImageFile]] = {}
    visible: tuple[str, ...] = ()


SignedIn = Literal["valid", "expired", "unknown"]

DEFAULT_BUCKETS = {
    # published for the EC2 API: per account and region, each action has a bucket of its own
    "Describe*": Bucket(size=100, refill=20),
    "Get*": Bucket(size=100, refill=20),
    "unfiltered": Bucket(size=50, refill=10),
    "*": Bucket(size=50, refill=5),
    "RunInstances": Bucket(size=5, refill=2),
    "StartInstances": Bucket(size=5, refill=2),
    "StopInstances": Bucket(size=100, refill=5),
    "TerminateInstances": Bucket(size=100, refill=5),
    "CreateTags": Bucket(size=100, refill=10),
    "DeleteTags": Bucket(size=100, refill=10),
    "GetConsoleOutput": Bucket(size=100, refill=10),
}
DEFAULT_RESOURCE_BUCKETS = {
    "RunInstances": Bucket(size=1000, refill=2),
    "StartInstances": Bucket(size=1000, refill=2),
    "StopInstances": Bucket(size=1000, refill=20),
    "TerminateInstances": Bucket(size=1000, refill=20),
}


class LabPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A laboratory. Without any field: EC2's published limits, room for everything, and nothing goes wrong."""

    seed: int = 0
    regions: tuple[str, ...] = ("us-east-1", "us-west-2", "eu-west-1")
    throttle: bool = True
    buckets: dict[str, Bucket] = {}  #: in place of the published ones, by action
    resource_buckets: dict[str, Bucket] = {}
    quotas: dict[str, float] = {}  #: vCPUs by quota code, or by `us-east-1/L-1216C47A` for one region
    capacity: dict[str, int] = {}  #: how many instances fit, by `us-east-1a/c7i.large`; `*` may stand for either
    spot_capacity: dict[str, int] = {}  #: the same for spot instances alone
    images: tuple[Image, ...] = ()
    prices: dict[str, float] = {}  #: on-demand, by type, in place of those of the catalogue (us-east-1)
    spot_prices: tuple[SpotPrice, ...] = ()
    unoffered: dict[str, tuple[str, ...]] = {}  #: zones that do not have a type
    describe_lag_s: float = 0.0  #: how long a new instance is not seen
    profile_lag_s: float = 0.0  #: how long a new instance profile is not known to EC2
    pending_s: float = 0.0  #: from launch to power on
    shutdown_s: float = 20.0  #: how long a machine that is told to end may take
    notice_s: float = 120.0  #: from the spot notice to the end
    visible_s: float = 3600.0  #: how long a terminated instance is shown
    credentials_s: float = 21600.0  #: how long the credentials of a role last
    signed_in: SignedIn = "valid"  #: the user's credentials
    forbidden: tuple[str, ...] = ()  #: what the user may not do, such as `ec2:RunInstances`, `iam:*`
    faults: tuple[Fault, ...] = ()
    fates: tuple[Fate, ...] = ()
    boot: BootSettings = BootSettings()


def read_plan(path: Path) -> LabPlan:
    """The plan in a JSON file; ValueError says what is wrong with it and where."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LabPlan)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: {error}") from None
