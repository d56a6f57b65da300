"""The AWS endpoint under load: SubmitJob, DescribeJobs and ListJobs over HTTP, signed; then the same over a store with a million children."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.engine import PrivateEngine
from benchmarks.figures import Figure, milliseconds, note
from benchmarks.restart import copy_rows

RATE = 500
DESCRIBED = 100
GOAL_DESCRIBE_MS = 50
GOAL_LIST_MS = 30
SENDERS = 8

Document = dict[str, Any]


class Sender:
    """One connection to the endpoint, kept open; every request is signed anew."""

    def __init__(self, exports: dict[str, str]) -> None:
        self._url = exports["AWS_ENDPOINT_URL_BATCH"]
        parts = urlsplit(self._url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        credentials = Credentials(exports["AWS_ACCESS_KEY_ID"], exports["AWS_SECRET_ACCESS_KEY"])
        self._auth = SigV4Auth(credentials, "batch", exports["AWS_DEFAULT_REGION"])

    def __call__(self, operation: str, document: Document) -> Document:
        """The answer of an operation; an error ends the benchmark."""
        path = f"/v1/{operation.lower()}"
        request = AWSRequest(method="POST", url=self._url + path, data=json.dumps(document), headers={"Content-Type": "application/json"})
        self._auth.add_auth(request)
        self._connection.request("POST", path, body=request.data, headers=dict(request.headers))
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            sys.exit(f"benchmark: {operation}: {answer.status} {content[:500].decode(errors='replace')}")
        found: Document = json.loads(content)
        return found


@dataclass(frozen=True, slots=True)
class Load:
    """What one round of load came to: submissions a second, and latencies in seconds, sorted."""

    rate: float
    submit: list[float]
    describe: list[float]
    pages: list[float]


def measure(*, quick: bool, rounds: int) -> list[Figure]:
    """The same load on a nearly empty store and on one that holds a hundred settled arrays of 10,000; `rounds` is not used: each takes long."""
    del rounds
    size = 1_000 if quick else 10_000
    with PrivateEngine() as engine:
        exports = engine.serve()
        send = Sender(exports)
        _register(send)
        empty = _load(exports, size, seconds=3 if quick else 20)
        copies = 10 if quick else 100
        _fill(engine, Sender(exports), size, copies)  # the endpoint has hung up on the connection that was idle for long
        engine.run("engine", "start")
        full = _load(engine.serve(), size, seconds=3 if quick else 20)
    return _figures("nearly empty store", empty, size) + _figures(f"{copies * size:,} children in the store", full, size) + _ratios(empty, full)


def _register(send: Sender) -> None:
    for name, command in (("true", ["/bin/true"]), ("work", ["sh", "-c", "i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done"])):
        requirements = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]
        properties = {"image": "none", "command": command, "resourceRequirements": requirements}
        send("RegisterJobDefinition", {"jobDefinitionName": name, "type": "container", "containerProperties": properties})


def _load(exports: dict[str, str], size: int, *, seconds: float) -> Load:
    send = Sender(exports)
    array = send("SubmitJob", {"jobName": "running", "jobQueue": "default", "jobDefinition": "work", "arrayProperties": {"size": size}})["jobId"]
    note("  describing and listing while an array runs ...")
    describe, pages = _look(send, array, size)
    _until_settled(send, array)
    note(f"  submitting {RATE} jobs a second ...")
    submit, took = _submit(exports, RATE, seconds)
    return Load(len(submit) / took, sorted(submit), sorted(describe), sorted(pages))


def _look(send: Sender, array: str, size: int) -> tuple[list[float], list[float]]:
    """DescribeJobs of children all over the array, and all pages of it, again and again while it runs."""
    describe, pages = [], []
    for number in range(60):
        ids = [f"{array}:{(number + i * (size // DESCRIBED)) % size}" for i in range(DESCRIBED)]
        describe.append(_timed(partial(send, "DescribeJobs", {"jobs": ids})))
        if number % 6 == 0:
            pages += _pages(send, array)
    return describe, pages


def _pages(send: Sender, array: str) -> list[float]:
    times: list[float] = []
    for status in ("RUNNABLE", "SUCCEEDED"):
        token: str | None = None
        while True:
            document = {"arrayJobId": array, "jobStatus": status} | ({"nextToken": token} if token else {})
            began = time.perf_counter()
            answer = send("ListJobs", document)
            if answer["jobSummaryList"]:
                times.append(time.perf_counter() - began)
            token = answer.get("nextToken")
            if token is None:
                break
    return times


def _submit(exports: dict[str, str], rate: int, seconds: float) -> tuple[list[float], float]:
    """Send at a steady rate over several connections, whether the answers keep up or not: the latencies from when each was due, and the seconds in all."""
    times: list[float] = []
    start = time.perf_counter() + 0.2
    due = [start + number / rate for number in range(int(rate * seconds))]

    def work(mine: list[float]) -> None:
        send = Sender(exports)
        for moment in mine:
            time.sleep(max(0.0, moment - time.perf_counter()))
            send("SubmitJob", {"jobName": "one", "jobQueue": "default", "jobDefinition": "true"})
            times.append(time.perf_counter() - moment)

    threads = [threading.Thread(target=work, args=(due[number::SENDERS],)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, time.perf_counter() - start


def _fill(engine: PrivateEngine, send: Sender, size: int, copies: int) -> None:
    """Copies of one settled array, made in the store of an engine that is gone."""
    settled = send("SubmitJob", {"jobName": "settled", "jobQueue": "default", "jobDefinition": "true", "arrayProperties": {"size": size}})["jobId"]
    _until_settled(send, settled)
    status = engine.status()
    os.kill(status["pid"], signal.SIGKILL)
    note(f"  copying the rows of {settled} {copies} times")
    copy_rows(status["store"], settled, copies)


def _until_settled(send: Sender, job: str) -> None:
    while send("DescribeJobs", {"jobs": [job]})["jobs"][0]["status"] not in ("SUCCEEDED", "FAILED"):
        time.sleep(0.2)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _figures(where: str, load: Load, size: int) -> list[Figure]:
    p99_describe, p99_page = _quantile(load.describe, 0.99), _quantile(load.pages, 0.99)
    return [
        Figure(
            what=f"SubmitJob sustained, {where}",
            command=f"{RATE}/s asked",
            value=f"{load.rate:.0f}/s",
            goal=f"≥ {RATE * 0.99:.0f}/s",
            met=load.rate >= RATE * 0.99,
        ),
        Figure(
            what="its latency, median and p99", command="", value=f"{milliseconds(_quantile(load.submit, 0.5))}, {milliseconds(_quantile(load.submit, 0.99))}"
        ),
        Figure(
            what=f"DescribeJobs of {DESCRIBED} children while {size:,} run, p99, {where}",
            command="",
            value=milliseconds(p99_describe),
            goal=f"≤ {GOAL_DESCRIBE_MS} ms",
            met=p99_describe * 1000 <= GOAL_DESCRIBE_MS,
        ),
        Figure(
            what=f"a page of ListJobs of that array, p99, {where}",
            command="",
            value=milliseconds(p99_page),
            goal=f"≤ {GOAL_LIST_MS} ms",
            met=p99_page * 1000 <= GOAL_LIST_MS,
        ),
    ]


def _ratios(empty: Load, full: Load) -> list[Figure]:
    names = ("SubmitJob", "DescribeJobs", "a page of ListJobs")
    pairs = ((empty.submit, full.submit), (empty.describe, full.describe), (empty.pages, full.pages))
    ratios = [_quantile(after, 0.5) / _quantile(before, 0.5) for before, after in pairs]
    return [
        Figure(what=f"{name}, median: full store ÷ nearly empty", command="", value=f"{ratio:.2f}", goal="≤ 2", met=ratio <= 2)
        for name, ratio in zip(names, ratios, strict=True)
    ]


def _quantile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]
