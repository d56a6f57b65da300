"""Notes of the containers that may exist, one directory each: written before a container is created, gone when it is removed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from typing import NamedTuple

from spored.home import log

_NOTE = "note.json"


class Note(NamedTuple):
    """A container that may exist: what is needed to remove it."""

    name: str
    program: str
    environment: dict[str, str]
    volumes: list[str]


def place_of(runner: str, attempt: str) -> str:
    """The directory that exists as long as the container of an attempt may."""
    return os.path.join(runner, "containers", attempt)


def container_name(attempt: str) -> str:
    """The name of an attempt's container."""
    return "spawn-" + attempt.replace(":", "-")


def write_note(place: str, note: Note) -> None:
    """Say, before a container is created, that there may be one."""
    os.makedirs(place, 0o700, exist_ok=True)
    draft = os.path.join(place, _NOTE + ".new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="ascii") as file:
        json.dump(note._asdict(), file)
    os.rename(draft, os.path.join(place, _NOTE))


def read_note(place: str) -> Note | None:
    """What was noted in `place`; None: nothing, or not all of it."""
    try:
        with open(os.path.join(place, _NOTE), encoding="ascii") as file:
            return Note(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def forget(place: str) -> None:
    """The container is removed: so is what was noted of it."""
    shutil.rmtree(place, ignore_errors=True)


def remove_left(places: Iterable[str]) -> bool:
    """Kill and remove the containers that are noted in `places`, with one call for all of a kind. False: some are left, and stay noted."""
    from spored.engines import Cli
    from spored.keepers import end_keepers

    kinds: dict[str, list[tuple[str, Note]]] = {}
    for place in places:
        found_note = read_note(place)
        if found_note is None:
            forget(place)  # nothing was created before the note was whole
            continue
        kinds.setdefault(json.dumps([found_note.program, found_note.environment], sort_keys=True), []).append((place, found_note))
    well = True
    for found in kinds.values():
        note = found[0][1]
        try:
            left = Cli(note.program, note.environment, "/").remove([n.name for _, n in found], [volume for _, n in found for volume in n.volumes])
        except OSError as error:
            left = f"{note.program} cannot be run: {error.strerror}"
        if left is None:
            end_keepers([place for place, _ in found])
            for place, _ in found:
                forget(place)
        else:
            well = False
            log(f"containers are left ({', '.join(n.name for _, n in found)}): {left}")
    return well


def noted_attempts(runner: str) -> set[str]:
    """The attempts whose containers may exist."""
    try:
        return set(os.listdir(os.path.join(runner, "containers")))
    except FileNotFoundError:
        return set()


def all_places(runner: str) -> list[str]:
    """Where containers are noted."""
    return [place_of(runner, attempt) for attempt in sorted(noted_attempts(runner))]
