"""Answers held against the output shapes of botocore's service models: nothing unknown, nothing of another type, nothing outside an enum."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, Final

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

_RANGES: Final = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_CASELESS: Final = frozenset({"RetryAction"})
"""Enums whose values are written in either case (spec 2.7: an action is given back in small letters)."""
_LATER: Final = frozenset({("JobDetail", "startedAt")})
"""Members that the model calls required and that AWS leaves out until they mean something (spec 2.6)."""


@functools.cache
def service_model(service: str) -> ServiceModel:
    """The model of `batch` or `logs`."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service_name=service)


def assert_shape(service: str, operation: str, answer: Mapping[str, Any]) -> None:
    """Fail with every place where the JSON of an answer is not what the model of the operation's output allows.

    The answer is what was sent, or boto3's reading of it, whose `ResponseMetadata` is passed over."""
    shape = service_model(service).operation_model(operation).output_shape
    answer = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    faults: list[str] = []
    if shape is None:
        if answer:
            faults.append(f"{operation} has no output, yet {sorted(answer)} were sent")
    else:
        _hold(shape, answer, operation, faults)
    assert not faults, "\n".join(faults)


def _hold(shape: Shape, value: object, path: str, faults: list[str]) -> None:
    if isinstance(shape, StructureShape):
        _hold_structure(shape, value, path, faults)
    elif isinstance(shape, ListShape):
        _hold_list(shape, value, path, faults)
    elif isinstance(shape, MapShape):
        _hold_map(shape, value, path, faults)
    else:
        fault = _fault_of_scalar(shape, value)
        if fault is not None:
            faults.append(f"{path}: {value!r} {fault}")


def _hold_structure(shape: StructureShape, value: object, path: str, faults: list[str]) -> None:
    if not isinstance(value, Mapping):
        faults.append(f"{path}: {value!r} is no object ({shape.name})")
        return
    absent = (name for name in shape.required_members if value.get(name) is None and (shape.name, name) not in _LATER)
    faults.extend(f"{path}: {name} is missing ({shape.name})" for name in absent)
    for name, member in value.items():
        if name not in shape.members:
            faults.append(f"{path}: {shape.name} has no member {name!r}")
        else:
            _hold(shape.members[name], member, f"{path}.{name}", faults)


def _hold_list(shape: ListShape, value: object, path: str, faults: list[str]) -> None:
    if not isinstance(value, list):
        faults.append(f"{path}: {value!r} is no list")
        return
    for place, member in enumerate(value):
        _hold(shape.member, member, f"{path}[{place}]", faults)


def _hold_map(shape: MapShape, value: object, path: str, faults: list[str]) -> None:
    if not isinstance(value, Mapping):
        faults.append(f"{path}: {value!r} is no map")
        return
    for key, member in value.items():
        _hold(shape.key, key, f"{path} (key)", faults)
        _hold(shape.value, member, f"{path}[{key!r}]", faults)


def _fault_of_scalar(shape: Shape, value: object) -> str | None:
    kind = shape.type_name
    if kind in _RANGES:
        low, high = _RANGES[kind]
        return None if type(value) is int and low <= value <= high else f"is no {kind}"
    if kind in ("float", "double"):
        return None if type(value) in (int, float) and math.isfinite(value) else "is no finite number"  # type: ignore[arg-type]
    if kind == "boolean":
        return None if isinstance(value, bool) else "is no boolean"
    if kind != "string":
        return f"has a type that no answer here has ({kind})"
    if not isinstance(value, str):
        return "is no string"
    allowed = list(shape.metadata.get("enum", ()))
    if allowed and value not in allowed and not (shape.name in _CASELESS and value.upper() in allowed):
        return f"is not one of {', '.join(allowed)} ({shape.name})"
    return None
