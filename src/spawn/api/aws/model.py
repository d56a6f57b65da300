"""The operations of AWS Batch and CloudWatch Logs as botocore's service models have them: found by path or target, checked by shape."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from spawn.api.aws.checking import Refused, compiled, shown
from spawn.api.aws.failures import AwsError

BATCH: Final = "batch"
LOGS: Final = "logs"
SERIALIZATION: Final = "SerializationException"

_UNKNOWN: Final = "UnknownOperationException"
_INVALID: Final = {BATCH: "ClientException", LOGS: "InvalidParameterException"}
_PATH_WITH_MEMBER = re.compile(r"(.*/)\{(\w+)\+?\}")
_MOST_QUERY_MEMBERS = 1000


class MethodNotAllowed(AwsError):
    """The path is known; it takes other methods."""

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(_UNKNOWN, message, status=405)
        self.allowed = allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation: where it is called, and the check of what it is called with."""

    service: str
    name: str
    method: str
    path: str
    path_member: str | None
    query_members: Mapping[str, tuple[str, bool]]  #: by query name: the member, and whether it is a list
    compiled: Callable[[], Callable[[Any], Any]]

    def check(self, document: object) -> dict[str, Any]:
        """A clean copy of the input, without what the model does not know. AwsError for what the model does not allow."""
        try:
            clean: dict[str, Any] = self.compiled()(document)
        except Refused as refused:
            code = SERIALIZATION if refused.of_type else _INVALID[self.service]
            raise AwsError(code, f"{self.name}: {refused.sentence()}") from None
        return clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """An operation, and those of its members that stood in the path and the query."""

    operation: Operation
    members: Mapping[str, Any]


class ServiceApi:
    """The operations of one service. Its checks are compiled when they are first needed."""

    def __init__(self, service: str) -> None:
        from botocore.loaders import Loader
        from botocore.model import ServiceModel

        # the user's own model files (~/.aws/models) describe other endpoints than this one
        loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
        model = ServiceModel(loader.load_service_model(service, "service-2"), service_name=service)
        self.service = service
        self.target_prefix: str = model.metadata.get("targetPrefix", "")
        self._operations = {name: _operation(service, model.operation_model(name)) for name in model.operation_names}
        self._by_path: dict[bytes, dict[str, Operation]] = {}
        self._by_prefix: dict[bytes, dict[str, Operation]] = {}
        for operation in self._operations.values():
            table = self._by_path if operation.path_member is None else self._by_prefix
            table.setdefault(operation.path.encode(), {})[operation.method] = operation

    @property
    def names(self) -> list[str]:
        """The names of all operations."""
        return list(self._operations)

    def operation(self, name: str) -> Operation | None:
        """An operation by its name."""
        return self._operations.get(name)

    def at_target(self, target: str, method: str, raw_path: bytes) -> Routed:
        """The operation of an `X-Amz-Target`, such as `Logs_20140328.GetLogEvents`."""
        prefix, _, name = target.rpartition(".")
        operation = self._operations.get(name)
        if prefix != self.target_prefix or operation is None or raw_path != b"/":
            raise AwsError(_UNKNOWN, f"there is no operation '{shown(target)}' here", status=404)
        if method != "POST":
            raise MethodNotAllowed(f"{name} is called with POST, not {shown(method)}", "POST")
        return Routed(operation=operation, members={})

    def at_path(self, method: str, raw_path: bytes, query: bytes) -> Routed:
        """The operation of a path as it was sent, percent-encoded; an ARN at its end may be written with or without encoding."""
        operations, rest = self._by_path.get(raw_path), b""
        if operations is None:
            prefix = next((prefix for prefix in self._by_prefix if raw_path.startswith(prefix) and len(raw_path) > len(prefix)), None)
            if prefix is None:
                raise AwsError(_UNKNOWN, f"there is no operation at '{shown(raw_path.decode('latin-1'))}'", status=404)
            operations, rest = self._by_prefix[prefix], raw_path[len(prefix) :]
        operation = operations.get(method)
        if operation is None:
            allowed = ", ".join(operations)
            raise MethodNotAllowed(f"'{shown(raw_path.decode('latin-1'))}' is called with {allowed}, not {shown(method)}", allowed)
        return Routed(operation=operation, members=_members(operation, rest, query))


@functools.cache
def service_api(service: str) -> ServiceApi:
    """The operations of `batch` or `logs`, read from botocore's files the first time: some 30 ms."""
    return ServiceApi(service)


def _operation(service: str, model: Any) -> Operation:
    path: str = model.http.get("requestUri", "/")
    match = _PATH_WITH_MEMBER.fullmatch(path)
    return Operation(
        service=service,
        name=model.name,
        method=model.http.get("method", "POST"),
        path=path if match is None else match[1],
        path_member=None if match is None else match[2],
        query_members=_query_members(model) if service == BATCH else {},
        compiled=functools.cache(lambda: compiled(model.input_shape) if model.input_shape is not None else _nothing),
    )


def _nothing(_: object) -> dict[str, Any]:
    return {}


def _query_members(model: Any) -> dict[str, tuple[str, bool]]:
    if model.input_shape is None:
        return {}
    members = model.input_shape.members.items()
    return {shape.serialization["name"]: (name, shape.type_name == "list") for name, shape in members if shape.serialization.get("location") == "querystring"}


def _members(operation: Operation, rest: bytes, query: bytes) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if operation.query_members and query:
        for name, value in _query(query):
            if name in operation.query_members:
                member, is_list = operation.query_members[name]
                if is_list:
                    members.setdefault(member, []).append(value)
                else:
                    members[member] = value
    if operation.path_member is not None:
        try:
            members[operation.path_member] = unquote_to_bytes(rest).decode()
        except UnicodeDecodeError:
            raise AwsError(SERIALIZATION, f"{operation.name}: {operation.path_member}: '{shown(rest.decode('latin-1'))}' is not UTF-8") from None
    return members


def _query(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_QUERY_MEMBERS)
    except ValueError:
        raise AwsError(
            SERIALIZATION, f"the query '{shown(query.decode('latin-1'))}' is not at most {_MOST_QUERY_MEMBERS} percent-encoded UTF-8 members"
        ) from None
