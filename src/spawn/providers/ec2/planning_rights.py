"""Rights that no dry run tells of: whether the caller may make the role and the instance profile of an array, and hand the role to instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.errors import ConfigurationError
from spawn.providers.ec2.clients import Caller, Clients, Kind, classify, translate
from spawn.providers.ec2.iam import PATH

_OF_ROLE: Final = ("iam:CreateRole", "iam:TagRole", "iam:PutRolePolicy", "iam:PassRole")
_OF_PROFILE: Final = ("iam:CreateInstanceProfile", "iam:TagInstanceProfile", "iam:AddRoleToInstanceProfile")
_ATTACH: Final = "iam:AttachRolePolicy"
_ALLOWED: Final = "allowed"

# a role's session is told by the role's name alone, and the path of that role is not known: where it has one, IAM does not find it
_PRINCIPALS: Final = {"user": "iam", "assumed-role": "sts"}


def check_rights(clients: Clients, *, attaches: bool) -> None:
    """Refuse a launch whose role could not be made, in one call, which IAM answers from the caller's policies, their boundary and the organization's.

    Nothing, where IAM does not tell: the caller may not ask, is root or a federated user, or a policy goes by what is known only when it is applied.
    `attaches`: managed policies are attached to the role, too.
    """
    caller = clients.caller()
    source = _principal(caller)
    if source is None:
        return
    role, profile = (f"arn:{caller.partition}:iam::{caller.account}:{kind}{PATH}spawn-plan" for kind in ("role", "instance-profile"))
    wanted = [(action, role) for action in (*_OF_ROLE, *([_ATTACH] if attaches else []))] + [(action, profile) for action in _OF_PROFILE]
    try:
        answer = clients.client("iam", clients.home_region()).simulate_principal_policy(
            PolicySourceArn=source,
            ActionNames=[action for action, _ in wanted],
            ResourceArns=[role, profile],
            ContextEntries=[{"ContextKeyName": "iam:PassedToService", "ContextKeyValues": ["ec2.amazonaws.com"], "ContextKeyType": "string"}],
        )
    except (BotoCoreError, ClientError) as error:
        if classify(error) is Kind.EXPIRED:
            raise translate(error, action="look up what this identity may do") from error
        return
    denied = set(_denied(answer["EvaluationResults"]))
    for action, resource in wanted:
        if (action, resource) in denied:
            raise ConfigurationError(
                f"cannot make a role for the instances: {caller.arn} may not call {action} on {resource.rpartition('/')[0]}/*: "
                "name an instance profile that there is with --instance-profile, or see docs/ec2.md for a policy that allows what spawn needs"
            )


def _principal(caller: Caller) -> str | None:
    """Whose policies decide what the caller may do, as IAM calls it; None: it has no name for that."""
    kind, _, name = caller.arn.split(":", 5)[5].partition("/")
    if kind not in _PRINCIPALS or caller.arn.split(":")[2] != _PRINCIPALS[kind]:
        return None
    return caller.arn if kind == "user" else f"arn:{caller.partition}:iam::{caller.account}:role/{name.partition('/')[0]}"


def _denied(results: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Actions and resources of which it is certain that they are denied."""
    for result in results:
        each = result.get("ResourceSpecificResults") or ()
        for one in each:
            if one["EvalResourceDecision"] != _ALLOWED and not one.get("MissingContextValues"):
                yield result["EvalActionName"], one["EvalResourceName"]
        if not each and result["EvalDecision"] != _ALLOWED and not result.get("MissingContextValues"):
            yield result["EvalActionName"], result.get("EvalResourceName", "*")
