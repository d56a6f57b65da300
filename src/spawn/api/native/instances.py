"""Instances on EC2 as the doors use them: what is known of them, stopping and starting them, when they end, and how they are entered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spawn.api.native.changes import change_object, indexes_of
from spawn.api.native.references import References
from spawn.api.native.shapes import Asked, Member
from spawn.domain.errors import Conflict, SpawnError
from spawn.domain.fleets import InstanceFacts
from spawn.domain.instants import Instant, iso
from spawn.domain.jobs import Job
from spawn.domain.states import SETTLED, UNDER_WAY, InstanceState, Status
from spawn.engine import commands
from spawn.engine.fleets import LOOK_S, Fleets
from spawn.engine.loop import Engine
from spawn.engine.ports import Records
from spawn.engine.records import JobRow

Json = dict[str, Any]

_CONFIRMED_WITHIN_MS: Final = 60_000
"""`shutdown` counts in minutes."""

GONE: Final = (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """Calls that ask AWS take seconds: each is made in the thread of the request that needs it. `fleets` None: this engine has no EC2."""

    engine: Engine
    records: Records
    fleets: Fleets | None

    def facts(self, job: Job, positions: Collection[int] | None = None) -> Mapping[int, InstanceFacts]:
        """The latest instance of each child, as last seen; nothing for a job on this machine."""
        return {} if self.fleets is None or job.fleet is None else self.fleets.instances(job.key, positions)

    def states(self, job: Job) -> dict[str, int]:
        """How many instances of an array on EC2 are in each state, as last seen, whether a child stands on them or not."""
        return {} if self.fleets is None else {state.value: count for state, count in self.fleets.states(job.key).items()}

    def known(self, ref: str, verb: str, instead: str) -> tuple[JobRow, Fleets]:
        """The array and its provider; Conflict for one on this machine, where nothing is `verb`: `instead` says what there is."""
        row = References(self.records).job(ref)
        if row.job.fleet is None:
            raise Conflict(f"{row.job.id} runs on this machine, where nothing can be {verb}: {instead.format(id=row.job.id)}")
        if self.fleets is None:
            raise Conflict(f"{row.job.id} runs on EC2, which this engine was started without: `spawn engine stop`, then again")
        return row, self.fleets

    def rows(self, job: Job, positions: Iterable[int]) -> dict[int, Any]:
        """What the store has of children that have moved, by position."""
        wanted = set(positions)
        found = self.records.read("members", {"key": int(job.key, 16), "low": min(wanted, default=0), "high": max(wanted, default=-1)})
        return {row["position"]: row for row in found if row["position"] in wanted}

    # --- stopping and starting ----------------------------------------------------------------------------------------

    def stop(self, ref: str, asked: Asked) -> Json:
        """Stop instances that run, and keep their disks; an attempt that runs there ends with it, unless they hibernate."""
        row, fleets = self.known(ref, "stopped and started again", "`spawn terminate {id}` ends what runs")
        options = row.job.fleet.options if row.job.fleet is not None else None
        if asked.hibernate and options is not None and not options.hibernate:
            raise Conflict(f"{row.job.id} was not launched with --on-complete hibernate, and EC2 takes no later wish: stop it without --hibernate")
        return self._power(row, fleets, asked, on=False)

    def start(self, ref: str, asked: Asked) -> Json:
        """Start instances that are stopped."""
        row, fleets = self.known(ref, "stopped and started again", "`spawn retry {id}` runs members again")
        return self._power(row, fleets, asked, on=True)

    def _power(self, row: JobRow, fleets: Fleets, asked: Asked, *, on: bool) -> Json:
        job = row.job
        named = References(self.records).positions(row, asked.indexes)
        fleets.look(job.key)
        facts = fleets.instances(job.key, named)
        skipped: dict[str, list[int]] = {}
        chosen: list[int] = []
        for position in range(job.size) if named is None else named:
            obstacle = _obstacle(facts.get(position), on=on)
            if obstacle is None:
                chosen.append(position)
            elif named is not None:
                skipped.setdefault(obstacle, []).append(position)
        if not on:
            chosen = self._spare_companions(job, chosen, facts, skipped)
        if chosen and not asked.dry_run:
            if not on and not asked.hibernate:
                self.engine.tell(lambda state: commands.expect_power_off(state, job.id, chosen))
            failed = fleets.power(job, chosen, on=on, hibernate=asked.hibernate)
            for position, why in failed.items():
                skipped.setdefault(why, []).append(position)
            chosen = [position for position in chosen if position not in failed]
            _try_to_look(fleets, job)
        return change_object(job, chosen, skipped)

    def _spare_companions(self, job: Job, chosen: list[int], facts: Mapping[int, InstanceFacts], skipped: dict[str, list[int]]) -> list[int]:
        """Those of the chosen whose instance nobody else still works on: what several share is stopped for all of them, or not at all."""
        if job.fleet is None or not job.fleet.options.shared:
            return chosen
        wanted = set(chosen)
        others = {attempt.position for position in chosen for attempt in facts[position].attempts} - wanted
        working = {position for position, row in self.rows(job, others).items() if Status(row["status"]) in UNDER_WAY}
        kept = []
        for position in chosen:
            company = sorted({attempt.position for attempt in facts[position].attempts} & working)
            if company:
                why = f"{facts[position].instance_id} also works on {indexes_of(job, company)}: name all of them"
                skipped.setdefault(why, []).append(position)
            else:
                kept.append(position)
        return kept

    # --- extending ----------------------------------------------------------------------------------------------------

    def ends(self, ref: str, indexes: str | None, within_s: float = LOOK_S) -> Json:
        """A Change of those whose instances say themselves that they end when they are to; `skipped` are the others, and what they say.

        ProviderUnavailable when AWS does not answer `within_s`.
        """
        row, fleets = self.known(ref, "confirmed", "its instances end when `spawn list -o json` says")
        job = row.job
        positions = References(self.records).positions(row, indexes)
        fleets.look(job.key, within_s)
        facts = fleets.instances(job.key, positions)
        confirmed: list[int] = []
        skipped: dict[str, list[int]] = {}
        for position, child in sorted(self.rows(job, range(job.size) if positions is None else positions).items()):
            instance = facts.get(position)
            # what has ended has no end of its own any more: its instance is kept
            wanted = child["ends_at"] if Status(child["status"]) not in SETTLED else None if instance is None else instance.extended_to
            if wanted is None:
                continue
            doubt = _doubt(instance, wanted)
            if doubt is None:
                confirmed.append(position)
            else:
                skipped.setdefault(doubt, []).append(position)
        return change_object(job, confirmed, skipped)

    # --- entering -----------------------------------------------------------------------------------------------------

    def session(self, row: JobRow, position: int, member: Member) -> Json:
        """How an instance can be entered; Conflict with the way out when it cannot."""
        job = row.job
        facts = self._entered(job, position, member)
        instance = {
            "instance_id": facts.instance_id,
            "region": facts.region,
            "zone": facts.zone,
            "address": facts.address,
            "image": facts.image,
            "default_image": job.fleet is not None and job.fleet.options.ami is None,
            "key_name": facts.key_name,
            "checked_in": facts.checked_in_at is not None,
        }
        return {"spec": {}, "runner": "", "instance": instance}

    def _entered(self, job: Job, position: int, member: Member) -> InstanceFacts:
        """The instance, looked at again when it was not seen running."""
        if self.fleets is None:
            raise Conflict(f"{job.id} runs on EC2, which this engine was started without: `spawn engine stop`, then again")
        if member.attempt == 0:
            raise Conflict(f"{member.name} has no instance yet: it is {member.status}; `spawn status {job.id} --why` says why")
        facts = self.facts(job, [position]).get(position)
        if facts is None or facts.state is not InstanceState.RUNNING:
            self.fleets.look(job.key)
            facts = self.facts(job, [position]).get(position)
        if facts is None and member.instance_id is not None:
            raise Conflict(_gone(member, None))
        if facts is None and Status[member.status] in SETTLED:
            raise Conflict(f"{member.name} never had an instance: it is {member.status} ({member.reason or member.status_reason or 'no reason was given'})")
        if facts is None:
            raise Conflict(f"{member.name} has no instance yet: it is {member.status}; `spawn status {job.id} --why` says why")
        if facts.state is InstanceState.PENDING:
            raise Conflict(f"instance {facts.instance_id} of {member.name} is being started: try again in half a minute")
        if facts.state in (InstanceState.STOPPING, InstanceState.STOPPED):
            raise Conflict(f"instance {facts.instance_id} of {member.name} is {facts.state.value}: `spawn start {member.id}` starts it again")
        if facts.state in GONE:
            raise Conflict(_gone(member, facts))
        return facts


def _gone(member: Member, facts: InstanceFacts | None) -> str:
    why = f" ({facts.ended_why})" if facts is not None and facts.ended_why else ""
    return f"instance {member.instance_id if facts is None else facts.instance_id} of {member.name} has ended{why}; its log: `spawn logs {member.id}`"


def _obstacle(facts: InstanceFacts | None, *, on: bool) -> str | None:
    if facts is None:
        return "has no instance"
    wanted = InstanceState.STOPPED if on else InstanceState.RUNNING
    return None if facts.state is wanted else f"its instance is {facts.state.value}"


def _doubt(facts: InstanceFacts | None, wanted: Instant) -> str | None:
    """Why it is not sure that an instance ends when it is to; None: it says so itself."""
    if facts is None:
        return "its instance has not been seen yet"
    if facts.state in GONE:
        return "its instance has ended"
    if facts.ends_at is not None and abs(facts.ends_at - wanted) <= _CONFIRMED_WITHIN_MS:
        return None
    if facts.state in (InstanceState.STOPPING, InstanceState.STOPPED):
        return "its instance is stopped, and hears of it when it is started"
    if facts.checked_in_at is None:
        return "its instance has never checked in"
    heard = f", last heard from at {iso(facts.heard_at)}" if facts.heard_at is not None else ""
    says = f"ends at {iso(facts.ends_at)}" if facts.ends_at is not None else "has no end"
    return f"its instance still says that it {says}{heard}"


def _try_to_look(fleets: Fleets, job: Job) -> None:
    """What was asked for was done; that it shows at once is not worth a refusal."""
    try:
        fleets.look(job.key)
    except SpawnError:
        pass
