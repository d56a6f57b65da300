"""EC2's API: what the laboratory answers itself, and what it leaves to moto."""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

from spawn.testing.ec2lab.behind import Moto
from spawn.testing.ec2lab.callers import Caller
from spawn.testing.ec2lab.fleet import Fleet
from spawn.testing.ec2lab.instance_actions import Action, InstanceActions, change_tags
from spawn.testing.ec2lab.instances import Instance, State, Volume
from spawn.testing.ec2lab.launch_checks import profile_name
from spawn.testing.ec2lab.offers import Offers
from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.requests import Answer, Request
from spawn.testing.ec2lab.rights import Rights
from spawn.testing.ec2lab.showing import filtered, page
from spawn.testing.ec2lab.stage import Stage
from spawn.testing.ec2lab.throttling import Throttle
from spawn.testing.ec2lab.wire import answer, read_parameters

_LEFT_TO_MOTO: Final = re.compile(
    r"(Create|Delete|Describe|Modify)(SecurityGroups?|KeyPairs?|Vpcs?|Subnets?|Vpc(Attribute|Endpoints?)|LaunchTemplates?|LaunchTemplateVersions?|RouteTables?|"
    r"InternetGateways?|SecurityGroupRules|SubnetAttribute|AvailabilityZones)|(Authorize|Revoke)SecurityGroup(In|E)gress|ImportKeyPair|"
    r"DescribeAccountAttributes|(Create|Delete|Describe|Attach|Detach|Associate|Disassociate|Replace)(InternetGateway|Route|RouteTable|DhcpOptions|NetworkAcls?)|"
    r"CreateDefault(Vpc|Subnet)"
)
_OURS: Final = ("i-", "vol-")


class Ec2:
    """Answers EC2 requests of callers that are known."""

    def __init__(
        self, *, stage: Stage, fleet: Fleet, instances: InstanceActions, offers: Offers, moto: Moto, rights: Rights, throttle: Throttle, port: Any
    ) -> None:
        self._stage = stage
        self._fleet = fleet
        self._moto = moto
        self._rights = rights
        self._throttle = throttle
        self._port = port
        self._actions: dict[str, Action] = {**instances.actions, **offers.actions, "DescribeTags": self._tags}

    def answer(self, request: Request, caller: Caller) -> Answer:
        """The answer; Refused when it is no."""
        action, parameters = request.action, request.parameters
        plain = not any(name.startswith(("Filter", "MaxResults", "InstanceId", "VolumeId")) for name in parameters)
        with self._stage.acting():
            self._throttle.request(request.region, action, plain=plain, now=self._stage.now())
        members = read_parameters(action, parameters)
        self._rights.see(caller, request, facts=self._tag_facts(request, members))
        if action == "RunInstances" and (profile := profile_name(members.get("IamInstanceProfile"))) is not None:
            self._rights.see(caller, request, action="iam:PassRole", resource=f"arn:aws:iam::{self._stage.account}:role/{profile}")
        if members.get("DryRun"):
            raise Refused("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        if action in self._actions:
            with self._stage.acting():
                return _xml(answer(action, self._actions[action](request.region, members), secrets.token_hex(16)))
        if action in ("CreateTags", "DeleteTags"):
            return self._change_tags(request, members)
        if _LEFT_TO_MOTO.fullmatch(action):
            self._see_groups_are_free(request, members)
            return self._moto.ask(request, self._port())
        raise Refused("UnsupportedOperation", f"The laboratory does not know {action}.")

    def see_that_it_runs(self, region: str, instance_id: str) -> None:
        """Refused, as EC2 Instance Connect says it, when an instance does not run."""
        instance = self._fleet.get(instance_id, region)
        if instance is None:
            raise Refused("EC2InstanceNotFoundException", f"Instance {instance_id} not found", 404)
        if instance.state is not State.RUNNING:
            raise Refused("EC2InstanceStateInvalidException", "Instance is not in a running state", 400)

    def _tag_facts(self, request: Request, members: dict[str, Any]) -> dict[str, str]:
        ids = members.get("InstanceIds") or [members.get("InstanceId")]
        instance = self._fleet.get(str(ids[0]), request.region) if ids else None
        facts = {"ec2:SourceInstanceARN": ""}
        return (
            facts
            if instance is None
            else facts | {f"{start}/{key}": value for key, value in instance.tags.items() for start in ("ec2:ResourceTag", "aws:ResourceTag")}
        )

    # --- tags -----------------------------------------------------------------------------------------------------------

    def _change_tags(self, request: Request, members: dict[str, Any]) -> Answer:
        ids, pairs = members.get("Resources", []), members.get("Tags", [])
        ours = [each for each in ids if each.startswith(_OURS)]
        if ours and len(ours) < len(ids):
            raise Refused("UnsupportedOperation", "The laboratory tags instances and volumes in one call, and other resources in another.")
        if not ours:
            return self._moto.ask(request, self._port())
        with self._stage.acting():
            for resource in [self._resource(request.region, each) for each in ours]:
                change_tags(resource, request.action, pairs)
        return _xml(answer(request.action, {}, secrets.token_hex(16)))

    def _resource(self, region: str, resource_id: str) -> Instance | Volume:
        found: Instance | Volume | None = self._fleet.get(resource_id, region) if resource_id.startswith("i-") else self._fleet.volumes.get(resource_id)
        if found is None or found.region != region:
            raise Refused("InvalidID", f"The ID '{resource_id}' is not valid")
        return found

    def _tags(self, region: str, members: Any) -> dict[str, Any]:
        tags = [(one.id, "instance", key, value) for one in self._fleet.seen(region) for key, value in one.tags.items()]
        tags += [(one.id, "volume", key, value) for one in self._fleet.volumes.values() if one.region == region for key, value in one.tags.items()]
        tags += self._moto.tags(region)
        looks = {
            "resource-id": lambda tag: [tag[0]],
            "resource-type": lambda tag: [tag[1]],
            "key": lambda tag: [tag[2]],
            "value": lambda tag: [tag[3]],
        }
        found = filtered(tags, members.get("Filters", ()), looks, lambda tag: {tag[2]: tag[3]})
        numbers = {tag: number for number, tag in enumerate(tags)}
        shown, token = page(found, members, lambda tag: numbers[tag])
        return {"Tags": [{"ResourceId": id_, "ResourceType": kind, "Key": key, "Value": value} for id_, kind, key, value in shown], "NextToken": token}

    def _see_groups_are_free(self, request: Request, members: dict[str, Any]) -> None:
        group = members.get("GroupId")
        if request.action == "DeleteSecurityGroup" and group is not None:
            with self._stage.acting():
                if any(group in dict(one.groups) and one.state is not State.TERMINATED for one in self._fleet.seen(request.region)):
                    raise Refused("DependencyViolation", f"resource {group} has a dependent object")


def _xml(body: bytes) -> Answer:
    return Answer(headers=(("Content-Type", "text/xml;charset=UTF-8"),), body=body)
