"""`spawn logs`: what members printed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import click

from spawn.cli import options
from spawn.cli.bringing import Bringing
from spawn.cli.render import data, talk
from spawn.cli.targets import find
from spawn.cli.verbs import Verb
from spawn.client.client import Client
from spawn.client.objects import Member
from spawn.domain.errors import NotFound, UsageError

_POLL_S: Final = 0.2
_UPLOAD_S: Final = 30.0  # so often instances upload what is new
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
    bring = Bringing(client, target.array, "logs") if target.array.on_ec2 else None
    printer = _Printer(client, tail, headers=len(chosen) > 1, here=bring is not None)
    if not follow:
        return _print_all(printer, chosen, attempt, bring)
    try:
        _follow(client, printer, target.array.array_id, chosen, bring)
    except KeyboardInterrupt:
        talk.say("\nStopped following; the array goes on.")
        return 130
    return 0


class _Printer:
    """Writes logs, a header when the member changes, and remembers how far each has been shown."""

    def __init__(self, client: Client, tail: int | None, *, headers: bool, here: bool) -> None:
        """`here`: what there is has been brought to this machine before it is shown."""
        self._client = client
        self._here = here
        self._tail = tail
        self._headers = headers
        self._current: tuple[str, int] | None = None
        self._at_line_start = True
        self._shown: dict[tuple[str, int], int] = {}

    def show(self, member: Member, attempt: int, *, bring: bool = False) -> bool:
        """Write what has come since the last time. True: this attempt has ended and nothing more comes. `bring`: it may not be on this machine yet."""
        key = (member.id, attempt)
        tail = self._tail if key not in self._shown else None
        while True:
            offset = None if tail is not None else self._shown.get(key, 0)
            piece = self._client.log(member.id, attempt=attempt, offset=offset, tail=tail, here=self._here and not bring)
            tail = None
            if key not in self._shown or piece.content:
                self._write(member, key, piece.content)
            self._shown[key] = piece.next
            if len(piece.content) < _PIECE:  # a full one may be followed by more that is there already
                return piece.complete

    def has_shown(self, member: Member, attempt: int) -> bool:
        """Whether there was anything in the log of an attempt."""
        return self._shown.get((member.id, attempt), 0) > 0

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


def _print_all(printer: _Printer, chosen: Sequence[Member], attempt: int | None, bring: Bringing | None) -> int:
    """Everything there is; 1 when some of it could not be brought to this machine, which is said."""
    silent = [member for member in chosen if not member.attempt]
    if len(chosen) == 1 and silent:
        raise NotFound(f"{chosen[0].name} has not started, so there is no log ({chosen[0].status}{_because(chosen[0])}); -f waits for it")
    absent = []
    begun = [member for member in chosen if member.attempt]
    for block in [begun] if bring is None else bring.blocks(begun, attempt=attempt):
        for member in block:
            try:
                printer.show(member, attempt or member.attempt)
            except NotFound:
                if len(chosen) == 1:
                    raise
                absent.append(member)
    if len(chosen) == 1 and not (bring is not None and bring.failed) and not printer.has_shown(chosen[0], attempt or chosen[0].attempt):
        _refuse_unless_begun(chosen[0], attempt)
    if silent:
        talk.note(f"{len(silent)} of {len(chosen)} never started or have not yet: no log")
    if absent:
        talk.note(f"{len(absent)} of {len(chosen)} have no {'such attempt' if attempt else 'log'}")
    return 0 if bring is None else bring.tell_failures()


def _refuse_unless_begun(member: Member, attempt: int | None) -> None:
    """NotFound when an empty log means that nothing has printed to it. An earlier attempt has ended, whatever its member does now."""
    if member.started_at is not None or attempt not in (None, member.attempt):
        return
    if member.status in _SETTLED:
        raise NotFound(f"{member.name} never began, so there is no log ({member.reason or member.status_reason or member.status})")
    raise NotFound(f"{member.name} has not begun, as far as is known, so there is no log ({member.status}{_because(member)}); -f waits for it")


def _because(member: Member) -> str:
    return f": {member.status_reason}" if member.status_reason else ""


def _show_so_far(printer: _Printer, member: Member, *, bring: bool = False) -> bool:
    """Whether everything of its attempt has been shown. One that is only being started has no log yet; one that could not start never has."""
    try:
        return printer.show(member, member.attempt, bring=bring)
    except NotFound:
        return member.status in _SETTLED


def _pause(count: int) -> float:
    """Seconds until logs on EC2 are asked for again, which is paid for: about ten a second, none more often than every 3 s nor less than it is uploaded."""
    return min(_UPLOAD_S, max(3.0, count / 10))


def _follow(client: Client, printer: _Printer, array_id: str, chosen: Sequence[Member], bring: Bringing | None) -> None:
    """Show what comes of those that run, until all have settled. A retry goes on under its own attempt."""
    from spawn.domain.indexes import compress

    open_ones = {member.id: member for member in chosen}
    finished: dict[str, int] = {}  # the latest attempt of each that has been shown to its end
    while True:
        if bring is not None:
            bring.all([member for member in open_ones.values() if member.attempt and finished.get(member.id) != member.attempt])
        for member in open_ones.values():
            shown = member.attempt and finished.get(member.id) != member.attempt and _show_so_far(printer, member)
            # what ended after its log was brought may have left more
            if shown and (bring is None or member.status in _SETTLED):
                finished[member.id] = member.attempt
        open_ones = {m.id: m for m in open_ones.values() if not (m.status in _SETTLED and finished.get(m.id, 0) == m.attempt)}
        if not open_ones:
            return
        indexes = None if any(m.index is None for m in open_ones.values()) else compress(m.index for m in open_ones.values() if m.index is not None)
        time.sleep(_POLL_S if bring is None else _pause(len(open_ones)))
        before, open_ones = open_ones, {member.id: member for member in client.members(array=array_id, indexes=indexes)}
        for member in before.values() if bring is not None else ():
            if 0 < member.attempt < open_ones.get(member.id, member).attempt and finished.get(member.id) != member.attempt:
                _show_so_far(printer, member, bring=True)
