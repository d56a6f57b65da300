"""Having what instances on EC2 uploaded brought to this machine, some members at a time, so that the first is shown before the last has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from spawn.cli.render import talk
from spawn.cli.render.terminal import printable
from spawn.client import fleets
from spawn.client.client import Client
from spawn.client.objects import Array, Member
from spawn.client.wire import NotListening
from spawn.domain.errors import Unavailable

_AT_ONCE: Final = 50
_FIRST_S: Final = 3.0
_SILENT_S: Final = 45.0
"""When nothing came for so long and AWS has failed to answer for some, the others are not asked for any more."""
_UNFINISHED: Final = 1


class Bringing:
    """Logs or outputs of one array. Again: only what is new; what could not be brought is remembered, with the reason."""

    def __init__(
        self,
        client: Client,
        array: Array,
        what: Literal["logs", "outputs"],
        shown: Callable[[int], None] = lambda _: None,
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """`shown` is told how many members have been looked at so far."""
        self._seconds = seconds
        self._client = client
        self._array = array
        self._what: Literal["logs", "outputs"] = what
        self._shown = shown
        self.failed: dict[str, str] = {}  #: by reason, indexes as text (empty for a single job)
        self._silent: str | None = None  #: why nothing more is asked for
        self._warned = self._waits = False

    def blocks(self, members: Sequence[Member], *, attempt: int | None = None) -> Iterator[Sequence[Member]]:
        """The members, in their order, each once what it left is here or the reason why not is known."""
        for first in range(0, len(members), _AT_ONCE):
            block = members[first : first + _AT_ONCE]
            self._bring(block, attempt)
            self._shown(first + len(block))
            yield block

    def all(self, members: Sequence[Member]) -> None:
        """Bring the newest of all of them. What cannot be had now is said once: it may be had later."""
        self.failed.clear()
        self._silent = None
        try:
            for _ in self.blocks(members):
                pass
        except NotListening:
            raise
        except Unavailable as error:
            self._warn(str(error))
        for reason in self.failed:
            self._warn(reason)

    def tell_failures(self) -> int:
        """Say what could not be brought; 1 when there is such, else 0."""
        for reason, indexes in self.failed.items():
            talk.warn(f"could not be brought{f': {indexes}' if indexes else ''}: {printable(reason)}")
        return _UNFINISHED if self.failed else 0

    def indexes_failed(self) -> frozenset[int]:
        """The indexes of which something could not be brought; a single job counts as 0."""
        from spawn.domain.indexes import IndexSet

        return frozenset(index for text in self.failed.values() for index in (IndexSet.selection(text) if text else (0,)))

    def _bring(self, block: Sequence[Member], attempt: int | None) -> None:
        from spawn.domain.indexes import compress

        numbered = [member.index for member in block if member.index is not None]
        indexes = compress(numbered) if numbered else None
        begun, came, within_s = self._seconds(), 0, _FIRST_S
        while self._silent is None:
            found = fleets.bring(self._client, self._array.array_id, self._what, indexes=indexes, attempt=attempt, within_s=within_s)
            came, within_s = came + found.count, fleets.BRING_S
            for skipped in found.skipped:
                self._fail(skipped.indexes, skipped.reason)
            if found.skipped and not came and self._seconds() - begun >= _SILENT_S:
                self._silent = found.skipped[-1].reason
            if not found.coming_count:
                return
            if found.coming_count == len(block) and not self._waits:
                self._waits = True
                talk.progress("nothing has come from the bucket yet; waiting (Ctrl-C ends the waiting)")
            indexes = found.coming
        self._fail(indexes, self._silent)

    def _fail(self, indexes: str | None, reason: str) -> None:
        self.failed[reason] = ",".join(part for part in (self.failed.get(reason, ""), indexes) if part)

    def _warn(self, reason: str) -> None:
        if not self._warned:
            talk.warn(f"{printable(reason)}; going on with what is here")
        self._warned = True
