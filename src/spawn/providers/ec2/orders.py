"""What the engine and the doors write into the ledger, and the news that they read from it. Nothing here asks AWS."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spawn.domain.arrays import ArrayJob
from spawn.domain.ids import ArrayKey, AttemptId, JobId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.states import InstanceState
from spawn.engine.encoding import encode
from spawn.engine.fleets import Access, Unended
from spawn.engine.news import InstanceChanged, News
from spawn.providers.ec2.ledger import LAUNCHED, OVER, QUEUED, WANTED, Ledger
from spawn.providers.ec2.stored import decode_job, event_of

_NEWS_AT_ONCE: Final = 5000

_ENTER = """
INSERT INTO array (key, id, body, account, access) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET body = excluded.body
"""
_FOUND = """
INSERT OR IGNORE INTO instance (id, key, token, launch_index, region, zone, type, vcpus, market, state, launched_at)
VALUES (?, ?, '', 0, ?, '', '', 0, 'on-demand', 'pending', ?)
"""
_ENDED = """
INSERT OR IGNORE INTO instance (id, key, token, launch_index, region, zone, type, vcpus, market, state, launched_at, settled)
VALUES (?, ?, '', 0, '', '', '', 0, 'on-demand', 'terminated', ?, 1)
"""
_START = "INSERT OR IGNORE INTO attempt (key, position, attempt, state) VALUES (?, ?, ?, ?)"
_NOT_TOLD = "instance = NULL, token = coalesce(token, 'again'), told = 0, recorded = 0, over_at = NULL, stopping = NULL"
_TOLD_FOR_NOTHING = f"UPDATE attempt SET state = ?, {_NOT_TOLD} WHERE key = ? AND position = ? AND attempt = ?"
_UNHEARD = "state = 'over' AND over_place > ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE place = over_place)"

_NOT_ENDING = """
SELECT id, key, launched_at, max(coalesce(extended_to, 0), coalesce(ends_at, 0)) AS said FROM instance
WHERE settled = 0 AND state NOT IN ('shutting-down', 'terminated') ORDER BY id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Afoot:
    """What runs of an array that another machine launched."""

    job: Job
    max_concurrent: int | None
    attempts: tuple[tuple[int, int, str | None], ...]  #: position, attempt, instance; None: any of those that take from the array's queue
    instances: tuple[tuple[str, str, Instant], ...]  #: id, region, when it was launched
    ended: tuple[str, ...] = ()  #: instances that are gone, or not known to live: nothing is to be done about them any more


class Orders:
    """Any call again does nothing more."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    # --- whose access -------------------------------------------------------------------------------------------------

    def admit(self, job: Job, access: Access) -> None:
        """Keep whose access an array is launched with. Again: the access is renewed."""
        with self._ledger.transaction():
            self._enter(job, access)
            self._ledger.write("UPDATE array SET access = ?, admitted = admitted + 1, refused = 0 WHERE key = ?", _access_text(access), job.key)

    def refuse(self, key: ArrayKey) -> None:
        """AWS does not accept the access of an array: another one may take its place."""
        self._ledger.write("UPDATE array SET refused = 1 WHERE key = ?", key)

    def renew(self, account: str, access: Access) -> list[JobId]:
        """Use this access from now on for the arrays of an account whose own one AWS does not accept any more; which these are."""
        renewed = "UPDATE array SET access = ?, admitted = admitted + 1, refused = 0 WHERE account = ? AND refused = 1 RETURNING id"
        with self._ledger.transaction():
            return sorted(JobId(row["id"]) for row in self._ledger.rows(renewed, _access_text(access), account))

    def take_over(self, found: Afoot, access: Access, at: Instant) -> None:
        """Go on with an array that another machine launched. Again: nothing.

        What no instance has claimed waits in the array's queue. Launches made from here on are numbered from the second of the taking over, so that none
        has the token of a launch that was made elsewhere.
        """
        job = found.job
        with self._ledger.transaction():
            self.admit(job, access)
            self._ledger.write_many(
                "INSERT OR IGNORE INTO attempt (key, position, attempt, state, instance) VALUES (?, ?, ?, ?, ?)",
                [(job.key, position, attempt, QUEUED if instance is None else LAUNCHED, instance) for position, attempt, instance in found.attempts],
            )
            self._ledger.write_many(_FOUND, [(instance, job.key, region, launched_at) for instance, region, launched_at in found.instances])
            self._ledger.write_many(_ENDED, [(instance, job.key, at) for instance in found.ended])
            changed = "UPDATE array SET live = 1, forgotten = 0, launches = max(launches, ?), max_concurrent = ? WHERE key = ?"
            self._ledger.write(changed, at // 1000, found.max_concurrent, job.key)

    def _enter(self, job: Job, access: Access) -> None:
        account = "" if job.fleet is None else job.fleet.account
        self._ledger.write(_ENTER, job.key, job.id, encode(job), account, _access_text(access))

    # --- what is to be done -------------------------------------------------------------------------------------------

    def start(self, array: ArrayJob, attempts: Sequence[tuple[int, int]]) -> None:
        """Have attempts run; one that was handed over before is passed over, unless it is over: then its end is told, once more if need be."""
        job = array.job
        with self._ledger.transaction():
            self._enter(job, {})
            self._ledger.write_many(
                _TOLD_FOR_NOTHING, [(LAUNCHED, job.key, position, attempt) for position, attempt in self._told_for_nothing(job.key, attempts)]
            )
            self._ledger.write_many(_START, [(job.key, position, attempt, WANTED) for position, attempt in attempts])
            self._ledger.write("UPDATE array SET live = 1, forgotten = 0 WHERE key = ?", job.key)
            self.limit(job.key, array.max_concurrent)

    def _told_for_nothing(self, key: ArrayKey, attempts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those of whose end the store heard, and does not know it any more: it was restored from an older time. What they left is read again."""
        is_over = "SELECT 1 FROM attempt WHERE key = ? AND position = ? AND attempt = ? AND state = ?"
        over = [(position, attempt) for position, attempt in attempts if self._ledger.one(is_over, key, position, attempt, OVER) is not None]
        unheard = self._ledger.rows("SELECT position, attempt FROM event WHERE key = ?", key) if over else []
        waiting = {(row["position"], row["attempt"]) for row in unheard}
        return [each for each in over if each not in waiting]

    def limit(self, key: ArrayKey, max_concurrent: int | None) -> None:
        """Note how many of an array run at once at most: whoever takes it over is to keep to that."""
        changed = "UPDATE array SET max_concurrent = ?1, limit_due = (prepared IS NOT NULL OR launches > 0) WHERE key = ?2 AND max_concurrent IS NOT ?1"
        self._ledger.write(changed, max_concurrent, key)

    def wish(self, what: str, attempts: Collection[AttemptId], number: float | None = None) -> None:
        """Have `stop`, `drop`, `release` or `extend` done to these attempts."""
        rows = [(what, attempt.key, attempt.position, attempt.attempt, number) for attempt in attempts]
        with self._ledger.transaction():
            self._ledger.write_many("INSERT INTO wish (what, key, position, attempt, number) VALUES (?, ?, ?, ?, ?)", rows)
            self._ledger.write_many("UPDATE array SET live = 1 WHERE key = ?", [(key,) for key in {attempt.key for attempt in attempts}])

    def forget(self, key: ArrayKey) -> None:
        """No more of an array will be started."""
        self._ledger.write("UPDATE array SET forgotten = 1 WHERE key = ?", key)

    def end_all(self, why: str) -> None:
        """Terminate every instance that is known, and launch nothing more that was not asked for."""
        with self._ledger.transaction():
            self._ledger.write("UPDATE instance SET ending = ? WHERE settled = 0 AND ending IS NULL", why)
            self._ledger.write("UPDATE attempt SET stopping = 'stop' WHERE state <> 'over'")

    def unended(self) -> Unended:
        """What EC2 has not said to be ending, with the end that its guard keeps."""
        rows, open_ = self._ledger.rows(_NOT_ENDING), self._ledger.one("SELECT total(count) FROM launch WHERE state = 'open'")
        ttls = {key: self._ttl_ms(key) for key in {row["key"] for row in rows}}
        return Unended(instances={row["id"]: _latest_end(row, ttls[row["key"]]) for row in rows}, launching=0 if open_ is None else int(open_[0]))

    def _ttl_ms(self, key: ArrayKey) -> int | None:
        ttl = decode_job(self._ledger.one("SELECT body FROM array WHERE key = ?", key)["body"]).lifetime.ttl
        return None if ttl is None else round(ttl.total_seconds() * 1000)

    def remove(self, key: ArrayKey) -> None:
        """Let nothing be known of an array any more."""
        with self._ledger.transaction():
            for table in ("wish", "event", "attempt", "launch", "span", "look", "instance", "array"):
                self._ledger.write(f"DELETE FROM {table} WHERE key = ?", key)

    # --- what happened ------------------------------------------------------------------------------------------------

    def news(self, place: str | None) -> News:
        """Events after a place, at most 5,000. A place of another ledger is the beginning of this one."""
        after = self._number(place)
        if place is not None and 0 < after < self._acknowledged():
            self._tell_again(after)
        rows = self._ledger.rows("SELECT * FROM event WHERE place > ? ORDER BY place LIMIT ?", after, _NEWS_AT_ONCE)
        events = [event_of(row["kind"], row["key"], row["position"], row["attempt"], row["at"], row["facts"]) for row in rows]
        last = rows[-1]["place"] if rows else after
        return News(events, f"{self._ledger.id} {last}" if last else place, len(rows) == _NEWS_AT_ONCE)

    def acknowledge(self, place: str) -> None:
        """Everything up to a place is in the store: it goes."""
        number = self._number(place)
        with self._ledger.transaction():
            if self._ledger.write("DELETE FROM event WHERE place <= ?", number):
                self._ledger.write("UPDATE meta SET acknowledged = max(acknowledged, ?)", number)

    def _acknowledged(self) -> int:
        row = self._ledger.one("SELECT acknowledged FROM meta")
        return 0 if row is None else int(row["acknowledged"])

    def _tell_again(self, after: int) -> None:
        """The store knows less than it once did: it was restored from an older time. What ended since then is read and told once more."""
        with self._ledger.transaction():
            self._ledger.write(f"UPDATE array SET live = 1 WHERE key IN (SELECT key FROM attempt WHERE {_UNHEARD})", after)
            self._ledger.write(f"UPDATE attempt SET {_NOT_TOLD}, state = ?2 WHERE {_UNHEARD}", after, LAUNCHED)
            gone = "SELECT attempt.key, position, attempt, instance FROM attempt JOIN instance ON instance.id = attempt.instance WHERE settled = 1"
            ended_at = Instant(self._ledger.one("SELECT coalesce(max(ended_at), 0) FROM instance")[0])
            self._ledger.tell(
                *(
                    InstanceChanged(AttemptId(row["key"], row["position"], row["attempt"]), ended_at, row["instance"], InstanceState.TERMINATED)
                    for row in self._ledger.rows(gone)
                )
            )
            self._ledger.write("UPDATE meta SET acknowledged = ?", after)

    def last_event(self) -> int:
        """The place of the newest event there ever was."""
        row = self._ledger.one("SELECT seq FROM sqlite_sequence WHERE name = 'event'")
        return 0 if row is None else int(row["seq"])

    def _number(self, place: str | None) -> int:
        ledger, _, number = (place or "").partition(" ")
        return int(number) if ledger and ledger == self._ledger.id else 0

    def open_count(self, key: ArrayKey) -> int:
        """How many attempts of an array have not ended."""
        row = self._ledger.one("SELECT count(*) FROM attempt WHERE key = ? AND state <> 'over'", key)
        return 0 if row is None else int(row[0])

    def has_work(self) -> bool:
        """Whether anything is to be done or watched."""
        return self._ledger.one("SELECT 1 FROM array WHERE live = 1 LIMIT 1") is not None

    def has_instances(self) -> bool:
        """Whether an instance lives, or may have been launched, of an array whose access is accepted; nothing can be done about any other one."""
        asked = (
            "(SELECT 1 FROM instance WHERE instance.key = array.key AND settled = 0 UNION SELECT 1 FROM launch WHERE launch.key = array.key AND state = 'open')"
        )
        return self._ledger.one(f"SELECT 1 FROM array WHERE live = 1 AND refused = 0 AND EXISTS {asked} LIMIT 1") is not None


def _latest_end(row: Any, ttl_ms: int | None) -> Instant | None:
    end = max(row["said"], 0 if ttl_ms is None else row["launched_at"] + ttl_ms)
    return Instant(end) if end else None


def _access_text(access: Access) -> str:
    return json.dumps(dict(sorted(access.items())))
