"""The flags of `spawn launch` that only EC2 knows, and what they are called in a submission."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import click

from spawn.cli import values

F = TypeVar("F", bound=Callable[..., Any])

_MEMBERS: Final = {
    "instance_type": "instance_types",
    "instance_types": "instance_types",
    "region": "regions",
    "spot": "spot",
    "spot_max_price": "spot_max_price",
    "on_demand_fallback": "on_demand_fallback",
    "spot_retries": "spot_retries",
    "ami": "ami",
    "volume_size": "volume_gib",
    "subnet_id": "subnets",
    "security_group_id": "security_groups",
    "iam_policy": "iam_policies",
    "instance_profile": "instance_profile",
    "key_name": "key_name",
    "instances": "instances",
    "per_instance": "per_instance",
    "distribute": "distribute",
    "bucket": "bucket",
    "budget": "budget_usd",
}
"""The member of a submission's `cloud` for each flag; those of `spawn.domain.fleets.FleetOptions`."""

_LISTS: Final = frozenset({"instance_types", "regions", "subnets", "security_groups", "iam_policies"})

_FLAGS: Final = (
    click.option("--instance-type", type=values.INSTANCE_TYPE, help="EC2: the instance type (default: t3.micro)."),
    click.option("--instance-types", type=values.Several(values.INSTANCE_TYPE), multiple=True, help="EC2: types to take where there is no room for the first."),
    click.option("--region", type=values.Several(values.REGION), multiple=True, help="EC2: where to launch; several share the array."),
    click.option("--spot", is_flag=True, help="EC2: spot instances."),
    click.option("--spot-max-price", type=values.PRICE, help="EC2: the most to pay for a spot instance, in dollars an hour."),
    click.option("--on-demand-fallback", is_flag=True, help="EC2: take on-demand instances where there is no spot capacity."),
    click.option("--spot-retries", type=values.COUNT, help="EC2: how often an index starts again after a spot loss, apart from --retries (default: 5)."),
    click.option("--ami", type=values.AMI, help="EC2: the image (default: the latest Amazon Linux 2023)."),
    click.option("--volume-size", type=values.POSITIVE, help="EC2: GiB of the root volume (default: the image's)."),
    click.option("--subnet-id", type=values.Several(values.SUBNET), multiple=True, help="EC2: launch into these subnets."),
    click.option("--security-group-id", type=values.Several(values.SECURITY_GROUP), multiple=True, help="EC2: in place of one that is made."),
    click.option("--iam-policy", type=values.Several(values.IAM_POLICY), multiple=True, help="EC2: what the instances may do: s3:FullAccess, or an ARN."),
    click.option("--instance-profile", type=values.PROFILE, help="EC2: one that exists, in place of one made for the array."),
    click.option("--key-name", type=values.KEY_NAME, help="EC2: the key pair for ssh."),
    click.option("--instances", type=values.POSITIVE, help="EC2: fewer instances than indexes; each takes one after another."),
    click.option("--per-instance", type=values.POSITIVE, help="EC2, with --instances: how many indexes run at once on each (default: its vCPUs)."),
    click.option("--distribute", type=values.DISTRIBUTE, help="EC2, with --instances: ranges of their own, or one queue for all (default: static)."),
    click.option("--bucket", type=values.BUCKET, help="EC2: where outcomes, logs and outputs go (default: spawn-ACCOUNT-REGION)."),
    click.option("--budget", type=values.DOLLARS, help="EC2: refuse to launch what may cost more."),
    click.option("--confirm-above", type=values.DOLLARS, default="5", help="EC2: ask before what may cost more (default: 5 dollars)."),
    click.option("--no-ttl", is_flag=True, help="EC2: instances have no end of their own; needs --yes."),
    click.option("-y", "--yes", is_flag=True, help="EC2: do not ask; needed above --confirm-above when there is no terminal to ask on."),
    click.option("--rehearse", is_flag=True, help="EC2: play the launch in a laboratory on this machine; costs nothing."),
)


def ec2_options(function: F) -> F:
    """All of them."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


def cloud_of(flags: dict[str, Any]) -> dict[str, Any]:
    """What is given of them, in the words of a submission."""
    cloud: dict[str, Any] = {}
    for parameter, member in _MEMBERS.items():
        given = flags[parameter]
        if member in _LISTS:
            cloud[member] = list(dict.fromkeys([*cloud.get(member, []), *_flat(given)]))
        elif given is not None and given is not False:
            cloud[member] = given
    return {member: value for member, value in cloud.items() if value != []}


def _flat(given: str | Iterable[Any] | None) -> list[str]:
    if given is None or isinstance(given, str):
        return [given] if given else []
    return [text for part in given for text in ([part] if isinstance(part, str) else part)]


def given_flags(flags: dict[str, Any]) -> list[str]:
    """The flags of which something was given, as they are typed."""
    return [
        f"--{parameter.replace('_', '-')}"
        for parameter in _MEMBERS
        if flags[parameter] is not None and flags[parameter] is not False and flags[parameter] != ()
    ]
