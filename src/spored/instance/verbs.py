"""What is typed on an instance: `spored status`, `extend`, `config` and `shell`."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from typing import Any

from spored.errors import NOT_FOUND, USAGE, SporedError
from spored.files import stem_of
from spored.instance.asking import ask, become_root, home_of
from spored.instance.config import Assignment
from spored.instance.durations import duration_of
from spored.instance.ledger import read_ledger
from spored.instance.places import Places
from spored.options import parse, unknown
from spored.specs import text_bytes

_ROOT = {"--root": True}


def _places(options: dict[str, str]) -> Places:
    return Places(os.path.abspath(options.get("--root", "/")))


def status(words: list[str]) -> int:
    """What the agent knows: a name, a tab and a value a line, and a line for each attempt; or one JSON object."""
    options, rest = parse(words, {"-o": True, "--output": True, **_ROOT})
    form = options.get("-o", options.get("--output", "tsv"))
    if rest:
        raise SporedError(f"status takes no word {rest[0]!r}", USAGE)
    if form not in ("tsv", "json"):
        raise SporedError(f"status is printed as tsv or json, not {form!r}", USAGE)
    home = home_of(os.environ, _places(options))
    become_root(["status", *words], home)
    answer = ask(home, {"op": "status"})
    del answer["op"]
    if form == "json":
        print(json.dumps({"schema_version": 1, **answer}))
        return 0
    for name, value in answer.items():
        if name != "attempts" and value is not None:
            print(f"{name}\t{value}")
    for attempt in answer["attempts"]:
        print(f"attempt\t{attempt['index']}\t{attempt['attempt']}\t{attempt['state']}")
    return 0


def extend(words: list[str]) -> int:
    """Let this instance end a DURATION from now, whatever its TTL was; print the new end."""
    options, rest = parse(words, _ROOT)
    if len(rest) != 1:
        raise SporedError("extend needs one DURATION, such as 90s, 30m, 2h or 1d12h", USAGE)
    by_s = duration_of(rest[0])
    home = home_of(os.environ, _places(options))
    become_root(["extend", *words], home)
    deadline = ask(home, {"op": "extend", "by_s": by_s})["deadline"]
    print(f"deadline\t{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(deadline))}")
    return 0


def config(words: list[str]) -> int:
    """Without a word all settings, with KEY one, with KEY=VALUE change it."""
    options, rest = parse(words, _ROOT)
    if len(rest) > 1:
        raise SporedError("config takes one word: KEY or KEY=VALUE", USAGE)
    key, equals, value = rest[0].partition("=") if rest else ("", "", "")
    home = home_of(os.environ, _places(options))
    become_root(["config", *words], home)
    settings = ask(home, {"op": "config", **({"key": key, "value": value} if equals else {})})["settings"]
    if key and key not in settings:
        raise unknown("key", key, settings)
    for name, shown in settings.items():
        if not key or name == key:
            print(f"{name}\t{shown}")
    return 0


def shell(words: list[str]) -> int:
    """Become a shell, or CMD, in the place of an attempt of this instance: the one with INDEX, or the only one. Also when it has ended."""
    mine, command = words, []
    if "--" in words:
        at = words.index("--")
        mine, command = words[:at], words[at + 1 :]
    options, rest = parse(mine, _ROOT)
    if len(rest) > 1:
        raise SporedError(f"shell takes one INDEX, and a command after --, not {rest[1]!r}", USAGE)
    places = _places(options)
    become_root(["shell", *words], places.home)
    noted = _read_spec(os.path.join(places.home, "spec.json"))
    assignment = _chosen(list(read_ledger(os.path.join(places.home, "ledger.jsonl"))), rest[0] if rest else None)
    _make_output(noted["spec"]["directory"], assignment)
    session = {"spec": noted["spec"], "key": noted["key"], "runner": os.path.realpath(places.runner), **dataclasses.asdict(assignment)}
    fd = os.memfd_create("session", 0)
    os.write(fd, json.dumps(session).encode())
    os.lseek(fd, 0, os.SEEK_SET)
    from spored.enter import enter

    return enter(["--session-fd", str(fd), *(["--", *command] if command else [])])


def _read_spec(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        raise SporedError(f"shell only works on an instance that spawn has launched, once its agent runs (there is no {path})", NOT_FOUND) from None
    except (OSError, ValueError) as error:
        raise SporedError(f"{path} cannot be read: {error}") from error
    return found


def _chosen(known: list[Assignment], index: str | None) -> Assignment:
    """The attempt that is meant: the latest one of an index."""
    if not known:
        raise SporedError("no attempt has begun on this instance yet", NOT_FOUND)
    indexes = sorted({assignment.index for assignment in known})
    shown = ", ".join(map(str, indexes[:20])) + (", …" if len(indexes) > 20 else "")
    if index is None:
        if len(indexes) > 1:
            raise SporedError(f"this instance has had several indexes: say which of {shown}", USAGE)
        index = str(indexes[0])
    if not index.isdigit() or int(index) not in indexes:
        raise SporedError(f"no index {index!r} has begun on this instance; there are {shown}", NOT_FOUND)
    return max((assignment for assignment in known if assignment.index == int(index)), key=lambda assignment: assignment.attempt)


def _make_output(directory: str, assignment: Assignment) -> None:
    """An attempt that left no output has no directory for it any more, but a shell may have to start there."""
    path = stem_of(text_bytes(directory), *assignment.child) + b".out"
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError as error:
        print(f"spored: {os.fsdecode(path)} cannot be made: {error.strerror}", file=sys.stderr)


def beside_runner(answer: dict[str, Any]) -> dict[str, Any]:
    """What the agent adds to a script's `spored status`: the instance's own end, and how its uploads go."""
    report = ask(home_of(os.environ, Places()), {"op": "status"})
    mine = [entry for entry in report["attempts"] if (entry["index"], entry["attempt"]) == (answer["index"] or 0, answer["attempt"])]
    said = mine[0] if mine else {"last_upload": None, "unsent": None}
    last, unsent = said["last_upload"], said["unsent"] or report["unsent"]
    return {"ttl_left_s": report["ttl_left_s"], "deadline": report["deadline"], "last_upload": last, "unsent": unsent}
