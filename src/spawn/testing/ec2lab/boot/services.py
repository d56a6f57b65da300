"""Unit files of services: what of systemd's language machines of the laboratory understand."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

PLACES = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
WANTS = "/etc/systemd/system/multi-user.target.wants"
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|sec|seconds?|min|m|minutes?|h|hr|hours?|)")
_UNITS = {"us": 1e-6, "ms": 1e-3, "": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "m": 60.0, "minute": 60.0, "minutes": 60.0}
_UNITS |= {"h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0}
_WORD = re.compile(r"\$(?:\$|\{(\w+)\})")
_SPECIFIER = re.compile(r"%(.)")
# Said about a service, or true of every machine here: nothing to do for them.
_WITHOUT_EFFECT = """
    Description Documentation After Before Wants Requires DefaultDependencies WantedBy Alias OOMScoreAdjust LimitNOFILE LimitNPROC
    LimitCORE TasksMax Delegate Nice OOMPolicy StandardInput SyslogIdentifier CPUWeight IOWeight FinalKillSignal SendSIGKILL
"""
_HEEDED = """
    Type ExecStart ExecStartPre ExecStopPost Environment EnvironmentFile WorkingDirectory Restart RestartSec KillMode KillSignal TimeoutStopSec
    TimeoutSec RemainAfterExit StandardOutput StandardError User UMask StartLimitBurst StartLimitIntervalSec RuntimeDirectory
    StateDirectory SuccessExitStatus RestartPreventExitStatus
"""
_KNOWN = frozenset((_WITHOUT_EFFECT + _HEEDED).split())


class BadUnit(ValueError):
    """A unit file that cannot be acted on; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as its unit file describes it."""

    name: str
    description: str
    type: str
    start: tuple[str, ...]
    before: tuple[str, ...] = ()
    after_stop: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment_files: tuple[str, ...] = ()
    directory: str = "/"
    umask: int = 0o022
    restart: str = "no"
    restart_s: float = 0.1
    never_restarts: frozenset[int] = frozenset()
    success: frozenset[int] = frozenset()
    kill_mode: str = "control-group"
    kill_signal: str = "SIGTERM"
    stop_s: float = 90.0
    remains: bool = False
    on_console: bool = False
    burst: int = 5
    interval_s: float = 10.0
    directories: tuple[str, ...] = ()
    wanted_by: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()


def find(name: str, root: str = "") -> Service | None:
    """Read a service's unit file and its drop-ins; None when there is none. BadUnit when it cannot be acted on."""
    for place in PLACES:
        path = f"{root}{place}/{name}"
        if os.path.isfile(path):
            drop_ins = sorted(glob.glob(f"{glob.escape(path)}.d/*.conf"))
            return parse(name, "\n".join(_read(part) for part in [path, *drop_ins]))
    return None


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def parse(name: str, text: str) -> Service:
    """Understand the text of a unit file."""
    words = _settings(name, text)

    def last(key: str, default: str) -> str:
        return (words.get(key) or [default])[-1]

    _check(name, words)
    return Service(
        name=name,
        description=last("Description", name),
        type=last("Type", "simple"),
        start=tuple(words["ExecStart"]),
        before=tuple(words.get("ExecStartPre", ())),
        after_stop=tuple(words.get("ExecStopPost", ())),
        environment=_assignments(words.get("Environment", [])),
        environment_files=tuple(words.get("EnvironmentFile", ())),
        directory=_directory(last("WorkingDirectory", "/")),
        umask=int(last("UMask", "0022"), 8),
        restart=last("Restart", "no"),
        restart_s=seconds(last("RestartSec", "100ms")),
        never_restarts=_codes(words.get("RestartPreventExitStatus", [])),
        success=_codes(words.get("SuccessExitStatus", [])),
        kill_mode=last("KillMode", "control-group"),
        kill_signal=last("KillSignal", "SIGTERM"),
        stop_s=seconds(last("TimeoutStopSec", last("TimeoutSec", "90s"))),
        remains=last("RemainAfterExit", "no") in {"yes", "true", "1", "on"},
        on_console="console" in last("StandardOutput", "journal"),
        burst=int(last("StartLimitBurst", "5")),
        interval_s=seconds(last("StartLimitIntervalSec", "10s")),
        directories=tuple([f"/run/{d}" for d in last("RuntimeDirectory", "").split()] + [f"/var/lib/{d}" for d in last("StateDirectory", "").split()]),
        wanted_by=tuple(last("WantedBy", "").split()),
        not_understood=tuple(sorted(words.keys() - _KNOWN)),
    )


def _check(name: str, words: Mapping[str, list[str]]) -> None:
    """BadUnit for what cannot be acted on, and must not be passed over."""
    kind, user = (words.get("Type") or ["simple"])[-1], (words.get("User") or ["root"])[-1]
    if kind not in {"simple", "exec", "oneshot", "idle"}:
        raise BadUnit(f"{name}: Type={kind} is not to be had in the laboratory; simple, exec and oneshot are")
    commands = words.get("ExecStart", [])
    if not commands or (len(commands) > 1 and kind != "oneshot"):
        raise BadUnit(f"{name}: Service has {'no' if not commands else 'more than one'} ExecStart= setting. Refusing.")
    for text in [text for key in ("ExecStart", "ExecStartPre", "ExecStopPost") for text in words.get(key, ())]:
        _checked_command(name, text)
    if user not in {"root", "0"}:
        raise BadUnit(f"{name}: User={user} is not to be had in the laboratory, where services run as root")


def _settings(name: str, text: str) -> dict[str, list[str]]:
    """Every setting with its values in order; an empty value takes back those before it."""
    found: dict[str, list[str]] = {}
    specifiers = {"%": "%", "n": name, "N": name.removesuffix(".service"), "p": name.removesuffix(".service")}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()
        if not line or line[0] in "#;[":
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise BadUnit(f"{name}: Missing '=' in {line!r}.")
        if value.strip():
            found.setdefault(key.strip(), []).append(_SPECIFIER.sub(lambda match: specifiers.get(match[1], match[0]), value.strip()))
        else:
            found[key.strip()] = []
    return found


def _checked_command(name: str, text: str) -> None:
    try:
        if not shlex.split(text.lstrip("-+!:@")):
            raise BadUnit(f"{name}: a command is empty")
    except ValueError as error:
        raise BadUnit(f"{name}: {text!r} is no command: {error}") from None


def _directory(value: str) -> str:
    return "/root" if value == "~" else value.lstrip("-")


def _assignments(values: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for value in values for word in shlex.split(value)]
    return {name: value for name, equals, value in pairs if equals}


def _codes(values: list[str]) -> frozenset[int]:
    return frozenset(int(word) for value in values for word in value.split() if word.isdigit())


def seconds(text: str) -> float:
    """What a time of a unit file lasts; `infinity` is a day here."""
    if text.strip() in {"infinity", "0"}:
        return 86_400.0 if text.strip() == "infinity" else 0.0
    matches = _TIME.findall(text)
    if not matches or _TIME.sub("", text).strip():
        raise BadUnit(f"Failed to parse time value {text!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in matches)


def environment_of(service: Service, root: str = "") -> dict[str, str]:
    """What the service adds to its processes' environment. A missing file is passed over when its name begins with `-`, otherwise OSError."""
    found = dict(service.environment)
    for name in service.environment_files:
        path = root + name.lstrip("-")
        if name.startswith("-") and not os.path.exists(path):
            continue
        lines = [line.strip() for line in _read(path).splitlines()]
        for line in lines:
            variable, equals, value = line.partition("=")
            if equals and line[0] not in "#;":
                found[variable.strip()] = "".join(shlex.split(value)) if value[:1] in {"'", '"'} else value
    return found


def command(text: str, environment: Mapping[str, str]) -> tuple[list[str], bool]:
    """The words of a command line, and whether its failure counts."""
    counts = True
    while text[:1] in {"-", "+", "!", ":", "@"}:
        counts = counts and text[0] != "-"
        text = text[1:]
    words: list[str] = []
    for word in shlex.split(text):
        if re.fullmatch(r"\$\w+", word):
            words += environment.get(word[1:], "").split()
        else:
            words.append(_WORD.sub(lambda match: environment.get(match[1], "") if match[1] else "$", word))
    return words, counts
