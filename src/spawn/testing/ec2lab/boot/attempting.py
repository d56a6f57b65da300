"""One attempt on an acted instance, and the objects that tell of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spawn.testing.ec2lab.boot.acts import Act
from spawn.testing.ec2lab.boot.launches import Launch, Task
from spawn.testing.ec2lab.boot.runs import Runs
from spawn.testing.ec2lab.boot.uploads import Outbox

_SIGTERM = 15


@dataclass(slots=True, kw_only=True)
class Attempting:
    """An attempt from its claim to its record."""

    task: Task
    act: Act
    launch: Launch
    instance_id: str
    outbox: Outbox
    runs: Runs
    detail: bool
    started_at: float | None = None
    log_sent: int = 0
    completed_at: float | None = None
    is_closing: bool = False

    @property
    def id(self) -> str:
        """The attempt id."""
        return f"{self.launch.key}:{self.task.position}:{self.task.attempt}"

    @property
    def due(self) -> float | None:
        """When something happens by itself; None: nothing more does."""
        if self.is_closing or self.started_at is None:
            return None
        times = [self.started_at + self.act.duration_s]
        if self._completes and self.completed_at is None:
            times.append(self.started_at + self.act.completed_after_s)
        if self.act.log and not self.log_sent:
            times.append(self.started_at + self.launch.upload_s)
        return min(times)

    @property
    def _completes(self) -> bool:
        return self.act.completed is not None and self.act.completed_after_s <= self.act.duration_s

    def start(self, now: float) -> None:
        """It runs."""
        self.started_at = now
        self.runs.began(self.id, self.task.index, self.instance_id, now)
        if self.detail:
            self._news("claimed")
            self._put("started.json", {"wire": 1, "attempt": self.id, "instance_id": self.instance_id, "at": now})
            self._news("started")

    def go_on(self, now: float, done: Callable[[], None]) -> None:
        """Do what is due; `done` is called when it has ended by itself and its record is written."""
        if self.is_closing or self.started_at is None:
            return
        if self._completes and self.completed_at is None and now >= self.started_at + self.act.completed_after_s:
            self.completed_at = self.started_at + self.act.completed_after_s
            assert self.act.completed is not None
            status, message = self.act.completed
            self.runs.completed(self.id, self.instance_id, status)
            if self.detail:
                said = {"wire": 1, "attempt": self.id, "instance_id": self.instance_id, "at": self.completed_at, "status": status, "message": message}
                self._put("completed.json", said)
                self._news("completed")
        if now >= self.started_at + self.act.duration_s:
            self.end(self.started_at + self.act.duration_s, done, code=self.act.code, signal=self.act.signal)
        elif self.act.log and not self.log_sent and now >= self.started_at + self.launch.upload_s:
            self._send_log((len(self.act.log) + 1) // 2)

    def stop(self, now: float, why: str, done: Callable[[], None]) -> None:
        """SIGTERM, at which it ends. Ended already: nothing."""
        if not self.is_closing:
            self.end(now, done, signal=_SIGTERM, why=why)

    def end(
        self, at: float, done: Callable[[], None], *, end: str = "ended", code: int | None = None, signal: int | None = None, why: str | None = None
    ) -> None:
        """Write down how it ended, after what is left of its log and its outputs."""
        self.is_closing = True
        self.runs.ended(self.id, self.instance_id, at, code=code, signal=signal, why=why)
        outputs = 0
        if self.started_at is not None and end == "ended":
            self._send_log(len(self.act.log))
            if why is None:
                outputs = len(self.act.outputs)
                for path, body in self.act.outputs.items():
                    self.outbox.add(f"{self._place}/output/{path}", body)
        record = self._record(at, end, code, signal, why, outputs)
        self.outbox.add(f"{self._place}/outcome.json", json.dumps(record).encode(), only_new=True)
        self.outbox.add(f"news/{self.task.position}-{self.task.attempt}-{end if end == 'dropped' else 'ended'}", self.instance_id.encode(), then=done)

    def _record(self, at: float, end: str, code: int | None, signal: int | None, why: str | None, outputs: int) -> dict[str, Any]:
        completed = None
        if self.completed_at is not None and self.act.completed is not None:
            completed = {"at": self.completed_at, "status": self.act.completed[0], "message": self.act.completed[1]}
        ran = self.started_at is not None and end == "ended"
        return {
            "wire": 1,
            "attempt": self.id,
            "index": self.task.index,
            "array": self.launch.array,
            "instance_id": self.instance_id,
            "started_at": self.started_at,
            "ended_at": at,
            "end": end,
            "code": code,
            "signal": signal,
            "why": why,
            "reason": None,
            "completed": completed,
            "user": 0.5 if ran else None,
            "system": 0.1 if ran else None,
            "maxrss": 10_240 if ran else None,
            "log_bytes": self.log_sent,
            "outputs": outputs,
            "outputs_failed": [],
            "truncated": False,
        }

    @property
    def _place(self) -> str:
        return f"{self.task.index}/{self.task.attempt}"

    def _put(self, name: str, said: dict[str, Any]) -> None:
        self.outbox.add(f"{self._place}/{name}", json.dumps(said).encode())

    def _news(self, kind: str) -> None:
        self.outbox.add(f"news/{self.task.position}-{self.task.attempt}-{kind}", self.instance_id.encode())

    def _send_log(self, until: int) -> None:
        if until > self.log_sent:
            self.outbox.add(f"{self._place}/log/{self.log_sent:016d}", self.act.log[self.log_sent : until])
            self.log_sent = until
