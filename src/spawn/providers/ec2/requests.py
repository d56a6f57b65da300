"""What is asked of RunInstances for one launch, and the configuration that its instances get (docs/wire-ec2.md, launch.json)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from spawn.domain.fleets import Market, Offer, is_burstable
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.queues import EC2_PLACE
from spawn.engine.specs import common_spec
from spawn.providers.ec2.tags import tags_of
from spawn.providers.ec2.turn import Array

WIRE: Final = 1
TOKEN_TAG: Final = "spawn:token"
_EVERY: Final = {"upload_s": 30, "control_s": 15, "beat_s": 120, "notice_s": 5}
_NAME_MOST: Final = 256

Members = Sequence[Sequence[tuple[int, int]]]
"""What each instance of a launch has to do, by launch index: (position, attempt)."""


def token_of(key: str, number: int, members: Members) -> str:
    """The ClientToken of an array's launch: the same launch has the same, any other launch another."""
    digest = hashlib.sha256(json.dumps([key, number, members]).encode()).hexdigest()
    return f"spawn-{key}-{number}-{digest[:24]}"


def run_parameters(array: Array, offer: Offer, market: Market, token: str, count: int, user_data: bytes, *, owner: str, at: Instant) -> dict[str, Any]:
    """Every parameter of the call. The same arguments give the same parameters: EC2 refuses a token that comes with others."""
    job, options, prepared = array.job, array.fleet.options, array.prepared or {}
    tags = {**job.tags, "Name": job.name[:_NAME_MOST], **tags_of(job, owner=owner, launched_at=at), TOKEN_TAG: token}
    listed = [{"Key": name, "Value": value} for name, value in tags.items()]
    disk: dict[str, Any] = {"VolumeType": "gp3", "DeleteOnTermination": True}
    if options.volume_gib is not None:
        disk["VolumeSize"] = options.volume_gib
    if options.hibernate:
        disk |= {"Encrypted": True, "VolumeSize": array.fleet.volume_gib}
    groups = list(prepared.get("security_groups", {}).get(offer.subnet) or offer.security_groups)
    asked: dict[str, Any] = {
        "ImageId": offer.ami,
        "InstanceType": offer.type,
        "MinCount": 1,
        "MaxCount": count,
        "ClientToken": token,
        "UserData": base64.b64encode(user_data).decode(),
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"},
        "BlockDeviceMappings": [{"DeviceName": offer.root_device, "Ebs": disk}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": listed} for kind in ("instance", "volume")],
    }
    if offer.subnet:
        asked["SubnetId"] = offer.subnet
    else:
        asked["Placement"] = {"AvailabilityZone": offer.zone}
    if groups:
        asked["SecurityGroupIds"] = groups
    if prepared.get("profile"):
        asked["IamInstanceProfile"] = {"Name": prepared["profile"]}
    if options.key_name:
        asked["KeyName"] = options.key_name
    if is_burstable(offer.type) and options.budget_usd is not None:
        # unlimited, as EC2 has it otherwise, an hour may cost more than its price; but what computes is slowed to the baseline, from the boot on
        asked["CreditSpecification"] = {"CpuCredits": "standard"}
    if options.hibernate:
        asked["HibernationOptions"] = {"Configured": True}
    if market is Market.SPOT:
        asked["InstanceMarketOptions"] = _spot(options.spot_max_price)
    return asked


def _spot(max_price: float | None) -> dict[str, Any]:
    how: dict[str, Any] = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    if max_price is not None:
        how["MaxPrice"] = f"{max_price:.10f}".rstrip("0").rstrip(".")
    return {"MarketType": "spot", "SpotOptions": how}


def launch_document(array: Array, market: Market, token: str, members: Members, endpoints: dict[str, str | None]) -> dict[str, Any]:
    """launch.json."""
    job, options = array.job, array.fleet.options
    lifetime = job.lifetime
    return {
        "wire": WIRE,
        "array": job.id,
        "key": job.key,
        "token": token,
        "members": [runs_of(job, each) for each in members],
        "pool": array.queue if array.is_pool else None,
        "slots": (options.per_instance or 0) if options.shared else 1,
        "spec": _spec_of(array),
        "bucket": array.fleet.bucket,
        "region": array.fleet.bucket_region,
        "prefix": array.prefix,
        "endpoints": endpoints,
        "ttl_s": None if lifetime.ttl is None else lifetime.ttl.total_seconds(),
        "idle_s": None if lifetime.idle is None else lifetime.idle.total_seconds(),
        "on_complete": "hibernate" if options.hibernate else lifetime.on_complete.value,
        "spot": market is Market.SPOT,
        "every": _EVERY,
    }


def runs_of(job: Job, attempts: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Attempts in their order as runs [position, index, attempt, count, step]: as long as positions follow one another and indexes keep their step."""
    runs: list[list[int]] = []
    for position, attempt in attempts:
        index = job.index_at(position)
        last = runs[-1] if runs else None
        if last is not None and last[0] + last[3] == position and last[2] == attempt and (last[3] == 1 or last[1] + last[3] * last[4] == index):
            if last[3] == 1:
                last[4] = index - last[1]
            last[3] += 1
        else:
            runs.append([position, index, attempt, 1, 1])
    return runs


def _spec_of(array: Array) -> dict[str, Any]:
    """The array as the runner on an instance is told of it (docs/wire.md, "spec")."""
    job, shared = array.job, array.fleet.options.shared
    return {
        **common_spec(job),
        # a machine of its own has variables of its own: of the launching shell only what was named
        "environment": {name: value for name, value in job.work.environment.items() if name in job.work.given},
        "workdir": job.work.workdir or None,
        "directory": "/var/lib/spored/array",
        # alone on its machine a script's /tmp is the machine's, where its user looks for it; several on one would collide
        "private_tmp": shared and job.work.script is not None,
        "visible": [job.work.workdir] if job.work.workdir.startswith("/tmp/") else [],
        "memory_limit": shared and job.demand.memory > 0,
        "ttl_s": None,
        "max_concurrent": None,
        "compute_environment": EC2_PLACE,
        "container": None,
    }
