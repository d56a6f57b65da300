"""The AWS door on an engine of its own: in a thread, on a real store, with a provider that a test plays or with real processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import msgspec
from botocore.config import Config

from spawn.api.aws.app import AwsApp, aws_app
from spawn.api.aws.batch.operations import operations as batch_operations
from spawn.api.aws.callers import Caller, Handler
from spawn.api.aws.credentials import KeyRing
from spawn.api.aws.doors import Door
from spawn.api.aws.invoking import invoke
from spawn.api.aws.logs.operations import operations as logs_operations
from spawn.api.aws.writing import written
from spawn.api.tcp import TcpServer, listen_tcp
from spawn.domain.arrays import ArrayJob
from spawn.domain.dependencies import Dependency, Target
from spawn.domain.ids import ArrayKey, AttemptId, JobId
from spawn.domain.jobs import BatchJob, Job, Work
from spawn.domain.scheduling import Capacity
from spawn.domain.states import SETTLED, Status
from spawn.engine.loop import Engine
from spawn.engine.news import Dropped, Ended, EndKind, Lost, ProviderEvent, Refused, Started, Usage
from spawn.engine.ports import Clock, Provider
from spawn.engine.state import EngineState
from spawn.engine.taking import random_key
from spawn.machine import SystemClock
from spawn.providers.local.connection import connect, start_runner
from spawn.providers.local.files import LocalFiles
from spawn.providers.local.provider import LocalProvider
from spawn.store.sqlite import SqliteStore
from spawn.testing.clock import ManualClock
from spawn.testing.provider import ScriptedProvider
from tests.domain.making import make_job
from tests.system.conftest import eventually

ACCESS_KEY = "AKIDSERVEDINTESTS000"
SECRET_KEY = "a secret that only tests know"
REGION = "us-east-1"


class Served:
    """An engine that turns in a thread and the AWS door on it; `call` goes past HTTP, `batch` and `logs` are boto3's clients."""

    provider: Provider

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self.clock = clock
        self.files = LocalFiles(arrays=directory / "arrays", runner=directory / "runner")
        self._app: AwsApp | None = None
        self._server: TcpServer | None = None

    def open(self) -> None:
        """Start the engine. Again, after `shut`: what a new engine process does."""
        self.store = SqliteStore(self.directory / "store.db")
        self.engine = Engine(store=self.store, provider=self.provider, clock=self.clock)
        self.engine.turn()
        self._thread = threading.Thread(target=self.engine.run, name="engine")
        self._thread.start()
        self.door = Door(engine=self.engine, records=self.store, files=self.files, clock=self.clock)
        self.handlers: Mapping[str, Mapping[str, Handler]] = {"batch": batch_operations(self.door), "logs": logs_operations(self.door)}

    def shut(self) -> None:
        """End the engine; what runs goes on."""
        if self._server is not None and self._app is not None:
            self._server.close()
            self._app.close()
            self._server = self._app = None
            for name in ("url", "batch", "logs"):
                self.__dict__.pop(name, None)
        self.engine.close()
        self._thread.join()
        self.store.close()

    def restart(self) -> None:
        """End the engine and start another on the same store. Clients have to be asked for again."""
        self.shut()
        self.open()

    def close(self) -> None:
        """End everything."""
        self.shut()

    # --- how it is called ---------------------------------------------------------------------------------------------

    def call(self, operation: str, /, *, service: str = "batch", region: str = REGION, **members: Any) -> dict[str, Any]:
        """What an operation answers to JSON of these members, as its client would read it; AwsError else. No HTTP, no signature."""
        caller = Caller(region=region, request_id=str(uuid4()))
        answer: dict[str, Any] = msgspec.json.decode(written(invoke(service, operation, members, caller, self.handlers[service])))
        return answer

    @cached_property
    def url(self) -> str:
        """Where the door answers over HTTP; opened when first asked for."""
        keys = KeyRing({ACCESS_KEY: SECRET_KEY}, clock=SystemClock(), look=dict)
        self._app = aws_app(batch=self.handlers["batch"], logs=self.handlers["logs"], keys=keys, clock=SystemClock())
        listener = listen_tcp("127.0.0.1", 0)
        self._server = TcpServer(self._app, listener, None)
        self._server.start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to call this door, and nothing of this user's."""
        return {
            "AWS_ENDPOINT_URL_BATCH": self.url,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "HOME": str(self.directory),
        }

    def client(self, service: str, *, region: str = REGION) -> Any:
        """A client of boto3's that does not try again."""
        config = Config(retries={"total_max_attempts": 1}, proxies={}, read_timeout=30)
        session = boto3.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=region)
        return session.client(service, endpoint_url=self.url, config=config)

    @cached_property
    def batch(self) -> Any:
        """boto3's client of AWS Batch."""
        return self.client("batch")

    @cached_property
    def logs(self) -> Any:
        """boto3's client of CloudWatch Logs."""
        return self.client("logs")

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def do(self, command: Callable[[EngineState], Any]) -> Any:
        """Run a command in the engine's thread, and wait until what followed from it was handed to the provider."""
        answer = self.engine.call(command)
        self.engine.call(lambda _: None)
        return answer

    def put(self, size: int | None = None, *, command: tuple[str, ...] = ("true",), depends_on: tuple[Dependency, ...] = (), **facts: Any) -> Job:
        """Put a job of a Batch client straight into the book, past SubmitJob; `size` None: a single job."""
        work = Work(
            script=None,
            command=command,
            environment={"PATH": "/usr/bin:/bin"},
            given=(),
            workdir=str(self.directory),
            private_tmp=False,
            compat_env=True,
            umask=0o022,
        )
        batch = BatchJob(definition="work:1", container={"command": list(command), "environment": [], "image": "none"})
        defaults = {"id": JobId(str(uuid4())), "key": random_key(), "name": "work", "work": work, "batch": batch}

        def submit(state: EngineState) -> Job:
            targets = [_target(array) for d in depends_on if d.job is not None and (array := state.adopt(d.job)) is not None]
            job = make_job(0, size, depends_on=depends_on, targets=targets, **({"created_at": state.now} | defaults | facts))
            state.adopt_dependencies(job)
            array = state.book.submit(job, statuses={target.job: target.status for target in targets}, at=state.now)
            state.batch.jobs.append(array)
            return job

        job: Job = self.do(submit)
        return job

    def status(self, job: str) -> str:
        """The status that DescribeJobs shows."""
        status: str = self.describe(job)["status"]
        return status

    def describe(self, job: str) -> dict[str, Any]:
        """One job as DescribeJobs shows it."""
        (found,) = self.call("DescribeJobs", jobs=[job])["jobs"]
        described: dict[str, Any] = found
        return described

    def wait(self, *jobs: str) -> None:
        """Wait until these jobs have settled."""
        settled = {status.name for status in SETTLED}
        eventually(lambda: all(self.status(job) in settled for job in jobs))


class Scripted(Served):
    """Nothing runs and no time passes but by the test's word."""

    provider: ScriptedProvider
    clock: ManualClock

    def __init__(self, directory: Path, *, slots: int = 2) -> None:
        super().__init__(directory, ManualClock())
        self.provider = ScriptedProvider(slots=slots)
        self.open()

    def restart(self) -> None:
        """A new engine; the provider has stayed."""
        self.provider.away = True
        super().restart()

    def tell(self, *events: ProviderEvent) -> None:
        """The provider says that this happened; what follows has been committed and handed over when this returns."""
        self.engine.call(lambda _: self.provider.tell(*events))
        self.engine.wake()
        self.do(lambda _: None)

    def running(self, key: ArrayKey | None = None) -> list[AttemptId]:
        """What was handed over (of one array) and has not ended, in order."""
        over = {event.attempt for event in self.provider.journal if isinstance(event, Ended | Lost | Dropped | Refused)}
        return [attempt for attempt in self.provider.started if attempt not in over and key in (None, attempt.key)]

    def begin(self, *attempts: AttemptId) -> None:
        """The processes of these attempts run."""
        self.tell(*(Started(attempt, self.clock.now()) for attempt in attempts))

    def end(self, *attempts: AttemptId, code: int | None = 0, signal: int | None = None, why: str | None = None) -> None:
        """The processes of these attempts have ended alike."""
        self.tell(*(Ended(attempt, self.clock.now(), EndKind(code, signal, why), Usage()) for attempt in attempts))

    def finish(self, codes: Mapping[int, int] | None = None) -> None:
        """Let everything run to its end, 10 s an attempt: exit code 0, or what `codes` says for a position."""
        while running := self.running():
            begun = {event.attempt for event in self.provider.journal if isinstance(event, Started)}
            self.begin(*(attempt for attempt in running if attempt not in begun))
            self.clock.advance(10)
            for attempt in running:
                self.end(attempt, code=(codes or {}).get(attempt.position, 0))


class Local(Served):
    """Real processes of this machine, in real time."""

    def __init__(self, directory: Path, *, slots: int = 2) -> None:
        super().__init__(directory, SystemClock())
        self._capacity = Capacity(cpus=slots * 1000, memory=4096)
        self._runner = start_runner(self.files.runner)
        eventually(self._runner_answers)
        self.open()

    def _runner_answers(self) -> bool:
        sock = connect(self.files.runner / "runner.sock")
        if sock is not None:
            sock.close()
        return sock is not None

    def open(self) -> None:
        """Start the engine, on the runner that is there."""
        self.provider = LocalProvider(runner_directory=self.files.runner, files=self.files, capacity=self._capacity, clock=self.clock)
        super().open()

    def shut(self) -> None:
        """End the engine; the runner and what it runs go on."""
        super().shut()
        self.provider.close(terminate=False, grace_s=0)

    def close(self) -> None:
        """End everything that runs."""
        super().shut()
        self.provider.close(terminate=True, grace_s=0.2)
        self._runner.wait(30)


def _target(array: ArrayJob) -> Target:
    return Target(job=array.job.id, status=array.parent_status, indexes=array.job.indexes)


def statuses(served: Served, job: str) -> dict[str, int]:
    """The children of an array by status, without zeros."""
    summary = served.describe(job)["arrayProperties"]["statusSummary"]
    return {status.name: summary[status.name] for status in Status if summary[status.name]}
