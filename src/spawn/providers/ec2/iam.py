"""The role and the instance profile of an array: what its instances may do, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from spawn.domain.errors import ConfigurationError, NotFound, SpawnError
from spawn.domain.fleets import Distribution
from spawn.domain.instances import OnComplete
from spawn.domain.jobs import Job
from spawn.providers.ec2.asking import pages, patiently
from spawn.providers.ec2.clients import Clients, code_of, is_denial
from spawn.providers.ec2.policies import parse_policies
from spawn.providers.ec2.tags import ARRAY, tags_of

PATH: Final = "/spawn/"
"""Where roles and instance profiles of ours are in IAM."""

_POLICY: Final = "spawn"
_GONE: Final = frozenset({"NoSuchEntity", "NoSuchEntityException"})
_THERE: Final = frozenset({"EntityAlreadyExists", "EntityAlreadyExistsException"})
# a profile has one role: for one that has it already IAM says that its limit is exceeded
_FULL: Final = _THERE | {"LimitExceeded", "LimitExceededException"}


def role_name(job: Job) -> str:
    """The name of an array's role and of its instance profile."""
    return f"spawn-{job.key}"


def rights(job: Job, account: str) -> dict[str, Any]:
    """The policy of an array's role: what docs/wire-ec2.md says that an instance needs, on what is the array's own, and what `--iam-policy` adds."""
    fleet = job.fleet
    if fleet is None:
        raise ValueError(f"{job.id} does not run on EC2")
    arn, prefix = f"arn:{fleet.partition}", f"arrays/{job.id}/*"
    bucket = f"{arn}:s3:::{fleet.bucket}"
    actions = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
    statements: list[dict[str, Any]] = [
        {"Sid": "OwnObjects", "Effect": "Allow", "Action": actions, "Resource": f"{bucket}/{prefix}"},
        # where the parts of a log go on after a restart is found by a listing
        {"Sid": "OwnListing", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket, "Condition": {"StringLike": {"s3:prefix": prefix}}},
    ]
    if fleet.options.distribute is Distribution.DYNAMIC:
        taking = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
        queue = f"{arn}:sqs:{fleet.bucket_region}:{account}:spawn-{job.key}"
        statements.append({"Sid": "OwnQueue", "Effect": "Allow", "Action": taking, "Resource": queue})
    if job.lifetime.on_complete is OnComplete.STOP or fleet.options.hibernate:
        # IAM has no way to say "itself"; the array's tag comes nearest
        own = {"StringEquals": {f"aws:ResourceTag/{ARRAY}": job.id}}
        statements.append(
            {"Sid": "OwnStop", "Effect": "Allow", "Action": "ec2:StopInstances", "Resource": f"{arn}:ec2:*:{account}:instance/*", "Condition": own}
        )
    statements += parse_policies(fleet.options.iam_policies).statements
    return {"Version": "2012-10-17", "Statement": statements}


def make_profile(clients: Clients, job: Job) -> bool:
    """Make an array's role and instance profile; whether the profile was made just now. Again, or by two at once: what is there is completed."""
    iam, caller, name = clients.client("iam", clients.home_region()), clients.caller(), role_name(job)
    tags = [{"Key": key, "Value": value} for key, value in tags_of(job, owner=caller.arn, launched_at=job.created_at).items()]
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    make = partial(
        iam.create_role, RoleName=name, Path=PATH, AssumeRolePolicyDocument=json.dumps(trust), Tags=tags, Description=f"Instances of {job.id}"[:1000]
    )
    _unless_there(make, f"make the role {name}")
    document = json.dumps(rights(job, caller.account))
    patiently(partial(iam.put_role_policy, RoleName=name, PolicyName=_POLICY, PolicyDocument=document), action=f"give the role {name} its rights")
    options = job.fleet.options if job.fleet is not None else None
    for arn in parse_policies(options.iam_policies).arns if options is not None else ():
        patiently(partial(iam.attach_role_policy, RoleName=name, PolicyArn=arn), action=f"attach {arn} to the role {name}")
    made = _unless_there(partial(iam.create_instance_profile, InstanceProfileName=name, Path=PATH, Tags=tags), f"make the instance profile {name}")
    _unless_there(
        partial(iam.add_role_to_instance_profile, InstanceProfileName=name, RoleName=name), f"put the role {name} into its instance profile", there=_FULL
    )
    return made


def remove_profile(clients: Clients, job: Job) -> None:
    """Remove an array's instance profile, its role and all that the role has. Again: nothing."""
    iam, name = clients.client("iam", clients.home_region()), role_name(job)
    delete_profile(iam, name, [name])
    delete_role(iam, name)


def delete_profile(iam: Any, name: str, roles: Sequence[str]) -> None:
    """Delete an instance profile, which goes after its roles. Again: nothing."""
    for role in roles:
        _unless_gone(partial(iam.remove_role_from_instance_profile, InstanceProfileName=name, RoleName=role), f"take the role {role} out of {name}")
    _unless_gone(partial(iam.delete_instance_profile, InstanceProfileName=name), f"delete the instance profile {name}")


def delete_role(iam: Any, name: str) -> None:
    """Delete a role, which goes after its policies. Again: nothing."""
    action = f"list the policies of {name}"
    try:
        attached = [policy["PolicyArn"] for page in pages(iam.list_attached_role_policies, action=action, RoleName=name) for policy in page["AttachedPolicies"]]
        inline = [policy for page in pages(iam.list_role_policies, action=action, RoleName=name) for policy in page["PolicyNames"]]
    except NotFound:
        return
    for arn in attached:
        _unless_gone(partial(iam.detach_role_policy, RoleName=name, PolicyArn=arn), f"detach {arn} from {name}")
    for policy in inline:
        _unless_gone(partial(iam.delete_role_policy, RoleName=name, PolicyName=policy), f"delete {policy} of {name}")
    _unless_gone(partial(iam.delete_role, RoleName=name), f"delete the role {name}")


def check_profile(clients: Clients, name: str) -> str | None:
    """Refuse an instance profile that is not there or has no role; a sentence when that may not be looked up."""
    try:
        found = patiently(
            _seen(lambda: clients.client("iam", clients.home_region()).get_instance_profile(InstanceProfileName=name)), action=f"look up the profile {name}"
        )
    except NotFound as error:
        raise NotFound(f"--instance-profile: there is no instance profile '{name[:128]}': `aws iam list-instance-profiles` lists those there are") from error
    if found is None:
        return f"the instance profile {name} could not be looked up (iam:GetInstanceProfile is not allowed)"
    if not found["InstanceProfile"]["Roles"]:
        raise ConfigurationError(f"--instance-profile: '{name}' has no role, so that instances could not write their outcomes: add one to it")
    return None


def check_policy(clients: Clients, arn: str) -> str | None:
    """Refuse a managed policy that is not there; a sentence when that may not be looked up."""
    try:
        found = patiently(_seen(lambda: clients.client("iam", clients.home_region()).get_policy(PolicyArn=arn)), action=f"look up the policy {arn}")
    except NotFound as error:
        raise NotFound(f"--iam-policy: there is no policy {arn}") from error
    return f"the policy {arn} could not be looked up (iam:GetPolicy is not allowed)" if found is None else None


def _seen(ask: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any] | None]:
    """What is answered; None when the caller may not ask."""

    def asked() -> dict[str, Any] | None:
        try:
            return ask()
        except ClientError as error:
            if is_denial(error):
                return None
            raise

    return asked


def _unless_there(call: Callable[[], object], action: str, *, there: frozenset[str] = _THERE) -> bool:
    def made() -> bool:
        try:
            call()
        except ClientError as error:
            if code_of(error) not in there:
                raise
            return False
        return True

    return patiently(made, action=action)


def _unless_gone(call: Callable[[], object], action: str) -> None:
    try:
        patiently(call, action=action)
    except SpawnError as error:
        if code_of(error.__cause__ or error) not in _GONE:
            raise
