"""The metadata service, asked for real; and the threads that ask."""

from __future__ import annotations

import threading

import pytest

from spored.instance.metadata import Metadata
from spored.instance.web import Unreachable, Web
from spored.instance.workers import Workers
from spored.loop import Loop
from tests.spored.instance.cloud import Cloud


def test_a_metadata_token_that_is_taken_no_more_is_replaced(cloud: Cloud, web: Web) -> None:
    endpoint = cloud.add_instance("i-1", 3)
    refusals = [401]
    cloud.fault = lambda method, path: refusals.pop() if method == "GET" and refusals else None
    metadata = Metadata(endpoint, web)
    identity = metadata.identity()
    assert (identity.instance_id, identity.launch_index, identity.zone, identity.powered_at) == ("i-1", 3, "eu-central-1a", None)
    assert [method for method, _ in cloud.requests][:4] == ["PUT", "GET", "PUT", "GET"]
    assert metadata.notice() is None


def test_a_role_that_is_missing_is_said_so(cloud: Cloud, web: Web) -> None:
    endpoint = cloud.add_instance("i-1")
    del cloud.metadata["i-1"]["meta-data/iam/security-credentials/"]
    with pytest.raises(Unreachable, match="this instance has no role"):
        Metadata(endpoint, web).role_credentials()


def test_metadata_that_does_not_answer_is_asked_four_times() -> None:
    slept: list[float] = []
    metadata = Metadata("http://127.0.0.1:1", Web(timeout_s=1), sleep=slept.append)
    with pytest.raises(Unreachable, match="did not answer"):
        metadata.get("meta-data/instance-id")
    assert slept == [0.1, 0.2, 0.4]


def test_workers_tell_in_the_thread_of_the_loop() -> None:
    loop = Loop({})
    workers = Workers(loop, {"io": 1})
    told: list[object] = []
    workers.do("io", lambda: 1 // 0, told.append, lambda error: told.append(type(error)))
    workers.do(
        "io", lambda: threading.current_thread().name, lambda name: told.append((name, threading.current_thread() is threading.main_thread())), told.append
    )
    while len(told) < 2:
        loop.turn()
    assert told == [ZeroDivisionError, ("spored-io", True)]
