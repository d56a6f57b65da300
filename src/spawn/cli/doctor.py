"""`spawn doctor`: check this machine and this installation."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

import spawn
from spawn import __version__
from spawn.cli import doctor_ec2, options
from spawn.cli.reaching import running_engine
from spawn.cli.render import data, talk
from spawn.cli.render.data import Column, Kind
from spawn.cli.render.times import size
from spawn.cli.soundness import unsound
from spawn.cli.verbs import Verb
from spawn.client import lock
from spawn.client.objects import SCHEMA_VERSION, Engine
from spawn.client.wire import NotListening
from spawn.config import SOCKET_NAME, STORE_NAME, engine_settings, launch_settings, state_directory
from spawn.domain.errors import SpawnError

EXIT_UNFIT: Final = 3

_LEAST_SQLITE: Final = (3, 35)
_LITTLE: Final = 1 << 30
_TOO_LITTLE: Final = 50 << 20
_REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "fuse.sshfs", "9p", "afs", "ceph"})
_MAGIC: Final = b"SQLite format 3\0"
_CHECKED_BELOW: Final = 200 << 20
_PATIENCE_S: Final = 5.0
_PUT_BACK: Final = "stop the engine, put back a copy, or move the file away"
_ALREADY_2024: Final = 1_704_067_200
_NONE_RUNS: Final = "none runs"

Finding = dict[str, Any]

FINDINGS: Final[Kind[Finding]] = Kind(
    (Column("RESULT", lambda f: f["result"]), Column("CHECK", lambda f: f["check"]), Column("FOUND", lambda f: f["found"])),
    identity=lambda f: f["check"],
    name=lambda f: f["check"],
)


@click.command(cls=Verb, examples="spawn doctor\nspawn doctor -o json")
@options.output_options
def command(output_format: str, quiet: bool) -> int:
    """Check this machine and this installation. Starts no engine. Exits with 3 when something would not work."""
    findings = [{"schema_version": SCHEMA_VERSION, "result": result, "check": check, "found": found} for result, check, found in _findings()]
    data.records(FINDINGS, findings, options.output_of(output_format, quiet))
    failed = [str(finding["check"]) for finding in findings if finding["result"] == "fail"]
    if failed:
        talk.error(f"not fit to run: {', '.join(failed)}")
    return EXIT_UNFIT if failed else 0


def _findings() -> Iterator[tuple[str, str, str]]:
    checks: list[tuple[str, Callable[[], tuple[str, str]]]] = [
        ("python", _python),
        ("sqlite", _sqlite),
        ("settings", _settings),
        ("state directory", _state),
        ("free space", _space),
        ("file system", _file_system),
        ("store", _store),
        ("clock", _clock),
        ("spored", _spored),
    ]
    for name, check in checks:
        try:
            result, found = check()
        except (SpawnError, OSError) as error:
            result, found = "fail", str(error)
        yield result, name, found
    engine = list(_engine())
    yield from engine
    yield from doctor_ec2.examine(engine_runs=_answers(engine))


def _answers(engine: Sequence[tuple[str, str, str]]) -> bool:
    """Whether an engine runs that can be asked: what it said of itself is then followed by what it can do."""
    return engine[0][0] != "fail" and not engine[0][2].startswith(_NONE_RUNS)


def _python() -> tuple[str, str]:
    fit = sys.version_info >= (3, 11)
    return "ok" if fit else "fail", f"{platform.python_version()} at {sys.executable}" + ("" if fit else ": spawn needs 3.11")


def _sqlite() -> tuple[str, str]:
    fit = sqlite3.sqlite_version_info >= _LEAST_SQLITE
    return "ok" if fit else "fail", sqlite3.sqlite_version + ("" if fit else f": spawn needs {'.'.join(map(str, _LEAST_SQLITE))}")


def _settings() -> tuple[str, str]:
    here = launch_settings(script={}, cwd=Path.cwd())
    count = len(here) + len(engine_settings())
    if found := list(unsound(here)):
        return "fail", "; ".join(found)
    return "ok", f"{count} set" if count else "none set: defaults apply"


def _nearest(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _state() -> tuple[str, str]:
    path = state_directory()
    if not path.exists():
        above = _nearest(path)
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            return "ok", f"{path}: will be made when it is needed"
        return "fail", f"{path}: cannot be made, {above} is not a directory that may be written; set SPAWN_STATE_DIR to another one"
    facts = path.stat()
    if not path.is_dir():
        return "fail", f"{path} is not a directory"
    if facts.st_uid != os.getuid():
        return "fail", f"{path} belongs to another user: set SPAWN_STATE_DIR to a directory of your own"
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return "fail", f"{path} is not writable: chmod 700 {path}"
    if facts.st_mode & 0o077:
        return "warn", f"{path} is open to others: chmod 700 {path}"
    return "ok", str(path)


def _space() -> tuple[str, str]:
    path = _nearest(state_directory())
    free = shutil.disk_usage(path).free
    return "fail" if free < _TOO_LITTLE else "warn" if free < _LITTLE else "ok", f"{size(free)} free at {path}"


def _file_system() -> tuple[str, str]:
    """SQLite's WAL needs shared memory, which no network file system gives to two machines."""
    path = os.path.realpath(_nearest(state_directory()))
    kind, at = "", ""
    try:
        with open("/proc/mounts", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                where, what = line.split()[1:3]
                where = where.replace("\\040", " ")
                if (path == where or path.startswith(where.rstrip("/") + "/")) and len(where) >= len(at):
                    kind, at = what, where
    except OSError:
        return "ok", "not known on this system"
    if kind in _REMOTE:
        return "warn", f"{at} is {kind}, shared over a network: set SPAWN_STATE_DIR to a local directory"
    return "ok", f"{kind or 'unknown'} at {at or '/'}"


def _store() -> tuple[str, str]:
    """What is recorded can be read, and by this version. Nothing is written, and an engine may be at work."""
    path = state_directory() / STORE_NAME
    try:
        with open(path, "rb") as file:
            head = file.read(len(_MAGIC))
            length = os.fstat(file.fileno()).st_size
    except (FileNotFoundError, NotADirectoryError):
        return "ok", "nothing is recorded yet"
    if not length:
        return "warn", f"{path} is empty: nothing is recorded"
    if head != _MAGIC:
        return "fail", f"{path} is no SQLite database: {_PUT_BACK}"
    try:
        version, problem = _read_store(path, thoroughly=length < _CHECKED_BELOW)
    except sqlite3.OperationalError as error:
        return "warn", f"{path} could not be checked: {error}"
    except sqlite3.DatabaseError as error:
        return "fail", f"{path} is damaged ({error}): {_PUT_BACK}"
    known = max(int(script.name.split("_")[0]) for script in (Path(spawn.__file__).parent / "store" / "migrations").glob("*.sql"))
    if version > known:
        return "fail", f"{path} has schema {version}, and spawn {__version__} knows {known}: use the newer spawn, or another SPAWN_STATE_DIR"
    if problem:
        return "fail", f"{path} is damaged ({problem}): {_PUT_BACK}"
    return "ok", f"schema {version}, {size(length)}" + ("" if length < _CHECKED_BELOW else ", too large to be read through here")


def _read_store(path: Path, *, thoroughly: bool) -> tuple[int, str]:
    """The number of its schema, and what is wrong with its pages, if anything."""
    # without a log nobody has it open, and SQLite need not make the files through which it would speak with others
    alone = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro{alone}", uri=True, timeout=_PATIENCE_S)
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0]) if thoroughly else "ok"
    finally:
        connection.close()
    return version, "" if found == "ok" else " ".join(found.split())


def _clock() -> tuple[str, str]:
    now = time.time()
    if now < _ALREADY_2024:
        return "fail", f"the clock says {time.strftime('%Y-%m-%d', time.gmtime(now))}: set it"
    ahead = _nearest(state_directory()).stat().st_mtime - now
    if ahead > 60:
        return "warn", f"the state directory was written {ahead:.0f} s in the future: the clock has been set back"
    return "ok", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))


def _spored() -> tuple[str, str]:
    agent = find_spec("spored")
    if agent is None or agent.origin is None:
        return "fail", "not installed beside spawn: install spawn-arrays again"
    return "ok", str(Path(agent.origin).parent)


def _engine() -> Iterator[tuple[str, str, str]]:
    try:
        engine = running_engine().engine()
    except NotListening:
        if (pid := lock.holder(state_directory())) is not None:
            yield (
                "fail",
                "engine",
                f"process {pid} runs but does not answer at {state_directory() / SOCKET_NAME}: `spawn engine stop` ends it (what runs goes on)",
            )
            return
        yield "ok", "engine", f"{_NONE_RUNS}, and none was started: it starts when it is needed"
        for feature in ("private /tmp", "memory limit"):
            yield "ok", feature, "known when an engine runs: spawn engine start"
        return
    except SpawnError as error:
        yield "fail", "engine", str(error)
        return
    same = engine.version == __version__
    yield (
        "ok" if same else "warn",
        "engine",
        f"{engine.version}, pid {engine.pid}" + ("" if same else f": this is spawn {__version__}; `spawn engine stop`, then again"),
    )
    yield from _features(engine)


def _features(engine: Engine) -> Iterator[tuple[str, str, str]]:
    for key, name in (("private_tmp", "private /tmp"), ("memory_limit", "memory limit")):
        why_not = engine.features.get(key)
        yield "warn" if why_not else "ok", name, f"not here: {why_not}" if why_not else "yes"
