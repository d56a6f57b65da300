"""The work of the provider ec2, one round at a time: what the ledger wants, compared with what AWS says, brought a step further."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import partial

from spawn.domain.errors import StoreUnavailable
from spawn.domain.hindrances import Hindrance
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.engine.fleets import Access
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.control import write_control
from spawn.providers.ec2.discarding import Discards
from spawn.providers.ec2.forming import form_launches
from spawn.providers.ec2.instances import tell_states
from spawn.providers.ec2.launching import make_launches
from spawn.providers.ec2.ledger import Ledger
from spawn.providers.ec2.orders import Orders
from spawn.providers.ec2.polling import poll
from spawn.providers.ec2.pool import fill_queues
from spawn.providers.ec2.preparing import Prepared, dissolve, prepare
from spawn.providers.ec2.reading import read_news
from spawn.providers.ec2.readying import describe_again, finish, ready
from spawn.providers.ec2.reasons import count_reasons
from spawn.providers.ec2.settling import settle
from spawn.providers.ec2.spans import price_spans
from spawn.providers.ec2.stopping import act_on_stops, apply_wishes, end_overdue, terminate
from spawn.providers.ec2.turn import LOOK_SOON_S, Array, Crew, Memory, Turn

_log = logging.getLogger(__name__)


class _Parts:
    """The parts of a round. What one array is the trouble of keeps no other one, and no later part, from anything; it is raised at the end."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._failure: Exception | None = None

    def each(self, part: Callable[[Turn, list[Array]], object], arrays: list[Array]) -> None:
        """Do it for one array after another."""
        for array in arrays:
            self.all(part, [array])

    def all(self, part: Callable[[Turn, list[Array]], object], arrays: list[Array]) -> None:
        """Do it for all of them at once: it makes calls that are about several."""
        try:
            part(self._turn, arrays)
        except StoreUnavailable:
            raise
        except Exception as error:
            if self._failure is None:
                self._failure = error
            else:
                _log.exception("another part of the round failed")

    def end(self) -> None:
        """Raise what failed first."""
        if self._failure is not None:
            raise self._failure


class FleetWork:
    """Never sleeps: what has to wait has a time before which it is left alone. Stopped at any line and made anew from the ledger, it goes on."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        make_clients: Callable[[Access], Clients],
        chance: Callable[[], float],
        calls_at_once: int,
        prepare: Callable[[Clients, Job], Prepared] = prepare,
        dissolve: Callable[[Clients, Job], None] = dissolve,
        look_soon_s: float = LOOK_SOON_S,
    ) -> None:
        """`calls_at_once` 0: every call is made in the thread that calls `step`, one after another."""
        self.ledger = ledger
        self.orders = Orders(ledger)
        self._discards = Discards(self.orders)
        self.reasons: dict[str, Counter[Hindrance]] = {}
        self._memory = Memory(make_clients=make_clients, prepare=prepare, dissolve=dissolve, chance=chance, look_soon_s=look_soon_s)
        self._crew = Crew(calls_at_once)

    def step(self, now: Instant, *, look: bool = False) -> Instant | None:
        """One round; when the next one is wanted, None: not before something is asked. `look`: ask EC2 and the buckets whether that is due or not."""
        turn = Turn(ledger=self.ledger, memory=self._memory, crew=self._crew, now=now)
        apply_wishes(turn)
        parts = _Parts(turn)
        parts.each(act_on_stops, turn.arrays())
        parts.all(ready, turn.arrays())
        arrays = turn.arrays()
        parts.each(describe_again, arrays)
        parts.each(fill_queues, arrays)
        parts.all(form_launches, arrays)
        parts.all(make_launches, arrays)
        parts.each(act_on_stops, arrays)
        parts.all(partial(poll, at_once=look), arrays)
        parts.each(partial(read_news, at_once=look), arrays)
        parts.each(tell_states, arrays)
        parts.each(settle, arrays)
        parts.each(end_overdue, arrays)
        parts.all(terminate, arrays)
        parts.each(write_control, arrays)
        parts.each(price_spans, arrays)
        parts.each(finish, turn.arrays())
        self._discards.work(turn)
        self.reasons = count_reasons(turn, arrays)
        parts.end()
        return turn.next_at

    def discard(self, directory: str, done: Callable[[str], object]) -> None:
        """Delete an array's files, here and in its bucket, in the rounds to come; `done` is called when they are gone. Any thread."""
        self._discards.add(directory, done)

    def close(self) -> None:
        """Let go of threads."""
        self._crew.close()
