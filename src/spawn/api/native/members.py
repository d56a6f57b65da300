"""Members as the store has them: a line each, ten thousand in a few dozen milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from spawn.api.native.shapes import Attempt, Instance, Member
from spawn.domain.fleets import InstanceFacts
from spawn.domain.ids import AttemptId
from spawn.domain.instances import state_of
from spawn.domain.instants import Instant, iso
from spawn.domain.jobs import Job
from spawn.domain.outcomes import OutcomeKind
from spawn.domain.states import NOT_STARTED, SETTLED, UNDER_WAY, InstanceState, Status
from spawn.engine.ports import Records
from spawn.engine.records import JobRow

_NAMES: Final = [status.name for status in Status]
_WORD: Final[dict[InstanceState, str]] = {state: state.value for state in InstanceState}
_BLOCK: Final = 2000
"""Children read and written at a time, so that a million of them take no more room than these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which members: any of these states, statuses and names (their own, or their array's); an empty set means all."""

    states: Collection[str] = ()
    statuses: Collection[str] = ()
    names: Collection[str] = ()

    def takes(self, member: Member, array_name: str) -> bool:
        """Whether a member of an array of this name is one of those."""
        return (
            (not self.states or member.state in self.states)
            and (not self.statuses or member.status in self.statuses)
            and (not self.names or member.name in self.names or array_name in self.names)
        )


class MemberReader:
    """Builds the members of one job."""

    def __init__(self, records: Records, row: JobRow, *, now: Instant, facts: Mapping[int, InstanceFacts] | None = None) -> None:
        """`facts`: the latest instances of the children of a job on EC2, by position."""
        self._records = records
        self._facts = facts or {}
        self._row = row
        self._job = row.job
        self._number = int(row.job.key, 16)
        self._now = now
        self._tags = dict(row.job.tags)
        self._created = iso(row.job.created_at)
        self._age = max(0.0, (now - row.job.created_at) / 1000)

    def blocks(self, wanted: Wanted, positions: Collection[int] | None = None) -> Iterator[list[Member]]:
        """The members wanted, ascending, in blocks of at most 2,000."""
        chosen = None if positions is None else set(positions)
        for low in range(0, self._job.size, _BLOCK):
            high = min(low + _BLOCK, self._job.size)
            if chosen is not None and not any(low <= position < high for position in chosen):
                continue
            members = self._block(low, high)
            if chosen is not None:
                members = [member for position, member in enumerate(members, low) if position in chosen]
            if wanted.states or wanted.statuses or wanted.names:
                members = [member for member in members if wanted.takes(member, self._job.name)]
            if members:
                yield members

    def one(self, position: int) -> Member:
        """The member at a position."""
        return self._block(position, position + 1)[0]

    def _block(self, low: int, high: int) -> list[Member]:
        rows = {row[0]: row for row in self._records.read("members", {"key": self._number, "low": low, "high": high - 1})}
        return [self._moved(rows[position]) if position in rows else self._unmoved(position) for position in range(low, high)]

    def _member(self, position: int, **facts: Any) -> Member:
        job = self._job
        index = job.indexes.index_at(position) if job.indexes is not None else None
        return Member(
            array_id=job.id,
            name=job.name if index is None else f"{job.name}-{index}",
            index=index,
            id=job.id if index is None else f"{job.id}:{index}",
            created_at=self._created,
            age_s=self._age,
            tags=self._tags,
            **facts,
        )

    def _state(self, status: Status, *, ends_at: Instant | None = None, stopping: bool = False) -> str:
        return _WORD[state_of(status, self._job.lifetime.on_complete, ends_at=ends_at, now=self._now, stopping=stopping)]

    def _unmoved(self, position: int) -> Member:
        base = self._row.base
        local = self._job.fleet is None
        return self._member(
            position,
            instance_id=f"i-{self._job.key}{position:05x}01" if local and base not in SETTLED else None,
            state=self._state(base),
            status=base.name,
            status_reason=self._row.base_reason,
            exit_code=None,
            reason=None,
            attempt=0,
            lost=False,
            started_at=None,
            stopped_at=iso(self._row.base_at) if base in SETTLED else None,
            **({} if local else {"interrupted": False, "instance": None}),
        )

    def _moved(self, row: Any) -> Member:
        position, status, attempt, why, started_at, stopped_at, ends_at, kind, exit_code, status_reason, reason, _, instance_end = row[:13]
        settled = status >= Status.SUCCEEDED
        if self._job.fleet is None:
            instance: dict[str, Any] = {
                "instance_id": f"i-{self._job.key}{position:05x}{max(attempt, 1):02x}" if attempt or not settled else None,
                "state": self._state(Status(status), ends_at=instance_end if settled else ends_at, stopping=why is not None and not settled),
            }
        else:
            instance = self._on_ec2(row) | {"interrupted": settled and kind == OutcomeKind.INTERRUPTED.value}
        return self._member(
            position,
            status=_NAMES[status],
            status_reason=why if why is not None else status_reason,
            exit_code=exit_code,
            reason=reason,
            attempt=attempt,
            lost=settled and kind == "lost",
            started_at=iso(started_at),
            stopped_at=iso(stopped_at),
            **instance,
        )

    def _on_ec2(self, row: Any) -> dict[str, Any]:
        status, attempt = Status(row["status"]), row["attempt"]
        facts = facts_of(self._facts.get(row["position"]), status, AttemptId(self._job.key, row["position"], attempt))
        named = None if status in NOT_STARTED or not attempt else row["instance_id"]
        return {
            "instance_id": facts.instance_id if facts is not None else named,
            "state": _WORD[self._state_on_ec2(row, status, facts)],
            "instance": None if facts is None else instance_object(facts),
        }

    def _state_on_ec2(self, row: Any, status: Status, facts: InstanceFacts | None) -> InstanceState:
        """What was last seen of it; where nothing was, what the store has. An instance that several share is over for a child when that has settled."""
        if status in SETTLED and (facts is None or (self._job.fleet is not None and self._job.fleet.options.shared)):
            return InstanceState(row["instance"]) if row["instance"] is not None else InstanceState.TERMINATED
        if facts is None:
            return InstanceState.RUNNING if status is Status.RUNNING else InstanceState.PENDING
        ending = status in UNDER_WAY and row["reason"] is not None and facts.state is InstanceState.RUNNING
        return InstanceState.SHUTTING_DOWN if ending else facts.state


def facts_of(facts: InstanceFacts | None, status: Status, attempt: AttemptId) -> InstanceFacts | None:
    """The facts, if they are about the instance of this attempt of a child: while a child waits, its latest instance is an earlier attempt's."""
    if facts is None or not attempt.attempt or status in NOT_STARTED:
        return None
    return None if status is Status.STARTING and attempt not in facts.attempts else facts


def instance_object(facts: InstanceFacts) -> Instance:
    """The Instance of docs/api.md."""
    return Instance(
        type=facts.type,
        region=facts.region,
        zone=facts.zone,
        market=facts.market.value,
        address=facts.address,
        image=facts.image,
        key_name=facts.key_name,
        launched_at=iso(facts.launched_at),
        ended_at=iso(facts.ended_at),
        ended_why=facts.ended_why,
        checked_in_at=iso(facts.checked_in_at),
        heard_at=iso(facts.heard_at),
        ends_at=iso(facts.ends_at),
        unsent=facts.unsent,
    )


class AttemptReader:
    """Builds the attempts of one job's children; `paths` names the log and the output directory of each."""

    def __init__(self, records: Records, job: Job, paths: Callable[[int, int], tuple[str, str]]) -> None:
        self._records = records
        self._job = job
        self._paths = paths

    def between(self, low: int, high: int) -> dict[int, list[Attempt]]:
        """Every attempt of the children at positions `low` to `high`, the one under way included."""
        wanted: dict[str, object] = {"key": int(self._job.key, 16), "low": low, "high": high}
        found: dict[int, list[Attempt]] = {}
        for row in self._records.read("attempts_of", wanted):
            found.setdefault(row[0], []).append(self._ended(row))
        for row in self._records.read("members", wanted):
            if Status(row[1]) in UNDER_WAY:
                facts = {"named": row["instance_id"], "status": None, "status_reason": row[3], "started_at": row[4]}
                found.setdefault(row[0], []).append(self._attempt(row[0], row[2], **facts))
        return found

    def _ended(self, row: Any) -> Attempt:
        position, number, started_at, stopped_at, kind, exit_code, signal, status_reason, reason, message, cpu_s, max_rss_kib = row[:12]
        return self._attempt(
            position,
            number,
            status=_NAMES[Status.SUCCEEDED if kind == "succeeded" else Status.FAILED],
            status_reason=status_reason,
            exit_code=exit_code,
            signal=signal,
            reason=reason,
            message=message,
            started_at=started_at,
            stopped_at=stopped_at,
            cpu_s=cpu_s,
            max_rss_kib=max_rss_kib,
            lost=kind == "lost",
            interrupted=kind == OutcomeKind.INTERRUPTED.value,
            named=row["instance_id"],
        )

    def _attempt(
        self,
        position: int,
        number: int,
        *,
        named: str | None,
        started_at: Instant | None,
        stopped_at: Instant | None = None,
        lost: bool = False,
        interrupted: bool = False,
        **facts: Any,
    ) -> Attempt:
        log, output = self._paths(position, number)
        local = self._job.fleet is None
        return Attempt(
            attempt=number,
            instance_id=AttemptId(self._job.key, position, number).instance_id if local else named,
            log=log,
            output=output,
            started_at=iso(started_at),
            stopped_at=iso(stopped_at),
            lost=lost,
            interrupted=msgspec.UNSET if local else interrupted,
            **facts,
        )
