"""What instances have uploaded, brought to this machine: logs and outputs of attempts, many at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from spawn.api.native.bringing import Bringer, Errand
from spawn.api.native.changes import change_object, indexes_of
from spawn.api.native.instances import Instances
from spawn.api.native.references import References
from spawn.domain.errors import ProviderUnavailable, UsageError
from spawn.domain.ids import AttemptId
from spawn.domain.instants import later
from spawn.domain.jobs import Job
from spawn.domain.outcomes import OutcomeKind
from spawn.domain.states import SETTLED, InstanceState, Status
from spawn.engine.fleets import Fleets
from spawn.engine.ports import Clock

Json = dict[str, Any]

LONGEST_S: Final = 20.0
"""How long one answer waits at most for what is being brought."""

EXAMPLES_S: Final = 10.0
"""The same for logs of which only the ends are shown."""

_WHOLE_AFTER: Final = timedelta(minutes=10)
"""So long after a child has settled its log is whole: a script that said `spored complete` may go on for a while."""

_GOES_ON: Final = "has said that it succeeded, and its process goes on: its outputs come when that has ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """Brings them. Again: only what is new."""

    instances: Instances
    clock: Clock
    bringer: Bringer

    def bring(self, ref: str, what: str, *, indexes: str | None, attempt: int | None, within_s: float) -> Json:
        """Bring logs or outputs here, and answer with what is here, what is not and why, and what is still coming."""
        row, fleets = self.instances.known(ref, "brought", "logs and outputs of {id} are here already")
        job = row.job
        positions = References(self.instances.records).positions(row, indexes)
        wanted = range(job.size) if positions is None else positions
        skipped: dict[str, list[int]] = {}
        if what == "logs":
            logs = self._with_logs(job, wanted, attempt)
            attempts, found = set(logs), self._bring_logs(fleets, job, logs, within_s=within_s)
        elif what == "outputs":
            outputs = self._with_outputs(job, wanted, skipped)
            attempts, found = set(outputs), self._bring_outputs(fleets, job, outputs, within_s=within_s)
        else:
            raise UsageError(f"what: '{what}' is not one of logs, outputs")
        here = [position for position in sorted(attempts) if found.get(position, "") is None]
        coming = [position for position in sorted(attempts) if position not in found]
        for position, why in found.items():
            if why is not None:
                skipped.setdefault(why, []).append(position)
        return change_object(job, here, skipped) | {"coming": indexes_of(job, coming), "coming_count": len(coming)}

    def _with_logs(self, job: Job, positions: Iterable[int], number: int | None) -> dict[int, tuple[int, bool]]:
        """The attempt whose log is meant, and whether that is whole, by position; without those whose attempt has not begun."""
        before = later(self.clock.now(), -_WHOLE_AFTER)
        found = {}
        for position, row in self.instances.rows(job, positions).items():
            latest = row["attempt"]
            if latest and (number or latest) <= latest and not (Status(row["status"]) is Status.STARTING and number in (None, latest)):
                settled = Status(row["status"]) in SETTLED and row["stopped_at"] is not None and row["stopped_at"] < before
                found[position] = (number or latest, settled or (number is not None and number < latest))
        return found

    def _bring_logs(self, fleets: Fleets, job: Job, attempts: Mapping[int, tuple[int, bool]], *, within_s: float) -> dict[int, str | None]:
        now = self.clock.now()
        errands = {p: Errand("log", AttemptId(job.key, p, number)) for p, (number, _) in attempts.items()}
        works = {e: partial(_fetch_log, fleets, job, e.attempt) for e in errands.values() if not self.bringer.is_fresh(e, now)}
        done = self.bringer.bring(works, within_s=within_s)
        for position, errand in errands.items():
            if errand in done and done[errand] is None:
                self.bringer.note(errand, now, whole=attempts[position][1])
        return {p: done.get(errand) for p, errand in errands.items() if errand not in works or errand in done}

    def _with_outputs(self, job: Job, positions: Iterable[int], skipped: dict[str, list[int]]) -> dict[int, int]:
        """The last successful attempt of each child that has one; those whose process still works on its outputs are skipped."""
        wanted = set(positions)
        place: dict[str, object] = {"key": int(job.key, 16), "low": min(wanted, default=0), "high": max(wanted, default=-1)}
        facts = self.instances.facts(job, wanted)
        found: dict[int, int] = {}
        for row in self.instances.records.read("attempts_of", place):
            position = row["position"]
            if position not in wanted or row["kind"] != OutcomeKind.SUCCEEDED.value:
                continue
            state = facts[position].state if position in facts else InstanceState(row["instance"])
            if row["exit_code"] is None and row["signal"] is None and state is not InstanceState.TERMINATED:
                skipped.setdefault(_GOES_ON, []).append(position)
                found.pop(position, None)
            else:
                found[position] = row["attempt"]
        return found

    def _bring_outputs(self, fleets: Fleets, job: Job, attempts: Mapping[int, int], *, within_s: float) -> dict[int, str | None]:
        errands = {p: Errand("outputs", AttemptId(job.key, p, number)) for p, number in attempts.items()}
        done = self.bringer.bring({e: partial(_fetch_outputs, fleets, job, e.attempt) for e in errands.values()}, within_s=within_s)
        return {position: done[errand] for position, errand in errands.items() if errand in done}

    def bring_log(self, job: Job, position: int, number: int) -> None:
        """Have the newest of one log here before it is read; a job on this machine has it here already. Raises why it could not be brought."""
        if self.instances.fleets is None or job.fleet is None:
            return
        found = self._bring_logs(self.instances.fleets, job, self._with_logs(job, [position], number), within_s=LONGEST_S)
        why = found.get(position)
        if why is not None:
            raise ProviderUnavailable(f"the log of {job.child_id(position)} could not be brought: {why}")

    def bring_examples(self, job: Job, attempts: Collection[tuple[int, int]], *, within_s: float) -> None:
        """Have the newest of some logs here, as far as that can be within this time: they are shown as examples."""
        if self.instances.fleets is not None and job.fleet is not None:
            numbers = {position: (number, False) for position, number in attempts}
            self._bring_logs(self.instances.fleets, job, numbers, within_s=within_s)


def _fetch_log(fleets: Fleets, job: Job, attempt: AttemptId) -> str | None:
    fleets.fetch_log(job, attempt.position, attempt.attempt)
    return None


def _fetch_outputs(fleets: Fleets, job: Job, attempt: AttemptId) -> str | None:
    return fleets.fetch_outputs(job, [(attempt.position, attempt.attempt)]).get(attempt.position)
