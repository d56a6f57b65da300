"""What `spawn doctor` says of EC2. A program of its own, `python -m spawn.providers.ec2.examining`, so that its caller can end it when AWS is slow.

It writes one finding a line, as JSON `[result, check, found]`, each as soon as it is known.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.errors import SpawnError
from spawn.domain.fleets import ACCESS, Market
from spawn.domain.instants import from_seconds
from spawn.providers.ec2.agent_archive import agent_archive
from spawn.providers.ec2.clients import Clients, code_of, translate
from spawn.providers.ec2.planning_rights import check_rights
from spawn.providers.ec2.quotas import quota_code, vcpu_quota
from spawn.providers.ec2.storage import bucket_name, bucket_region
from spawn.providers.ec2.sweeping import sweep
from spawn.providers.ec2.tags import ARRAY

Finding = tuple[str, str, str]
"""`ok` or `warn`, what was looked at, and what was found. Nothing here makes a machine unfit: arrays run without AWS."""

_ALLOWED: Final = "DryRunOperation"
_IMAGE: Final = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


def findings(access: Mapping[str, str], *, leftovers: bool) -> Iterator[Finding]:
    """One after the other; what fails is a finding. Without an account nothing else is looked at. `leftovers`: look through its regions, too."""
    agent = agent_archive()
    yield "ok", "agent for EC2", f"{len(agent.content):,} bytes, SHA-256 {agent.sha256[:12]}…"
    clients = Clients(access)
    account = _finding("AWS account", partial(_account, clients))
    yield account
    if account[0] != "ok":
        return
    checks: list[tuple[str, Callable[[], tuple[str, str]]]] = [("EC2 rights", partial(_rights, clients)), ("EC2 bucket", partial(_bucket, clients))]
    checks += [("EC2 quota", partial(_quota, clients))] + ([("left over on AWS", partial(_leftovers, clients))] if leftovers else [])
    for name, check in checks:
        yield _finding(name, check)


def _finding(name: str, check: Callable[[], tuple[str, str]]) -> Finding:
    try:
        result, found = check()
    except SpawnError as error:
        result, found = "warn", str(error)
    return result, name, found


def _account(clients: Clients) -> tuple[str, str]:
    caller = clients.caller()
    return "ok", f"{caller.account} as {caller.arn}, region {clients.region}"


def _rights(clients: Clients) -> tuple[str, str]:
    """What EC2 says that it would do, which looks at rights before it looks at anything else, and what IAM says of those that EC2 does not know."""
    ec2 = clients.client("ec2")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": ARRAY, "Value": "doctor"}]}]
    calls: dict[str, Callable[[], object]] = {
        "ec2:RunInstances": partial(ec2.run_instances, ImageId=_IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1, TagSpecifications=tags, DryRun=True),
        "ec2:DescribeInstances": partial(ec2.describe_instances, DryRun=True),
        "ec2:DescribeSubnets": partial(ec2.describe_subnets, DryRun=True),
        "ec2:DescribeInstanceTypes": partial(ec2.describe_instance_types, DryRun=True),
        "ec2:CreateSecurityGroup": partial(ec2.create_security_group, GroupName="spawn", Description="spawn", DryRun=True),
        "iam:ListRoles": partial(clients.client("iam", clients.home_region()).list_roles, PathPrefix="/spawn/", MaxItems=1),
    }
    denied = [action for action, call in calls.items() if _is_denied(action, call)]
    if denied:
        return "warn", f"not allowed: {', '.join(denied)}; docs/ec2.md has a policy that allows what spawn needs"
    check_rights(clients, attaches=False)
    return "ok", f"{', '.join(calls)} are allowed"


def _is_denied(action: str, call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        code = code_of(error)
        if code in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"):
            return True
        if code == _ALLOWED or code.startswith(("Invalid", "MissingInput", "VPCIdNotSpecified")):
            return False
        raise translate(error, action=f"ask whether {action} is allowed") from error
    except BotoCoreError as error:
        raise translate(error, action=f"ask whether {action} is allowed") from error
    return False


def _bucket(clients: Clients) -> tuple[str, str]:
    name = bucket_name(clients.caller().account, clients.region)
    region = bucket_region(clients, name, clients.region)
    return "ok", f"{name} in {region}" if region is not None else f"{name} is not there yet: the first launch makes it"


def _quota(clients: Clients) -> tuple[str, str]:
    found = []
    for market in (Market.ON_DEMAND, Market.SPOT):
        code = quota_code("t3", market)
        assert code is not None
        found.append(f"{vcpu_quota(clients, clients.region, code):g} vCPUs {market.value}")
    return "ok", f"{', '.join(found)} (standard types in {clients.region})"


def _leftovers(clients: Clients) -> tuple[str, str]:
    swept = sweep(clients, regions=(), live=(), remove=False, at=from_seconds(time.time()))
    unseen = f"; not looked at: {', '.join(swept.failed)}" if swept.failed else ""
    if swept.leftovers:
        return "warn", f"{len(swept.leftovers)} in {len(swept.regions)} regions: `spawn cleanup` shows and removes them{unseen}"
    return "warn" if unseen else "ok", f"nothing in {len(swept.regions)} regions{unseen}"


def main(arguments: list[str]) -> int:
    """Examine with the access of this process's environment; `--without-leftovers` does not look through the regions."""
    access = {name: os.environ[name] for name in ACCESS if os.environ.get(name)}
    for finding in findings(access, leftovers="--without-leftovers" not in arguments):
        sys.stdout.write(json.dumps(finding) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
