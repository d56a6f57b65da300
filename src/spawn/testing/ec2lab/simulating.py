"""IAM's SimulatePrincipalPolicy: what somebody may do, by the rights that the laboratory goes by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

from spawn.testing.ec2lab.callers import Caller
from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.requests import Answer, Request
from spawn.testing.ec2lab.rights import Rights

_PRINCIPAL: Final = re.compile(r"arn:aws:iam::[0-9]{12}:(user|role)/(?:.*/)?([^/]+)")


def simulate(rights: Rights, request: Request, user: Caller, request_id: str, *, is_role: Callable[[str], bool]) -> Answer:
    """The answer to a call; Refused when it names nobody. An assumed role is none: its role is."""
    source = request.parameters.get("PolicySourceArn", "")
    match = _PRINCIPAL.fullmatch(source)
    if match is None:
        raise Refused("InvalidInput", f"Invalid Entity Arn: {source} does not clearly define entity type and name.", 400)
    role = match[2] if match[1] == "role" else None
    if source != user.arn and not (role is not None and is_role(source)):
        raise Refused("NoSuchEntity", f"{source} cannot be found.", 404)
    facts = {
        request.parameters[name]: request.parameters.get(name.replace("ContextKeyName", "ContextKeyValues.member.1"), "")
        for name in request.parameters
        if name.startswith("ContextEntries.member.") and name.endswith(".ContextKeyName")
    }
    resources = _members(request, "ResourceArns") or ["*"]
    results = "".join(_result(rights, role, action, resources, facts) for action in _members(request, "ActionNames"))
    body = (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>'
        f"<EvaluationResults>{results}</EvaluationResults></SimulatePrincipalPolicyResult>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></SimulatePrincipalPolicyResponse>"
    )
    return Answer(headers=(("Content-Type", "text/xml"),), body=body.encode())


def _members(request: Request, name: str) -> list[str]:
    found = {key: value for key, value in request.parameters.items() if key.startswith(f"{name}.member.")}
    return [found[key] for key in sorted(found, key=lambda key: int(key.rpartition(".")[2]))]


def _result(rights: Rights, role: str | None, action: str, resources: Sequence[str], facts: Mapping[str, str]) -> str:
    decisions = {resource: "allowed" if rights.may(role, action, resource, facts) else "implicitDeny" for resource in resources}
    whole = "allowed" if set(decisions.values()) == {"allowed"} else "implicitDeny"
    each = "".join(
        f"<member><EvalResourceName>{escape(resource)}</EvalResourceName><EvalResourceDecision>{decision}</EvalResourceDecision>"
        "<MatchedStatements/><MissingContextValues/></member>"
        for resource, decision in decisions.items()
    )
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>{escape(resources[0])}</EvalResourceName>"
        f"<EvalDecision>{whole}</EvalDecision><MatchedStatements/><MissingContextValues/>"
        f"<ResourceSpecificResults>{each}</ResourceSpecificResults></member>"
    )
