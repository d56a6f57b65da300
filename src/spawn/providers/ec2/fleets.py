"""The provider `ec2`, as the doors see it: plans, what has been seen, files, what is elsewhere, and what was left behind.

What talks to AWS is imported when it is first needed: it takes longer to import than the rest of the engine.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spawn.domain.errors import ConfigurationError
from spawn.domain.fleets import InstanceFacts, Life, Plan
from spawn.domain.ids import ArrayKey, JobId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.states import InstanceState
from spawn.engine.fleets import LOOK_S, Access, Found, Renewed, Sweep, Wish
from spawn.engine.ports import AttemptFiles, Clock
from spawn.providers.ec2.provider import Ec2Provider
from spawn.providers.ec2.recent import FRESH_MS, Recent

if TYPE_CHECKING:
    from spawn.providers.ec2.clients import Clients
    from spawn.providers.ec2.fetching import Fetcher

_KEPT: Final = 16
"""Accesses whose clients are kept: making them takes a good part of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hands:
    """What an access can do."""

    clients: Clients
    fetcher: Fetcher
    recent: Recent
    made_at: Instant


class Ec2Fleets:
    """Asks AWS with the access of whoever asks, or with that of an array. Safe to use from any thread."""

    def __init__(self, provider: Ec2Provider, *, files: AttemptFiles, clock: Clock, make_clients: Callable[[Access], Clients] | None = None) -> None:
        self._provider = provider
        self._files = files
        self._clock = clock
        self._given = make_clients
        self._guard = threading.Lock()
        self._hands: OrderedDict[frozenset[tuple[str, str]], _Hands] = OrderedDict()

    # --- launching ----------------------------------------------------------------------------------------------------

    def plan(self, wish: Wish, access: Access) -> Plan:
        """Look up all that a launch needs and check it; raise SpawnError with one sentence when it cannot be launched. Nothing is made."""
        from spawn.providers.ec2.planning import plan_with

        with self._hands_with(access, made_lately=True) as hands:
            return plan_with(hands.clients, wish, self._clock.now(), hands.recent)

    def admit(self, job: Job, access: Access) -> None:
        """Keep whose access an array is launched with. Again: the access is renewed."""
        self._provider.admit(job, access)

    def renew(self, access: Access) -> Renewed:
        """Use this access from now on for the arrays of its account whose own one AWS does not accept any more. Again: there is none left."""
        account = self._make_clients(access).caller().account
        return Renewed(account=account, arrays=tuple(self._provider.renew(account, access)))

    # --- what has been seen -------------------------------------------------------------------------------------------

    def states(self, key: ArrayKey) -> Mapping[InstanceState, int]:
        """How many instances of an array are in each state, as last seen; asks nobody."""
        return self._provider.reader.states(key)

    def lives(self, key: ArrayKey) -> Sequence[Life]:
        """The lives of all instances of an array so far; asks nobody."""
        return self._provider.reader.lives(key)

    def instances(self, key: ArrayKey, positions: Collection[int] | None = None) -> Mapping[int, InstanceFacts]:
        """The latest instance of each child, as last seen, by position; asks nobody."""
        return self._provider.reader.instances(key, positions)

    def look(self, key: ArrayKey, within_s: float = LOOK_S) -> None:
        """Ask EC2 and the bucket now, and return when that has been read."""
        self._provider.look(key, within_s)

    def power(self, job: Job, positions: Collection[int], *, on: bool, hibernate: bool) -> Mapping[int, str]:
        """Start or stop the instances of these children; by position, why where it could not be done."""
        from spawn.providers.ec2.power import power

        with self._hands_of(job.key) as hands:
            return power(hands.clients, self.instances(job.key, positions), positions, on=on, hibernate=hibernate)

    # --- files --------------------------------------------------------------------------------------------------------

    def fetch_log(self, job: Job, position: int, attempt: int) -> None:
        """Bring what there is of an attempt's log to where its file is on this machine. Again: only what is new."""
        with self._hands_of(job.key) as hands:
            hands.fetcher.fetch_log(job, position, attempt)

    def fetch_outputs(self, job: Job, attempts: Collection[tuple[int, int]]) -> Mapping[int, str]:
        """Bring outputs to where they are on this machine; by position, why where that failed."""
        with self._hands_of(job.key) as hands:
            return hands.fetcher.fetch_outputs(job, attempts)

    # --- what is elsewhere --------------------------------------------------------------------------------------------

    def adopt(self, array: JobId, bucket: str | None, access: Access, *, check: Callable[[Job], object]) -> Found:
        """Read an array from its bucket, have it checked, and follow from now on what still runs of it; raise NotFound when it is not there."""
        from spawn.providers.ec2.adopting import read_array

        at = self._clock.now()
        taken = read_array(self._make_clients(access), array, bucket=bucket, at=at)
        check(taken.found.job)
        self._provider.take_over(taken.afoot, access, at)
        return taken.found

    def sweep(self, access: Access, *, regions: Sequence[str], live: Collection[JobId], remove: bool, at: Instant) -> Sweep:
        """Look for what carries our tag and has outlived its end; with `remove` remove it."""
        from spawn.providers.ec2.sweeping import sweep

        return sweep(self._make_clients(access), regions=regions, live=live, remove=remove, at=at)

    def _make_clients(self, access: Access) -> Clients:
        from spawn.providers.ec2.clients import Clients

        return (self._given or Clients)(access)

    @contextmanager
    def _hands_of(self, key: ArrayKey) -> Iterator[_Hands]:
        """What the access of an array can do. An access that fails is read anew the next time: its files may have been renewed."""
        access = self._provider.reader.access(key)
        if not access:
            raise ConfigurationError("no AWS access is known for this array: ask again from a shell that has AWS credentials")
        try:
            with self._hands_with(access) as hands:
                yield hands
        except ConfigurationError:
            self._provider.refuse(key)
            raise

    @contextmanager
    def _hands_with(self, access: Access, *, made_lately: bool = False) -> Iterator[_Hands]:
        """`made_lately`: with settings, such as the region of a profile, as they were a minute ago at most."""
        kept = frozenset(access.items())
        try:
            yield self._kept(kept, access, made_lately=made_lately)
        except ConfigurationError:
            with self._guard:
                self._hands.pop(kept, None)
            raise

    def _kept(self, kept: frozenset[tuple[str, str]], access: Access, *, made_lately: bool) -> _Hands:
        from spawn.providers.ec2.fetching import Fetcher

        with self._guard:
            hands, now = self._hands.get(kept), self._clock.now()
            if hands is None or (made_lately and now - hands.made_at >= FRESH_MS):
                clients = self._make_clients(access)
                hands = self._hands[kept] = _Hands(clients=clients, fetcher=Fetcher(clients, self._files), recent=Recent(), made_at=now)
            self._hands.move_to_end(kept)
            while len(self._hands) > _KEPT:
                self._hands.popitem(last=False)
            return hands
