"""EC2's wire format, read and written by the models that botocore ships: parameters to members, members to XML."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from xml.sax.saxutils import escape

from spawn.testing.ec2lab.refusals import Refused

NAMESPACE: Final = "http://ec2.amazonaws.com/doc/2016-11-15/"
_ENVELOPE: Final = frozenset({"Action", "Version", "AWSAccessKeyId"})


@functools.cache
def model(service: str) -> Any:
    """botocore's model of a service."""
    import botocore.session

    return botocore.session.get_session().get_service_model(service)


class Xml(str):
    """Text that is XML already."""

    __slots__ = ()


def read_parameters(action: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The members of a request as boto3 names them; Refused for an action or a parameter that EC2 does not have."""
    service = model("ec2")
    if action not in service.operation_names:
        raise Refused("InvalidAction", f"The action {action} is not valid for this web service.")
    shape = service.operation_model(action).input_shape
    tree: dict[str, Any] = {}
    for name, value in parameters.items():
        if name not in _ENVELOPE:
            _plant(tree, name.split("."), value)
    return {} if shape is None else _structure(shape, tree, "")


def _plant(tree: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        branch = tree.setdefault(part, {})
        if not isinstance(branch, dict):
            raise Refused("InvalidParameterCombination", f"The parameter {'.'.join(path)} cannot be used together with {part}.")
        tree = branch
    tree[path[-1]] = value


def _structure(shape: Any, tree: Any, where: str) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise Refused("InvalidParameterValue", f"Value for parameter {where} is invalid: it is a structure.")
    members = _names(shape)
    unknown = [name for name in tree if name not in members]
    if unknown:
        raise Refused("UnknownParameter", f"The parameter {where}{unknown[0]} is not recognized")
    return {members[name]: _value(shape.members[members[name]], value, f"{where}{name}") for name, value in tree.items()}


@functools.cache
def _names(shape: Any) -> dict[str, str]:
    """The name on the wire of each member."""
    names = dict[str, str]()
    for member, inner in shape.members.items():
        name = inner.serialization.get("queryName") or inner.serialization.get("name") or member
        names[name[0].upper() + name[1:]] = member
    return names


def _value(shape: Any, raw: Any, where: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, raw, f"{where}.")
    if kind == "list":
        if not isinstance(raw, dict) or not all(key.isdigit() for key in raw):
            raise Refused("InvalidParameterValue", f"Value for parameter {where} is invalid: it is a list ({where}.1, {where}.2, …).")
        return [_value(shape.member, raw[key], f"{where}.{key}") for key in sorted(raw, key=int)]
    try:
        return _scalar(kind, raw)
    except (ValueError, TypeError, AttributeError):
        raise Refused("InvalidParameterValue", f"Value ({raw}) for parameter {where} is invalid. Expected: '{kind}'.") from None


def _scalar(kind: str, raw: str) -> Any:
    if kind in ("integer", "long"):
        return int(raw)
    if kind == "boolean":
        return {"true": True, "false": False}[raw.lower()] if raw.lower() in ("true", "false") else int("not a boolean")
    if kind in ("float", "double"):
        return float(raw)
    if kind == "timestamp":
        moment = datetime.fromisoformat(raw)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return raw


def answer(action: str, members: Mapping[str, Any], request_id: str) -> bytes:
    """The answer of an action as EC2 writes it."""
    shape = model("ec2").operation_model(action).output_shape
    body = "<return>true</return>" if shape is None or not shape.members else "".join(_element(shape.members[name], name, members[name]) for name in members)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{action}Response xmlns="{NAMESPACE}"><requestId>{request_id}</requestId>{body}</{action}Response>'.encode()
    )


def fragment(shape_name: str, members: Mapping[str, Any]) -> Xml:
    """The inside of a structure's element; to be kept for one that is written often."""
    shape = model("ec2").shape_for(shape_name)
    return Xml("".join(_element(shape.members[name], name, members[name]) for name in members))


def _element(shape: Any, member: str, value: Any) -> str:
    if value is None:
        return ""
    name = shape.serialization.get("name", member)
    return f"<{name}>{_inside(shape, value)}</{name}>"


def _inside(shape: Any, value: Any) -> str:
    if isinstance(value, Xml):
        return value
    kind = shape.type_name
    if kind == "structure":
        return "".join(_element(shape.members[name], name, value[name]) for name in value)
    if kind == "list":
        item = shape.member.serialization.get("name", "item")
        return "".join(f"<{item}>{_inside(shape.member, each)}</{item}>" for each in value)
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    return escape(str(value))
