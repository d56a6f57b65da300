"""`spored enter`: a shell, or a command, in the place where an attempt runs: its environment, directory and private /tmp."""

from __future__ import annotations

import json
import os
from typing import Any, NoReturn

from spored import libc, sandbox
from spored.environment import Identity, as_bytes, own, shared
from spored.errors import USAGE, BadMessage, Refused, SporedError
from spored.files import stem_of
from spored.notes import Note, place_of, read_note
from spored.options import parse
from spored.programs import explain, find_program
from spored.specs import Spec, count, member, parse_spec, text_bytes

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_OF_THE_TERMINAL = ("TERM", "COLORTERM")


def enter(words: list[str]) -> int:
    """Become CMD, or a shell. Returns only by an error: what could not be found is 127, what may not be run 126, as in a shell."""
    mine, command = words, []
    if "--" in words:
        at = words.index("--")
        mine, command = words[:at], words[at + 1 :]
    options, rest = parse(mine, {"--session-fd": True})
    if rest:
        raise SporedError(f"enter takes a command only after --, not {rest[0]!r}", USAGE)
    session = _read_session(options.get("--session-fd", ""))
    try:
        spec = parse_spec(member(session, "spec", dict))
        session["index"] = session.get("index") or 0  # null for a single job, whose files are named with 0
        place = [count(session, name) for name in ("position", "index", "attempt")]
        runner, key = (str(session.get(name) or "") for name in ("runner", "key"))
    except BadMessage as error:
        raise SporedError(f"the session is not understood: {error}", USAGE) from error
    stem = stem_of(text_bytes(spec.directory), *place)
    shown = sandbox.shown_paths(spec, runner)
    private = spec.private_tmp and os.path.isdir(stem + b".tmp")
    attempt = f"{key}:{place[0]}:{place[2]}".encode("ascii")
    note = read_note(place_of(runner, attempt.decode("ascii"))) if runner else None
    if note is not None:
        _become_in_container(note, command)
    variables = as_bytes(shared(spec, runner, lambda path: private and sandbox.is_hidden(path, shown)))
    named = session.get("compute_environment")
    variables.update(own(spec, Identity(text_bytes(spec.id), attempt, place[1], place[2], stem + b".out", text_bytes(named) if named else None)))
    for name in _OF_THE_TERMINAL:
        if name in os.environ:
            variables[text_bytes(name)] = text_bytes(os.environ[name])
    if private:
        _go_private(stem + b".tmp", tuple(text_bytes(path) for path in shown))
    return _become([text_bytes(word) for word in command], variables, spec)


def _read_session(text: str) -> dict[str, Any]:
    if not text.isdigit():
        raise SporedError(f"enter needs --session-fd with the number of an open descriptor, not {text!r}", USAGE)
    try:
        with open(int(text), "rb") as file:
            session = json.load(file)
    except OSError as error:
        raise SporedError(f"descriptor {text} cannot be read: {error.strerror}", USAGE) from error
    except ValueError as error:
        raise SporedError(f"what descriptor {text} holds is not JSON", USAGE) from error
    if not isinstance(session, dict):
        raise SporedError("the session must be a JSON object", USAGE)
    return session


def _go_private(tmp: bytes, shown: tuple[bytes, ...]) -> None:
    try:
        try:
            if os.geteuid() != 0:
                raise PermissionError
            libc.unshare(libc.CLONE_NEWNS)
        except PermissionError:
            sandbox.enter_user_namespace()
        sandbox.show_private_tmp(tmp, shown)
    except OSError as error:
        raise SporedError(f"the private /tmp cannot be entered: {error}") from error


def _become_in_container(note: Note, command: list[str]) -> NoReturn:
    """Run the command, or the shell that every image with one has, where the attempt's container runs."""
    words = [note.program, "exec", "--interactive", *(["--tty"] if os.isatty(0) and os.isatty(1) else []), note.name, *(command or ["/bin/sh"])]
    terminal = {name: os.environ[name] for name in _OF_THE_TERMINAL if name in os.environ}
    try:
        os.execve(note.program, words, {**note.environment, **terminal})
    except OSError as error:
        raise SporedError(f"{note.program} cannot be run: {error.strerror}", _NOT_EXECUTABLE) from error


def _become(command: list[bytes], variables: dict[bytes, bytes], spec: Spec) -> int:
    workdir = variables[b"PWD"]
    try:
        os.chdir(workdir)
    except OSError as error:
        raise SporedError(f"its working directory {os.fsdecode(workdir)} cannot be entered: {error.strerror}") from error
    if not command:
        command = [_shell(variables), b"-i"]
    try:
        program = find_program(command[0], variables[b"PATH"], workdir)
    except Refused as error:
        raise SporedError(str(error), _NOT_EXECUTABLE if "executable" in str(error) else _NOT_FOUND) from error
    os.umask(spec.umask)
    try:
        os.execve(program, command, variables)
    except OSError as error:
        code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
        raise SporedError(explain(error, program, workdir, False), code) from error


def _shell(variables: dict[bytes, bytes]) -> bytes:
    for candidate in (variables.get(b"SHELL", b""), os.environb.get(b"SHELL", b""), b"/bin/bash"):
        if candidate.startswith(b"/") and os.access(candidate, os.X_OK):
            return candidate
    return b"/bin/sh"
