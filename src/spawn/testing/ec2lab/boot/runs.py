"""What acted machines really ran: the truth that everything else is compared with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Run:
    """One attempt's process on one machine. Times are seconds since the epoch."""

    attempt: str  #: its id, as in the records
    index: int
    instance_id: str
    began: float
    ended: float | None = None  #: None: it runs
    code: int | None = None
    signal: int | None = None
    why: str | None = None  #: why it was stopped; None: it ended by itself, or with its machine
    completed: str | None = None  #: the status that it gave with `spored complete`
    with_its_machine: bool = False  #: the power went while it ran


class Runs:
    """Every run, in the order in which they began."""

    def __init__(self) -> None:
        self.all: list[Run] = []
        self._going: dict[str, dict[str, Run]] = {}

    def began(self, attempt: str, index: int, instance_id: str, at: float) -> None:
        """The process of an attempt runs on this machine."""
        run = Run(attempt=attempt, index=index, instance_id=instance_id, began=at)
        self.all.append(run)
        self._going.setdefault(instance_id, {})[attempt] = run

    def completed(self, attempt: str, instance_id: str, status: str) -> None:
        """It called `spored complete`."""
        self._going[instance_id][attempt].completed = status

    def ended(self, attempt: str, instance_id: str, at: float, *, code: int | None, signal: int | None, why: str | None) -> None:
        """Its process is gone. One that does not run: nothing."""
        run = self._going.get(instance_id, {}).pop(attempt, None)
        if run is not None:
            run.ended, run.code, run.signal, run.why = at, code, signal, why

    def powered_off(self, instance_id: str, at: float) -> None:
        """The machine is off, and with it all that ran there."""
        for run in self._going.pop(instance_id, {}).values():
            run.ended, run.with_its_machine = at, True
