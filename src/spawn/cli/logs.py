"""`spawn logs`: what members printed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import click

from spawn.cli import options
from spawn.cli.render import data, talk
from spawn.cli.targets import find
from spawn.cli.verbs import Verb
from spawn.client.client import Client
from spawn.client.objects import Member
from spawn.domain.errors import NotFound, UsageError

_POLL_S: Final = 0.2
_PIECE: Final = 1 << 20  # the engine's largest
_SETTLED: Final = ("SUCCEEDED", "FAILED")

EXAMPLES = """\
spawn logs my-array-3                  one member (also my-array:3)
spawn logs my-array:0-4 --tail 20      the ends of five, a header over each
spawn logs my-array@failed             what failed
spawn logs my-array -f                 everything, as it comes, until it has settled
spawn logs my-array:3 --attempt 1      an earlier attempt"""


@click.command(cls=Verb, examples=EXAMPLES)
@click.argument("array", metavar="ARRAY[:SET]", default="last", required=False, shell_complete=options.complete_array)
@options.selection_argument
@click.option("-f", "--follow", is_flag=True, help="Stay until they have settled, and show what comes; Ctrl-C ends it.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="The last N lines of each.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="This attempt (default: the latest).")
def command(array: str, indexes: str | None, follow: bool, tail: int | None, attempt: int | None) -> int:
    """Show what members printed: stdout and stderr together. A header names the member when there is more than one."""
    if follow and attempt is not None:
        raise UsageError("--attempt shows one attempt as it is, and -f what comes: give one of them")
    client, target = find(array, indexes)
    chosen = list(client.members(array=target.array.array_id, indexes=target.indexes))
    if not chosen:
        raise NotFound(f"{target.array.array_id} has no members {target.indexes or ''}".rstrip())
    printer = _Printer(client, tail, headers=len(chosen) > 1)
    if not follow:
        _print_all(printer, chosen, attempt)
        return 0
    try:
        _follow(client, printer, target.array.array_id, chosen)
    except KeyboardInterrupt:
        talk.say("\nStopped following; the array goes on.")
        return 130
    return 0


class _Printer:
    """Writes logs, a header when the member changes, and remembers how far each has been shown."""

    def __init__(self, client: Client, tail: int | None, *, headers: bool) -> None:
        self._client = client
        self._tail = tail
        self._headers = headers
        self._current: tuple[str, int] | None = None
        self._at_line_start = True
        self._shown: dict[tuple[str, int], int] = {}

    def show(self, member: Member, attempt: int) -> bool:
        """Write what has come since the last time. True: this attempt has ended and nothing more comes."""
        key = (member.id, attempt)
        tail = self._tail if key not in self._shown else None
        while True:
            offset = None if tail is not None else self._shown.get(key, 0)
            piece = self._client.log(member.id, attempt=attempt, offset=offset, tail=tail)
            tail = None
            if key not in self._shown or piece.content:
                self._write(member, key, piece.content)
            self._shown[key] = piece.next
            if len(piece.content) < _PIECE:  # a full one may be followed by more that is there already
                return piece.complete

    def _write(self, member: Member, key: tuple[str, int], content: bytes) -> None:
        if self._headers and key != self._current:
            gap = "" if self._current is None else "\n" if self._at_line_start else "\n\n"
            data.write_bytes(f"{gap}==> {member.name} (attempt {key[1]}) <==\n".encode())
            self._at_line_start = True
        self._current = key
        if content:
            data.write_bytes(content)
            self._at_line_start = content.endswith(b"\n")
        data.flush()


def _print_all(printer: _Printer, chosen: Sequence[Member], attempt: int | None) -> None:
    silent = [member for member in chosen if not member.attempt]
    if len(chosen) == 1 and silent:
        raise NotFound(f"{chosen[0].name} has not started, so there is no log ({chosen[0].status}{_because(chosen[0])}); -f waits for it")
    absent = []
    for member in chosen:
        if not member.attempt:
            continue
        try:
            printer.show(member, attempt or member.attempt)
        except NotFound:
            if len(chosen) == 1:
                raise
            absent.append(member)
    if silent:
        talk.note(f"{len(silent)} of {len(chosen)} never started or have not yet: no log")
    if absent:
        talk.note(f"{len(absent)} of {len(chosen)} have no {'such attempt' if attempt else 'log'}")


def _because(member: Member) -> str:
    return f": {member.status_reason}" if member.status_reason else ""


def _show_so_far(printer: _Printer, member: Member) -> bool:
    """Whether everything of its attempt has been shown. One that is only being started has no log yet; one that could not start never has."""
    try:
        return printer.show(member, member.attempt)
    except NotFound:
        return member.status in _SETTLED


def _follow(client: Client, printer: _Printer, array_id: str, chosen: Sequence[Member]) -> None:
    """Show what comes of those that run, until all have settled. A retry goes on under its own attempt."""
    from spawn.domain.indexes import compress

    open_ones = {member.id: member for member in chosen}
    finished: dict[str, int] = {}  # the latest attempt of each that has been shown to its end
    while True:
        for member in open_ones.values():
            if member.attempt and finished.get(member.id) != member.attempt and _show_so_far(printer, member):
                finished[member.id] = member.attempt
        open_ones = {m.id: m for m in open_ones.values() if not (m.status in _SETTLED and finished.get(m.id, 0) == m.attempt)}
        if not open_ones:
            return
        indexes = None if any(m.index is None for m in open_ones.values()) else compress(m.index for m in open_ones.values() if m.index is not None)
        time.sleep(_POLL_S)
        open_ones = {member.id: member for member in client.members(array=array_id, indexes=indexes)}
