"""What the engine says of an array: the `spec` of docs/wire.md, checked once when it arrives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from spored.errors import BadMessage
from spored.plans import Plan, parse_plan

T = TypeVar("T")


def text_bytes(text: str) -> bytes:
    """The bytes the kernel gets for `text`: UTF-8 whatever the locale says, with surrogates for bytes that are not."""
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Spec:
    """One array as its children need it. Durations are seconds, CPU thousandths of a vCPU, memory MiB."""

    id: str
    name: str
    size: int
    is_array: bool
    first: int
    last: int
    argv: tuple[str, ...] | None
    script: str | None = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    workdir: str | None  #: None: each attempt's own output directory
    directory: str
    private_tmp: bool
    visible: tuple[str, ...]
    cpus: int
    memory: int
    memory_limit: bool
    timeout_s: float | None
    ttl_s: float | None
    grace_s: float
    keep: bool
    max_concurrent: int | None
    compat_env: bool
    queue: str
    compute_environment: str
    umask: int
    container: Plan | None = None  #: what its containers are like, where it is placed in an environment that runs them


def member(message: dict[str, Any], name: str, kind: type[T], where: str = "") -> T:
    """`message[name]`, which must be of `kind`; a bool is no int."""
    value = message.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadMessage(f"{where}{name} must be {_NAMES[kind]}, not {_shown(value)}")
    return value


def count(message: dict[str, Any], name: str, where: str = "") -> int:
    """`message[name]`, an integer of at least 0."""
    value = member(message, name, int, where)
    if value < 0:
        raise BadMessage(f"{where}{name} must be at least 0, not {value}")
    return value


def seconds(message: dict[str, Any], name: str, where: str = "") -> float:
    """`message[name]`, a duration of at least 0."""
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise BadMessage(f"{where}{name} must be a number of seconds, not {_shown(value)}")
    return float(value)


_NAMES = {str: "a string", int: "an integer", bool: "true or false", list: "a list", dict: "an object"}


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _strings(message: dict[str, Any], name: str) -> tuple[str, ...]:
    values = member(message, name, list, "spec.")
    if not all(isinstance(value, str) and "\0" not in value for value in values):
        raise BadMessage(f"spec.{name} must hold strings without NUL")
    return tuple(values)


def path(message: dict[str, Any], name: str, where: str = "") -> str:
    """`message[name]`, an absolute path."""
    value = member(message, name, str, where)
    if not value.startswith("/") or "\0" in value:
        raise BadMessage(f"{where}{name} must be an absolute path, not {_shown(value)}")
    return value


def _environment(message: dict[str, Any]) -> dict[str, str]:
    values = member(message, "environment", dict, "spec.")
    for name, value in values.items():
        # The value may be a secret, so only the name is told.
        if not name or "=" in name or "\0" in name or not isinstance(value, str) or "\0" in value:
            raise BadMessage(f"spec.environment: {_shown(name)} cannot be a variable of a process")
    return cast(dict[str, str], dict(values))


def spec_of_remains(directory: str) -> Spec:
    """As much of a spec as is needed to clean up after an array that this runner was never told of."""
    return Spec(
        id="",
        name="",
        size=0,
        is_array=True,
        first=0,
        last=0,
        argv=None,
        script=None,
        environment={},
        workdir="/",
        directory=directory,
        private_tmp=True,
        visible=(),
        cpus=0,
        memory=0,
        memory_limit=False,
        timeout_s=None,
        ttl_s=None,
        grace_s=0.0,
        keep=False,
        max_concurrent=None,
        compat_env=False,
        queue="",
        compute_environment="",
        umask=0o077,
    )


def parse_spec(message: dict[str, Any]) -> Spec:
    """A spec from the wire. Members it does not know are passed over, so that a newer engine may say more."""
    where = "spec."
    argv = None if message.get("argv") is None else _strings(message, "argv")
    script = None if message.get("script") is None else member(message, "script", str, where)
    container = None if message.get("container") is None else parse_plan(message["container"])
    if (argv is None) == (script is None) or (argv == () and container is None):
        raise BadMessage("spec needs either argv (not empty) or script")
    return Spec(
        id=member(message, "id", str, where),
        name=member(message, "name", str, where),
        size=count(message, "size", where),
        is_array=member(message, "is_array", bool, where),
        first=count(message, "first", where),
        last=count(message, "last", where),
        argv=argv,
        script=script,
        environment=_environment(message),
        workdir=None if message.get("workdir") is None else path(message, "workdir", where),
        directory=path(message, "directory", where),
        private_tmp=member(message, "private_tmp", bool, where),
        visible=_strings(message, "visible"),
        cpus=count(message, "cpus", where),
        memory=count(message, "memory", where),
        memory_limit=member(message, "memory_limit", bool, where),
        timeout_s=None if message.get("timeout_s") is None else seconds(message, "timeout_s", where),
        ttl_s=None if message.get("ttl_s") is None else seconds(message, "ttl_s", where),
        grace_s=seconds(message, "grace_s", where),
        keep=member(message, "keep", bool, where),
        max_concurrent=None if message.get("max_concurrent") is None else count(message, "max_concurrent", where),
        compat_env=member(message, "compat_env", bool, where),
        queue=member(message, "queue", str, where),
        compute_environment=member(message, "compute_environment", str, where),
        umask=count(message, "umask", where) & 0o777,
        container=container,
    )
