"""The native API without HTTP, on an engine in the test's hands with two providers, and fleets that are what the test says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from spawn.api.native.members import Wanted
from spawn.api.native.service import Service
from spawn.domain.fleets import InstanceFacts, Market
from spawn.domain.ids import ArrayKey, AttemptId, JobId
from spawn.domain.instants import Instant, later
from spawn.domain.states import InstanceState
from spawn.engine.news import Ended, EndKind, InstanceChanged, Launched, Started, Usage
from spawn.engine.ports import AttemptFiles
from spawn.providers.local.files import LocalFiles
from spawn.testing.fleets import ScriptedFleets
from tests.domain.making import make_fleet
from tests.engine.driving import Driven


def real_id(number: int) -> str:
    """An instance id as EC2 gives them."""
    return f"i-0{number:016x}"


class Calling(Driven):
    """An engine, and the service in front of it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.files: AttemptFiles = LocalFiles(arrays=directory / "arrays", runner=directory / "runner")
        self.fleets = ScriptedFleets(files=self.files)
        self.serve()

    def serve(self) -> None:
        """Put a service in front of the engine that there is now."""
        self.service = Service(
            engine=self.engine,
            records=self.store,
            files=self.files,
            clock=self.clock,
            take_documents=lambda *_, **__: ((), ()),
            fleets=self.fleets,
        )

    def launch(self, size: int | None = 5, *, options: dict[str, Any] | None = None, **asked: Any) -> JobId:
        """An array on EC2 that keeps its instances, handed to its provider."""
        defaults = {"indexes": None if size is None else str(size), "on_complete": "none", "name": "my-array"}
        return self.submit(fleet=make_fleet(**(options or {})), **(defaults | asked))

    def key(self, job: JobId) -> ArrayKey:
        """The key of a job."""
        key: ArrayKey = self.row(job).job.key
        return key

    def boot(self, job: JobId, *positions: int, number: int = 1, state: InstanceState = InstanceState.RUNNING) -> None:
        """Instances were launched for these, checked in, and their attempts run."""
        now = self.clock.now()
        for position in positions:
            attempt = AttemptId(self.key(job), position, number)
            self.seen(job, position, number=number, state=state)
            self.cloud.tell(Launched(attempt, now, real_id(position + 100 * number)), Started(attempt, now))
        self.engine.turn()

    def begin_on(self, job: JobId, position: int) -> None:
        """An attempt begins on an instance that is there."""
        self.cloud.tell(Started(AttemptId(self.key(job), position, 1), self.clock.now()))
        self.engine.turn()

    def seen(self, job: JobId, position: int, *, number: int = 1, **changes: Any) -> InstanceFacts:
        """What the next one who asks is told of an instance."""
        now = self.clock.now()
        known = self.fleets.facts.setdefault(self.key(job), {})
        before = known.get(position)
        if before is None or before.instance_id != real_id(position + 100 * number):
            before = InstanceFacts(
                instance_id=real_id(position + 100 * number),
                region="us-east-1",
                zone="us-east-1a",
                type="t3.micro",
                market=Market.ON_DEMAND,
                state=InstanceState.RUNNING,
                address="198.51.100.7",
                image="ami-1",
                launched_at=now,
                checked_in_at=now,
                heard_at=now,
                ends_at=later(now, timedelta(hours=4)),
                attempts=(AttemptId(self.key(job), position, number),),
            )
        known[position] = replace(before, **changes)
        return known[position]

    def over(self, job: JobId, position: int, code: int = 0, *, number: int = 1, why: str | None = None, lacks: str | None = None) -> None:
        """An attempt ended."""
        self.cloud.tell(Ended(AttemptId(self.key(job), position, number), self.clock.now(), EndKind(code, None, why), Usage(), lacks))
        self.engine.turn()

    def gone(self, job: JobId, position: int, *, number: int = 1) -> None:
        """An instance is terminated, and everybody has heard of it."""
        facts = self.seen(job, position, number=number, state=InstanceState.TERMINATED, ended_at=self.clock.now())
        self.cloud.tell(InstanceChanged(AttemptId(self.key(job), position, number), self.clock.now(), facts.instance_id, facts.state))
        self.engine.turn()

    def members(self, job: JobId, indexes: str | None = None, **wanted: Any) -> list[Any]:
        """The members that `spawn list` shows."""
        blocks = self.service.members(ref=job, indexes=indexes, wanted=Wanted(**wanted), tags={}, attempts=False)
        return [member for block in blocks for member in block]


def at(instant: Instant, seconds: float) -> Instant:
    """So many seconds later."""
    return later(instant, timedelta(seconds=seconds))
