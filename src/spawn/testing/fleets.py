"""Fleets on EC2 that are what a script says, and remember what they were asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from spawn.domain.errors import NotFound, ProviderUnavailable
from spawn.domain.fleets import InstanceFacts, Life, Plan
from spawn.domain.ids import ArrayKey, JobId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.states import InstanceState
from spawn.engine.fleets import LOOK_S, Access, Found, Renewed, Sweep, Wish
from spawn.engine.ports import AttemptFiles


@dataclass(slots=True)
class ScriptedFleets:
    """Nothing is launched: tests put in `facts` what has been seen, in `news` what each next look sees, and in `logs` and `outputs` what is in the bucket.

    Keeps the promises of the real one: `instances` asks nobody, fetching again brings only what is new, and a file is whole or absent.
    """

    files: AttemptFiles
    facts: dict[ArrayKey, dict[int, InstanceFacts]] = field(default_factory=dict)
    news: list[Callable[[], None]] = field(default_factory=list)
    logs: dict[tuple[ArrayKey, int, int], bytes] = field(default_factory=dict)
    outputs: dict[tuple[ArrayKey, int, int], Mapping[str, bytes]] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)  #: by position, why nothing of it can be had or done
    plans: Plan | None = None
    found: dict[JobId, Found] = field(default_factory=dict)
    followed: list[JobId] = field(default_factory=list)  #: arrays that were taken over
    swept: Sweep | None = None
    idle: dict[ArrayKey, dict[InstanceState, int]] = field(default_factory=dict)  #: instances on which no child stands
    history: dict[ArrayKey, tuple[Life, ...]] = field(default_factory=dict)
    expired: list[JobId] = field(default_factory=list)  #: arrays whose access is not accepted
    asked: list[tuple[object, ...]] = field(default_factory=list)
    away: str | None = None  #: why AWS does not answer
    _lock: Lock = field(default_factory=Lock)

    def _ask(self, *words: object) -> None:
        with self._lock:
            self.asked.append(words)
        if self.away is not None:
            raise ProviderUnavailable(self.away)

    def plan(self, wish: Wish, access: Access) -> Plan:
        """The plan that the test gave."""
        self._ask("plan", wish.name)
        if self.plans is None:
            raise ProviderUnavailable("the script has no plan")
        return self.plans

    def admit(self, job: Job, access: Access) -> None:
        """Remember."""
        self._ask("admit", job.id)

    def renew(self, access: Access) -> Renewed:
        """What was said to have expired goes on."""
        self._ask("renew", dict(access))
        arrays, self.expired = tuple(self.expired), []
        return Renewed(account="123456789012", arrays=arrays)

    def states(self, key: ArrayKey) -> Mapping[InstanceState, int]:
        """The instances of the children, each once, and those on which none stands."""
        own = {facts.instance_id: facts.state for facts in self.facts.get(key, {}).values()}
        return dict(Counter(own.values()) + Counter(self.idle.get(key, {})))

    def lives(self, key: ArrayKey) -> Sequence[Life]:
        """What the test says."""
        return self.history.get(key, ())

    def instances(self, key: ArrayKey, positions: Collection[int] | None = None) -> Mapping[int, InstanceFacts]:
        """What the test says."""
        known = self.facts.get(key, {})
        return dict(known) if positions is None else {position: known[position] for position in positions if position in known}

    def look(self, key: ArrayKey, within_s: float = LOOK_S) -> None:
        """What was to be seen next is seen."""
        self._ask("look", key, within_s)
        if self.news:
            self.news.pop(0)()

    def power(self, job: Job, positions: Collection[int], *, on: bool, hibernate: bool) -> Mapping[int, str]:
        """Remember; what is broken fails."""
        self._ask("start" if on else "hibernate" if hibernate else "stop", tuple(sorted(positions)))
        return {position: self.broken[position] for position in positions if position in self.broken}

    def fetch_log(self, job: Job, position: int, attempt: int) -> None:
        """Append to the file what it lacks."""
        self._ask("log", position, attempt)
        if position in self.broken:
            raise ProviderUnavailable(self.broken[position])
        path = self.files.log(job, position, attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(self.logs.get((job.key, position, attempt), b"")[file.tell() :])

    def fetch_outputs(self, job: Job, attempts: Collection[tuple[int, int]]) -> Mapping[int, str]:
        """Write the files that are not there yet."""
        for position, attempt in attempts:
            self._ask("outputs", position, attempt)
            for name, content in self.outputs.get((job.key, position, attempt), {}).items():
                path = self.files.output(job, position, attempt) / name
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
        return {position: self.broken[position] for position, _ in attempts if position in self.broken}

    def adopt(self, array: JobId, bucket: str | None, access: Access, *, check: Callable[[Job], object]) -> Found:
        """What the test put there."""
        self._ask("adopt", array, bucket)
        if array not in self.found:
            raise NotFound(f"there is no array '{array}' in the bucket")
        check(self.found[array].job)
        self.followed.append(array)
        return self.found[array]

    def sweep(self, access: Access, *, regions: Sequence[str], live: Collection[JobId], remove: bool, at: Instant) -> Sweep:
        """What the test says was found."""
        self._ask("sweep", tuple(regions), tuple(sorted(live)), remove)
        return self.swept or Sweep(account="123456789012", regions=tuple(regions), failed={}, leftovers=())
