"""Where spawn keeps its state, and the settings that apply when a flag is not given.

Precedence: flags beat the environment (`SPAWN_TTL`) beat `#SPAWN` lines in the script beat the project file (`spawn.toml` here or in a directory
above) beat the user's file (`config.toml`) beat the defaults. Nothing here prints or starts anything, and what is dear to import is imported where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final, Literal, NamedTuple

from spawn.domain.errors import ConfigurationError

Kind = Literal["text", "flag", "list", "table"]
Value = str | bool | list[str]

LAUNCH_SETTINGS: Final[dict[str, Kind]] = {
    "array": "text",
    "name": "text",
    "ttl": "text",
    "no-ttl": "flag",
    "idle-timeout": "text",
    "timeout": "text",
    "grace": "text",
    "on-complete": "text",
    "max-concurrent": "text",
    "retries": "text",
    "retry-on": "list",
    "max-failures": "text",
    "env": "table",
    "tag": "table",
    "cpus": "text",
    "memory": "text",
    "workdir": "text",
    "private-tmp": "flag",
    "compat-env": "flag",
    "depends-on": "list",
    "sequential": "flag",
    "provider": "text",
    "instance-type": "text",
    "instance-types": "list",
    "region": "list",
    "spot": "flag",
    "spot-max-price": "text",
    "on-demand-fallback": "flag",
    "spot-retries": "text",
    "ami": "text",
    "volume-size": "text",
    "subnet-id": "list",
    "security-group-id": "list",
    "iam-policy": "list",
    "instance-profile": "text",
    "key-name": "text",
    "instances": "text",
    "per-instance": "text",
    "distribute": "text",
    "bucket": "text",
    "budget": "text",
    "confirm-above": "text",
    "yes": "flag",
    "rehearse": "flag",
}
"""The flags of `spawn launch` that a file, the environment or a script may set: `[launch]` in files, `SPAWN_…` in the environment."""

_EXCLUSIVE: Final = {"ttl": "no-ttl", "no-ttl": "ttl"}
"""Settings of which the one that is nearer to the command line takes the other's place."""

ENGINE_SETTINGS: Final[dict[str, Kind]] = {"cpus": "text", "memory": "text", "idle-exit": "text", "ec2-poll": "text"}
"""What the engine may use: `[engine]` in the user's file only, `SPAWN_ENGINE_…` in the environment. One engine serves every project."""

PROJECT_FILE: Final = "spawn.toml"
SOCKET_NAME: Final = "engine.sock"
LOG_NAME: Final = "engine.log"
LOCK_NAME: Final = "engine.lock"
STORE_NAME: Final = "store.db"
ENDPOINT_NAME: Final = "endpoint.json"


class Setting(NamedTuple):
    """A value and where it was set, for messages: `SPAWN_TTL`, `/home/me/spawn.toml: launch.ttl`."""

    value: Value
    origin: str


Settings = dict[str, Setting]


def state_directory() -> Path:
    """The directory of the store, the logs and the socket: `SPAWN_STATE_DIR`, else the platform's place for state. It may not exist yet."""
    given = os.environ.get("SPAWN_STATE_DIR")
    if given:
        return Path(os.path.abspath(os.path.expanduser(given)))
    from platformdirs import user_state_path

    return user_state_path("spawn", appauthor=False)


def user_file() -> Path:
    """The user's settings file. It may not exist."""
    from platformdirs import user_config_path

    return user_config_path("spawn", appauthor=False) / "config.toml"


def project_file(start: Path) -> Path | None:
    """The nearest `spawn.toml` in `start` or above it, not above the user's home. One that a stranger could have put there is refused."""
    home = os.path.expanduser("~")
    for directory in (start, *start.parents):
        candidate = directory / PROJECT_FILE
        if candidate.is_file():
            _refuse_planted(candidate)
            return candidate
        if str(directory) == home:
            return None
    return None


def _refuse_planted(path: Path) -> None:
    """Its `[launch] env` runs as this user: a file of someone else, in a directory that anyone may write to, is not ours to obey."""
    if path.stat().st_uid in (0, os.getuid()) or not path.parent.stat().st_mode & 0o002:
        return
    raise ConfigurationError(f"{path} belongs to another user and anyone may write to its directory: not read; remove it, or work in a directory of your own")


def launch_settings(*, script: Settings, cwd: Path | None) -> Settings:
    """What applies to `spawn launch` for the flags that are not given. Tables (`env`, `tag`) are joined key by key, everything else is replaced as a whole."""
    merged: Settings = {}
    project = project_file(cwd) if cwd is not None else None
    for layer in (
        read_file(user_file(), {"launch": LAUNCH_SETTINGS, "engine": ENGINE_SETTINGS}, "launch"),
        read_file(project, {"launch": LAUNCH_SETTINGS}, "launch") if project is not None else {},
        script,
        from_environment("SPAWN_", LAUNCH_SETTINGS),
    ):
        for key, setting in layer.items():
            if (other := _EXCLUSIVE.get(key)) is not None and other not in layer and setting.value is not False:
                merged.pop(other, None)
            merged[key] = _joined(merged.get(key), setting) if LAUNCH_SETTINGS[key] == "table" else setting
    return merged


def engine_settings() -> Settings:
    """What the user says about the engine: the environment, else the user's file."""
    settings = read_file(user_file(), {"launch": LAUNCH_SETTINGS, "engine": ENGINE_SETTINGS}, "engine")
    return settings | from_environment("SPAWN_ENGINE_", ENGINE_SETTINGS)


def _joined(lower: Setting | None, higher: Setting) -> Setting:
    if lower is None or not isinstance(lower.value, list) or not isinstance(higher.value, list):
        return higher
    return Setting(lower.value + higher.value, higher.origin)


def from_environment(prefix: str, table: dict[str, Kind]) -> Settings:
    """The settings of `table` that are set and not empty: `--spot-max-price` is `SPAWN_SPOT_MAX_PRICE`. Lists and tables are split at blanks."""
    found: Settings = {}
    for key, kind in table.items():
        name = prefix + key.upper().replace("-", "_")
        text = os.environ.get(name, "")
        if not text:
            continue
        if kind == "flag":
            found[key] = Setting(_truth(text, name), name)
        else:
            found[key] = Setting(text.split() if kind in ("list", "table") else text, name)
    return found


def _truth(text: str, origin: str) -> bool:
    word = text.lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ConfigurationError(f"{origin}: '{text}' is neither true nor false")


def read_file(path: Path, tables: dict[str, dict[str, Kind]], wanted: str) -> Settings:
    """One table of a settings file; `{}` when there is no such file. Unknown tables and keys and wrong types are refused, with the file and the key."""
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    import tomllib

    try:
        document = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from error
    for table, content in document.items():
        if table not in tables:
            raise ConfigurationError(f"{path}: unknown table '{table}'{did_you_mean(table, tables)}")
        if not isinstance(content, dict):
            raise ConfigurationError(f"{path}: '{table}' is a table: write [{table}]")
    found = {table: _table(path, table, document.get(table, {}), tables[table]) for table in tables}
    return found[wanted]


def _table(path: Path, table: str, content: dict[str, object], known: dict[str, Kind]) -> Settings:
    found: Settings = {}
    for name, value in content.items():
        key = name.replace("_", "-")
        origin = f"{path}: {table}.{name}"
        if key not in known:
            raise ConfigurationError(f"{path}: unknown key '{table}.{name}'{did_you_mean(key, known)}")
        found[key] = Setting(_value(value, known[key], origin), origin)
    return found


def _value(value: object, kind: Kind, origin: str) -> Value:
    if kind == "flag":
        if isinstance(value, bool):
            return value
        raise ConfigurationError(f"{origin}: expected true or false, not {value!r}")
    if kind == "text":
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return str(value)
        raise ConfigurationError(f"{origin}: expected a text or a number, not {value!r}")
    if kind == "table" and isinstance(value, dict) and all(isinstance(item, (str, int, float)) for item in value.values()):
        return [f"{key}={item}" for key, item in value.items()]
    if kind == "list" and isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(value)
    raise ConfigurationError(f"{origin}: expected a list of texts{' or a table' if kind == 'table' else ''}, not {value!r}")


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`; did you mean 'ttl'?` when something known is near, else the choices when they are few, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    if len(known) <= 8:
        return f"; choose from {', '.join(known)}"
    return ""
