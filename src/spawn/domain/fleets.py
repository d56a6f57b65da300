"""Fleets: what an array asks of EC2, and what that was found to mean in an account before anything was launched (design, section 9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Final

from spawn.domain.costs import Estimate, Price
from spawn.domain.errors import InvalidField
from spawn.domain.ids import AttemptId
from spawn.domain.instants import Instant
from spawn.domain.states import InstanceState

DEFAULT_TYPE: Final = "t3.micro"
"""The instance type of launches that name none."""

DEFAULT_TTL: Final = timedelta(hours=4)
"""The TTL of launches on EC2 that name none and were not told `--no-ttl`."""

LONGEST_LIFE: Final = timedelta(days=365)
"""No instance can be asked to end later than this from now: `shutdown` cannot be scheduled much further ahead."""

LARGEST_VOLUME: Final = 65_536
"""GiB of the largest gp3 volume."""

SPOT_RETRIES: Final = 5
"""How many spot losses a child is started again after, apart from `--retries`."""

MAX_PER_CALL: Final = 100
"""Most instances that one RunInstances call asks for (AWS advises about a hundred)."""

ACCESS: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CA_BUNDLE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_EC2",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_PRICING",
    "AWS_ENDPOINT_URL_SERVICE_QUOTAS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "HOME",
)
"""The variables of whoever launches by which botocore finds credentials, region and endpoint: the engine acts for that shell, not for its own."""


class Market(Enum):
    """How an instance is paid for."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


class Distribution(Enum):
    """How the indexes of an array come to fewer instances."""

    STATIC = "static"  #: each instance has a range of its own
    DYNAMIC = "dynamic"  #: instances take them one by one from a queue


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """What the user asked for; nothing in it has been looked up."""

    instance_types: tuple[str, ...] = (DEFAULT_TYPE,)  #: the first is wanted, the others are taken when there is no room for it
    regions: tuple[str, ...] = ()  #: none: that of the user's AWS settings
    spot: bool = False
    spot_max_price: float | None = None  #: US dollars an hour
    on_demand_fallback: bool = False  #: where spot finds no capacity anywhere
    spot_retries: int = SPOT_RETRIES
    ami: str | None = None  #: none: the latest Amazon Linux 2023 for the type's architecture
    volume_gib: int | None = None  #: the root volume; none: as large as the image's
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    iam_policies: tuple[str, ...] = ()  #: `service:Level` or an ARN
    instance_profile: str | None = None  #: one that exists, in place of one made for the array
    key_name: str | None = None
    instances: int | None = None  #: fewer than children: each takes several, one after another; none: one each
    per_instance: int | None = None  #: how many children run at once on an instance; none: one when each has its own, else as many as it has vCPUs
    distribute: Distribution = Distribution.STATIC
    hibernate: bool = False  #: `--on-complete hibernate`
    bucket: str | None = None  #: none: `spawn-ACCOUNT-REGION`, made when it is missing
    budget_usd: float | None = None  #: refuse to launch what may cost more

    def __post_init__(self) -> None:
        if not self.instance_types:
            raise InvalidField("--instance-type", "no instance type is named")
        if self.spot_max_price is not None and not self.spot:
            raise InvalidField("--spot-max-price", "it is a limit for --spot: add --spot")
        if self.on_demand_fallback and not self.spot:
            raise InvalidField("--on-demand-fallback", "it is what --spot falls back to: add --spot")
        for name, value in (("--instances", self.instances), ("--per-instance", self.per_instance), ("--volume-size", self.volume_gib)):
            if value is not None and value < 1:
                raise InvalidField(name, f"{value} is not 1 or more")
        if self.volume_gib is not None and self.volume_gib > LARGEST_VOLUME:
            raise InvalidField("--volume-size", f"{self.volume_gib} GiB is more than the {LARGEST_VOLUME} GiB that a volume of EC2 holds")
        if self.distribute is Distribution.DYNAMIC and self.instances is None:
            raise InvalidField("--distribute", "dynamic shares the indexes among fewer instances: say how many with --instances M")
        if self.per_instance is not None and self.instances is None:
            raise InvalidField(
                "--per-instance", "it says how many indexes run at once on an instance that has several: say how many instances with --instances M"
            )
        if self.spot_retries < 0:
            raise InvalidField("--spot-retries", f"{self.spot_retries} is below 0")

    @property
    def shared(self) -> bool:
        """Whether an instance may run several children."""
        return self.instances is not None


def refuse_contradictions(cloud: Mapping[str, object], on_complete: str | None) -> None:
    """Refuse what would have no effect, or could never be done, beside the rest: `cloud` has the names of FleetOptions that were asked for, and no others."""
    if "spot_retries" in cloud and not cloud.get("spot"):
        raise InvalidField("--spot-retries", "it counts losses to the spot market: add --spot")
    if cloud.get("spot") and on_complete in ("stop", "hibernate"):
        how = "stopped" if on_complete == "stop" else "hibernated"
        raise InvalidField("--on-complete", f"a spot instance is launched once and cannot be {how}: use terminate or none, or leave out --spot")


def is_burstable(type_name: str) -> bool:
    """Whether instances of a type (t2, t3, t3a, t4g) have CPU credits, beyond which they cost more than their price, or are slowed down."""
    return re.match(r"t[0-9]", type_name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One way to launch an instance: a type in a zone. The launcher goes through a fleet's offers in their order."""

    region: str
    zone: str
    subnet: str
    security_groups: tuple[str, ...]
    type: str
    vcpus: int
    memory_mib: int
    architecture: str  #: x86_64 or arm64
    ami: str
    root_device: str
    on_demand: Price | None
    spot: Price | None
    address_usd: float = 0.0  #: an hour of the public address that the subnet gives; 0: it gives none


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What an array's wishes mean in an account, as found before the launch. Part of the job, and never changed."""

    options: FleetOptions
    account: str
    bucket: str
    bucket_region: str
    partition: str = "aws"
    offers: tuple[Offer, ...]  #: wanted type first; within a type the zones of all regions in turn
    quotas: Mapping[str, float] = field(
        default_factory=dict
    )  #: vCPUs that may run at once, by `REGION/on-demand` and `REGION/spot`, where they could be looked up
    volume_gib: int  #: of each root volume
    volume_usd_gib_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A fleet that could be launched, what that would take and cost, and sentences for its user."""

    fleet: Fleet
    estimate: Estimate
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """What is known of an instance, as last seen; times are None where nothing has been seen."""

    instance_id: str
    region: str
    zone: str
    type: str
    market: Market
    state: InstanceState
    address: str | None = None  #: public when it has one, else private
    image: str = ""
    key_name: str | None = None
    launched_at: Instant | None = None
    ended_at: Instant | None = None
    ended_why: str | None = None  #: EC2's state reason
    checked_in_at: Instant | None = None  #: its agent's first word
    heard_at: Instant | None = None  #: its agent's last word
    ends_at: Instant | None = None  #: the end that its agent confirms
    extended_to: Instant | None = None  #: the end that it was told last
    unsent: str | None = None  #: why its agent could not upload something
    attempts: tuple[AttemptId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A stretch of an instance's time on the bill: an instance that was stopped and started again has several."""

    instance_id: str
    region: str
    zone: str
    type: str
    market: Market
    began: Instant
    ended: Instant | None
    known_to: Instant | None = None  #: up to when it is certain to have been on the bill; None: to its end, or to now
    usd_per_hour: Price  #: what is really paid: the market's price where it is known
    positions: tuple[int, ...]  #: the children that it was launched for or ran
    stopped: bool = False  #: nothing but its volume was kept, and paid for
    address_usd: float = 0.0  #: an hour of its public address, which it keeps only while it runs
    volume_gib: int
    volume_usd_gib_month: float
