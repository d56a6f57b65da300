"""Install real clients of AWS Batch, start `spawn serve`, and let each client run jobs on it. One line each; exit status 1 when one fails.

Arguments are the names of the clients to run; without any, all run. With `--install` they are only installed, into `SPAWN_CLIENTS_CACHE`. Environment:

- `SPAWN_CLIENTS_CACHE`: where the installed clients and the packages are kept for the next time; without it, a temporary directory
- `SPAWN`: the `spawn` to test, by default the one of this clone's .venv
- `SPAWN_CLIENTS_AT_ONCE`: how many clients run at the same time, by default 4 (most of them mostly wait between two looks at their jobs)
- `SPAWN_CLIENTS_KILL_EVERY`: kill the engine every so many seconds (`kill -9`) and start it again; nothing may be lost by it
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from installing import HERE, AwsCli2, Npm, PyPI, Source, quietly

SPAWN = os.environ.get("SPAWN") or str(HERE.parent.parent / ".venv" / "bin" / "spawn")
SECONDS = 300  #: a client that takes longer has failed
INTERPRETERS = {".sh": "bash", ".py": "python", ".mjs": "node"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client, and the program that has it run jobs."""

    name: str
    program: str
    source: Source

    def run(self, work: Path, environment: Mapping[str, str]) -> tuple[bool, float]:
        """Run the program in a directory of its own, with a log beside it. True when it ended well; and how many seconds it took."""
        place, home = work / self.name, work / f"{self.name}-home"
        place.mkdir()
        home.mkdir()
        command = [INTERPRETERS[Path(self.program).suffix], str(HERE / self.program)]
        began = time.monotonic()
        with self.log(work).open("wb") as log:
            process = subprocess.Popen(
                command, cwd=place, env={**environment, "HOME": str(home)}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            try:
                code = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                code = 1
                log.write(f"\nnot done after {SECONDS} s\n".encode())
            finally:
                with suppress(ProcessLookupError):  # whatever the program has left behind
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return code == 0, time.monotonic() - began

    def log(self, work: Path) -> Path:
        """Where the program's output goes."""
        return work / f"{self.name}.log"


def of_pypi(name: str, program: str, *packages: str) -> Client:
    """A client whose requirements are in the directory of its name; the packages are those whose versions are told."""
    return Client(name=name, program=program, source=PyPI(name=name, packages=packages))


MOTO = PyPI(name="moto", packages=("moto",))
CLIENTS = (
    of_pypi("awscli", "awscli/check.sh", "awscli"),
    Client(name="awscli2", program="awscli/check.sh", source=AwsCli2()),
    of_pypi("boto3", "boto3/check.py", "boto3"),
    Client(name="javascript", program="javascript/check.mjs", source=Npm(name="javascript", package="@aws-sdk/client-batch")),
    of_pypi("luigi", "luigi/check.py", "luigi", "boto3"),
    of_pypi("airflow", "airflow/check.py", "apache-airflow", "apache-airflow-providers-amazon", "boto3"),
    of_pypi("snakemake", "snakemake/check.py", "snakemake", "snakemake-executor-plugin-aws-batch", "snakemake-storage-plugin-s3", "boto3"),
    of_pypi("nextflow-calls", "nextflow-calls/check.py", "boto3", "awscli"),
    of_pypi("metaflow", "metaflow/check.py", "metaflow", "boto3"),
    of_pypi("redun", "redun/check.py", "redun", "boto3"),
)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def moto(cache: Path, log: Path) -> Iterator[str]:
    """S3 and STS, which several clients need beside Batch, from a moto server; its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        server = subprocess.Popen([str(MOTO.python(cache)), "-m", "moto.server", "-p", str(port)], stdout=output, stderr=output)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                urlopen(f"{url}/moto-api/", timeout=5).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > end:
                    sys.exit(f"moto's server did not start:\n{log.read_text()}")
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait()


@contextmanager
def killing(environment: Mapping[str, str], *, every: float) -> Iterator[None]:
    """Within the block, kill the engine every so many seconds, and start it again; 0: never."""
    over = threading.Event()

    def kill() -> int:
        times = 0
        while every and not over.wait(every):
            engine = json.loads(quietly([SPAWN, "engine", "status", "--output", "json"], environment))
            os.kill(engine["pid"], signal.SIGKILL)
            quietly([SPAWN, "serve", "--print-env"], environment)  # the endpoint opens again with its engine
            times += 1
        return times

    with ThreadPoolExecutor(1) as pool:
        killer = pool.submit(kill)
        try:
            yield
        finally:
            over.set()
    if every:
        say(f"the engine was killed {killer.result()} times")


@contextmanager
def endpoint(state: Path) -> Iterator[dict[str, str]]:
    """`spawn serve` on an engine of its own; the variables that point clients at it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    no_keys = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    environment |= {"SPAWN_STATE_DIR": str(state), **no_keys}
    try:
        quietly([SPAWN, "serve", "--detach", "--port", "0"], environment)
        exports = quietly([SPAWN, "serve", "--print-env"], environment)
        words = [shlex.split(line.removeprefix("export "))[0] for line in exports.splitlines() if line.startswith("export ")]
        with killing(environment, every=float(os.environ.get("SPAWN_CLIENTS_KILL_EVERY", "0"))):
            yield dict(word.split("=", 1) for word in words)
    finally:
        for closing in (["serve", "stop"], ["engine", "stop", "--terminate", "--yes"]):
            subprocess.run([SPAWN, *closing], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def chosen(names: Sequence[str]) -> list[Client]:
    """The clients of those names, or all."""
    known = {client.name: client for client in CLIENTS}
    for name in names:
        if name not in known:
            sys.exit(f"no client is called {name!r}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(CLIENTS)


def run_all(clients: Sequence[Client], cache: Path, work: Path, exports: Mapping[str, str]) -> int:
    """Run the clients, a few at the same time, and say of each how it went. Returns how many failed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPAWN_", "PYTHON", "METAFLOW_", "AIRFLOW_"))}

    def one(client: Client) -> bool:
        good, seconds = client.run(work, {**inherited, **exports, **client.source.variables(cache, exports)})
        log = "" if good else "\n" + client.log(work).read_text(errors="replace")[-12_000:]
        say(f"{'ok' if good else 'FAILED':8} {client.name:14} {seconds:5.1f} s  {client.source.versions(cache)}{log}")
        return good

    with ThreadPoolExecutor(int(os.environ.get("SPAWN_CLIENTS_AT_ONCE", "4"))) as pool:
        return sum(not good for good in pool.map(one, clients))


def install(clients: Sequence[Client], cache: Path) -> None:
    """Install the clients, and the server that several of them need."""
    began = time.monotonic()
    for source in [MOTO, *(client.source for client in clients)]:
        source.install(cache)
    say(f"installed in {time.monotonic() - began:.0f} s")


def main(arguments: Sequence[str]) -> int:
    """Install, start, run, and tell. Returns the exit status."""
    kept = os.environ.get("SPAWN_CLIENTS_CACHE")
    wanted = chosen([argument for argument in arguments if argument != "--install"])
    missing = {client.name: reason for client in wanted if (reason := client.source.missing())}
    clients = [client for client in wanted if client.name not in missing]
    if "--install" in arguments:
        if not kept:
            sys.exit("--install needs SPAWN_CLIENTS_CACHE: the directory to install into")
        install(clients, Path(kept).absolute())
        return 0
    # not in /tmp, because jobs may have a /tmp of their own, and they need the clients' environments and directories
    scratch = Path(tempfile.mkdtemp(prefix="spawn-clients.", dir="/var/tmp"))
    try:
        cache = Path(kept or scratch / "cache").absolute()
        install(clients, cache)
        with moto(cache, scratch / "moto.log") as others, endpoint(scratch / "state") as exports:
            patience = {"AWS_RETRY_MODE": "standard", "AWS_MAX_ATTEMPTS": "10"} if os.environ.get("SPAWN_CLIENTS_KILL_EVERY") else {}
            failed = run_all(clients, cache, scratch, {"AWS_ENDPOINT_URL": others, "AWS_EC2_METADATA_DISABLED": "true", **patience, **exports})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for name, reason in missing.items():
        say(f"skipped  {name}: {reason}")
    say(f"{len(clients) - failed} passed, {failed} failed" + (f", {len(missing)} skipped" if missing else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
