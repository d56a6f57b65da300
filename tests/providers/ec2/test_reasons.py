"""What is said while something does not go on: of instances that cannot be ended, and of an AWS that says nothing."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.hooks import HierarchicalEmitter

from spawn.domain.arrays import ArrayJob
from spawn.domain.hindrances import Because, Hindrance
from spawn.domain.ids import AttemptId
from spawn.domain.instants import iso
from spawn.domain.jobs import Job
from spawn.engine.fleets import Access
from spawn.providers.ec2.provider import Ec2Provider
from spawn.providers.ec2.silence import Silence
from spawn.providers.ec2.turn import Refusal
from spawn.testing.clock import ManualClock
from tests.providers.ec2.bench import Bench, bench, cloud_job


def said(at: Bench, job: Job, because: Because) -> list[tuple[Hindrance, int]]:
    """What is said of a kind after a round."""
    at.step()
    return [(why, count) for why, count in at.work.reasons.get(job.key, {}).items() if why.because is because]


def stop_all(at: Bench, job: Job) -> None:
    at.work.orders.wish("stop", [AttemptId(job.key, position, 1) for position in range(job.size)], 1.0)


def test_instances_that_may_not_be_ended_are_named_with_the_right_that_is_missing_also_when_all_else_is_over() -> None:
    with bench() as at:
        job = at.launch(cloud_job(7, zones=("us-east-1a",)))
        at.run()
        at.ec2.refusals["TerminateInstances"] = ["UnauthorizedOperation"] * 2
        stop_all(at, job)
        names = sorted(at.ec2.launched)
        for _ in range(2):
            [(why, count)] = said(at, job, Because.BILLED)
            assert count == 7
            assert why.sentence.startswith(
                f"should have ended, and costs until somebody ends it: {', '.join(names[:5])} and 2 more: cannot terminate instances in "
            )
            assert "may not call TerminateInstances" in why.sentence
            assert why.sentence.endswith("; the engine asks again")
            at.ledger.write("UPDATE attempt SET state = 'over'")
            at.clock.advance(120)
        assert said(at, job, Because.BILLED) == []
        assert sorted(at.ec2.terminated) == names


def test_an_instance_that_somebody_protected_is_named_alone() -> None:
    with bench() as at:
        job = at.launch(cloud_job(3, zones=("us-east-1a",)))
        at.run()
        at.ec2.protected = {sorted(at.ec2.launched)[1]}
        stop_all(at, job)
        at.step()
        [(why, count)] = said(at, job, Because.BILLED)
        assert count == 1
        assert f": {min(at.ec2.protected)}: " in why.sentence
        assert len(at.ec2.terminated) == 2


def test_when_ec2_does_not_say_for_half_a_minute_how_instances_stand_what_is_shown_is_said_to_be_old() -> None:
    with bench() as at:
        job = at.launch(cloud_job(2, zones=("us-east-1a",)))
        at.run()
        at.ec2.refusals["DescribeInstances"] = ["InternalError"] * 100
        at.clock.advance(31)
        assert said(at, job, Because.UNHEARD) == []
        since = at.clock.now()
        while at.clock.now() < since + 90_000:
            at.clock.advance(at.step())
        [(why, count)] = said(at, job, Because.UNHEARD)
        assert count == 2
        assert why.sentence.endswith(f"; the engine tries again; what is shown of them is as of {iso(since)}")
        at.ec2.refusals.clear()
        at.clock.advance(61)
        assert said(at, job, Because.UNHEARD) == []


def test_a_service_that_takes_connections_and_answers_nothing_is_named_while_it_is_waited_for(tmp_path: Path) -> None:
    clock, job = ManualClock(), cloud_job(3)
    provider = Ec2Provider(directory=tmp_path, clock=clock)
    provider.connect(lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "none", "AWS_EC2_METADATA_DISABLED": "true"}
        access: Access = {**keys, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.getsockname()[1]}"}
        provider.admit(job, access)
        provider.start(ArrayJob(job), [(0, 1), (1, 1), (2, 1)], None)  # type: ignore[arg-type]
        connection, _ = server.accept()
        since = clock.now()
        clock.advance(29)
        assert [why for why in provider.why(job.key) if why.because is Because.UNHEARD] == []
        clock.advance(2)
        [(why, count)] = [(why, count) for why, count in provider.why(job.key).items() if why.because is Because.UNHEARD]
        connection.close()
    provider.close(terminate=False, grace_s=1.0)
    assert count == 3
    assert why.sentence.startswith(f"AWS has not answered since {iso(since)} (")
    assert why.sentence.endswith(" in us-east-1): what is shown is as of then; the engine goes on asking")


def test_a_refusal_is_an_answer_and_a_connection_that_ended_is_none() -> None:
    clock, events = ManualClock(), HierarchicalEmitter()
    silence = Silence(clock.now)
    silence.listen(SimpleNamespace(meta=SimpleNamespace(service_model=SimpleNamespace(service_name="ec2"), region_name="us-east-1", events=events)))
    since = clock.now()
    events.emit("before-send.ec2.DescribeInstances", request=None)
    events.emit("response-received.ec2.DescribeInstances", exception=ReadTimeoutError(endpoint_url="https://ec2"))
    clock.advance(20)
    events.emit("before-send.ec2.DescribeInstances", request=None)
    clock.advance(11)
    assert silence.since(["us-east-1"]) == (since, "EC2 in us-east-1")
    assert silence.since(["us-west-2"]) is None
    events.emit("response-received.ec2.DescribeInstances", parsed_response={"Error": {"Code": "RequestLimitExceeded"}}, exception=None)
    assert silence.since(["us-east-1"]) is None


def refusal(code: str, status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "DescribeInstances")


@pytest.mark.parametrize(
    "error",
    [
        refusal("RequestLimitExceeded"),
        refusal("InternalError", 500),
        refusal("ExpiredToken"),
        ReadTimeoutError(endpoint_url="https://ec2"),
        EndpointConnectionError(endpoint_url="https://ec2"),
    ],
)
def test_what_the_engine_asks_again_by_itself_is_no_order_to_its_user(error: Exception) -> None:
    sentence = Refusal.of(error, "look").sentence
    assert sentence.endswith("; the engine tries again")
    assert "try again" not in sentence
