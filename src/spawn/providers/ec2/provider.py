"""The provider `ec2`: attempts run on instances that clean up after themselves. Here is what the engine sees of it; `work` does the rest, in a thread."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spawn.domain.arrays import ArrayJob
from spawn.domain.errors import ProviderUnavailable
from spawn.domain.hindrances import Because, Hindrance
from spawn.domain.ids import ArrayKey, AttemptId, JobId
from spawn.domain.instants import Instant, iso
from spawn.domain.jobs import Job
from spawn.domain.queues import ComputeEnvironment
from spawn.domain.scheduling import Capacity
from spawn.engine.fleets import Access, Unended
from spawn.engine.news import News
from spawn.engine.ports import Clock
from spawn.providers.ec2.ledger import Ledger
from spawn.providers.ec2.orders import Afoot, Orders
from spawn.providers.ec2.silence import Silence
from spawn.providers.ec2.views import LedgerReader
from spawn.providers.ec2.worker import Work, Worker

if TYPE_CHECKING:
    from spawn.providers.ec2.clients import Clients

CALLS_AT_ONCE: Final = 16
LEDGER_NAME: Final = "ledger.db"

_STOPS_WITHIN_S: Final = 5.0
"""A round that waits for AWS longer than this is left as a crash would leave it: all that counts is in the ledger."""
_UNLIMITED: Final = Capacity(cpus=1 << 40, memory=1 << 40)


class Ec2Provider:
    """Every call but `close` and `look` only writes to or reads from the ledger; a thread of its own does what stands there."""

    name = "ec2"

    def __init__(
        self,
        *,
        directory: Path,
        clock: Clock,
        make_clients: Callable[[Access], Clients] | None = None,
        chance: Callable[[], float] = random.random,
        calls_at_once: int = CALLS_AT_ONCE,
        look_soon_s: float | None = None,
        open_ledger: Callable[[Path], Ledger] = Ledger,
        make_worker: Callable[[Orders, Callable[[], Work], Clock], Worker] = Worker,
    ) -> None:
        """`directory`: STATE_DIR/ec2, made when it is missing; ConfigurationError when it cannot be used.

        `look_soon_s`: how often EC2 and the buckets are looked at while something changes.
        """
        self._arrays = directory / "arrays"
        self._ledger = ledger = open_ledger(directory / LEDGER_NAME)
        self.reader = LedgerReader(ledger)
        self._orders = Orders(ledger)
        self._silence = silence = Silence(clock.now)

        def make_work() -> Work:
            # with it comes all that talks to AWS, which takes longer to import than the rest of the engine
            from spawn.providers.ec2.clients import Clients
            from spawn.providers.ec2.turn import LOOK_SOON_S
            from spawn.providers.ec2.work import FleetWork

            soon = LOOK_SOON_S if look_soon_s is None else look_soon_s
            make = make_clients or partial(Clients, on_made=silence.listen)
            return FleetWork(ledger=ledger, make_clients=make, chance=chance, calls_at_once=calls_at_once, look_soon_s=soon)

        self._worker = make_worker(self._orders, make_work, clock)
        self._closed = False

    # --- its thread -----------------------------------------------------------------------------------------------------

    def connect(self, wake: Callable[[], None]) -> bool:
        """See that the work goes on; True the first time. `wake` is called when there may be news."""
        return self._worker.connect(wake)

    def close(self, *, terminate: bool, grace_s: float) -> None:
        """Let the work end after the round it is in; with `terminate` have EC2 terminate all instances that are known, in `grace_s` at most. Again: nothing."""
        if self._closed:
            return
        self._closed = True
        if terminate:
            self.terminate_all(grace_s)
        self._worker.stop(_STOPS_WITHIN_S)
        self._worker.close()
        self._ledger.close()

    def look(self, key: ArrayKey, within_s: float) -> None:
        """Ask EC2 and the bucket now, and return when that has been read, or raise ProviderUnavailable. An array of which nothing is left: at once."""
        if self.reader.is_live(key) and not self._worker.look(within_s):
            raise ProviderUnavailable(f"EC2 and the bucket have not answered within {within_s:g} s; the engine goes on asking")

    def terminate_all(self, within_s: float) -> None:
        """Have EC2 terminate all instances that are known, and launch no more; return when it says that they end, or when the time is over."""
        if self._orders.has_work():
            self._worker.terminate_all(within_s)

    def unended(self) -> Unended:
        """The instances that live, or may, as last seen. Any thread."""
        return self._orders.unended()

    def is_busy(self) -> bool:
        """Whether it looks after instances that still live. Any thread."""
        return self._orders.has_instances()

    # --- what it is and tells -------------------------------------------------------------------------------------------

    def holds_back(self) -> str | None:
        """Nothing: what cannot be launched yet waits here."""
        return None

    def capacity(self) -> Capacity:
        """More than any account has: quotas are EC2's to tell."""
        return _UNLIMITED

    def features(self) -> Mapping[str, str | None]:
        """An instance can have all of it."""
        return {"private_tmp": None, "memory_limit": None}

    def news(self, place: str | None) -> News:
        """What happened after a place."""
        return self._orders.news(place)

    def acknowledge(self, place: str) -> None:
        """Forget events that the store has."""
        self._orders.acknowledge(place)

    def why(self, key: ArrayKey) -> Mapping[Hindrance, int]:
        """Why attempts that it was handed have not begun, and of how many that is so; and whether what is known of them is old."""
        said: dict[Hindrance, int] = dict(self._worker.reasons.get(key, {}))
        job = self.reader.job(key)
        silent = None if job is None or job.fleet is None else self._silence.since({job.fleet.bucket_region, *(offer.region for offer in job.fleet.offers)})
        if silent is None or not (count := self._orders.open_count(key)):
            return said
        since, who = silent
        sentence = f"AWS has not answered since {iso(since)} ({who}): what is shown is as of then; the engine goes on asking"
        heard = {why: number for why, number in said.items() if why.because is not Because.UNHEARD}
        return {Hindrance(Because.UNHEARD, sentence): count, **heard}

    # --- what it is told ------------------------------------------------------------------------------------------------

    def admit(self, job: Job, access: Access) -> None:
        """Keep whose access an array is launched with. Any thread."""
        self._orders.admit(job, access)
        self._worker.wake()

    def refuse(self, key: ArrayKey) -> None:
        """AWS does not accept the access of an array: another one may take its place. Any thread."""
        self._orders.refuse(key)

    def renew(self, account: str, access: Access) -> list[JobId]:
        """Use this access from now on for the arrays of its account whose own one AWS does not accept any more; which these are. Any thread."""
        renewed = self._orders.renew(account, access)
        if renewed:
            self._worker.wake()
        return renewed

    def take_over(self, found: Afoot, access: Access, at: Instant) -> None:
        """Go on with what runs of an array that another machine launched. Any thread."""
        self._orders.take_over(found, access, at)
        self._worker.wake()

    def start(self, array: ArrayJob, attempts: Sequence[tuple[int, int]], environment: ComputeEnvironment) -> None:  # noqa: ARG002
        """Write down attempts that are to run; those that stand there already are passed over. What they need of EC2 stands in the job's fleet."""
        self._orders.start(array, attempts)
        self._worker.wake()

    def stop(self, attempts: Collection[AttemptId], *, grace_s: float) -> None:
        """Stop what runs, drop what waits."""
        self._wish("stop", attempts, grace_s)

    def drop(self, attempts: Collection[AttemptId]) -> None:
        """Call back what has not begun and is not launched for itself alone."""
        self._wish("drop", attempts)

    def release(self, job: Job, attempts: Collection[tuple[int, int]], *, keep_files: bool) -> None:
        """Terminate instances; with `keep_files` they are left as they are, stopped."""
        if not keep_files:
            self._wish("release", [AttemptId(job.key, position, attempt) for position, attempt in attempts])

    def extend(self, attempts: Collection[AttemptId], ends_at: Instant) -> None:
        """Move the end of instances; they confirm it when they have read it."""
        self._wish("extend", attempts, float(ends_at))

    def limit(self, key: ArrayKey, max_concurrent: int | None) -> None:
        """Write it down for whoever takes the array over; here the engine hands over no more than may run at once."""
        self._orders.limit(key, max_concurrent)
        self._worker.wake()

    def forget(self, key: ArrayKey) -> None:
        """Nothing more of an array will be started: what was made for it goes with its last instance."""
        self._orders.forget(key)
        self._worker.wake()

    def _wish(self, what: str, attempts: Collection[AttemptId], number: float | None = None) -> None:
        self._orders.wish(what, attempts, number)
        self._worker.wake()

    # --- files ----------------------------------------------------------------------------------------------------------

    def directory(self, job: Job) -> str:
        """Where logs and outputs of a job are mirrored."""
        # an id may be given out again after `spawn rm`, while the files of the first one are still being deleted
        return str(self._arrays / f"{job.id}.{job.key}")

    def owns(self, directory: str) -> bool:
        """Whether a directory is one of its jobs'."""
        return Path(directory).parent == self._arrays

    def discard(self, directory: str, done: Callable[[str], object]) -> None:
        """Delete a forgotten array's files, here and in the bucket, in the background."""
        self._worker.discard(directory, done)
