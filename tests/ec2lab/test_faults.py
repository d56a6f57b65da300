"""What goes wrong when the plan says so."""

from __future__ import annotations

import pytest
from botocore.exceptions import ConnectionClosedError

from spawn.testing.ec2lab.plan import Fault, FaultKind
from tests.ec2lab.asking import refused
from tests.ec2lab.conftest import Opening


def test_a_dropped_call_does_nothing(opened: Opening) -> None:
    asking = opened(faults=(Fault(kind=FaultKind.DROPPED, action="RunInstances", nth=1),))
    with pytest.raises(ConnectionClosedError):
        asking.run(3, ClientToken="t")
    assert asking.lab.lives() == []
    assert len(asking.run(3, ClientToken="t")) == 3


def test_a_lost_answer_comes_after_the_work(opened: Opening) -> None:
    asking = opened(faults=(Fault(kind=FaultKind.LOST_ANSWER, action="RunInstances", nth=1),))
    with pytest.raises(ConnectionClosedError):
        asking.run(3, ClientToken="t")
    assert len(asking.lab.lives()) == 3
    assert {one["InstanceId"] for one in asking.run(3, ClientToken="t")} == {life.instance_id for life in asking.lab.lives()}
    assert [(call.status, call.code, call.token) for call in asking.lab.calls.of("RunInstances")] == [(0, "lost-answer", "t"), (200, None, "t")]


@pytest.mark.parametrize(("kind", "code", "status"), [(FaultKind.BROKEN, "InternalError", 500), (FaultKind.UNAVAILABLE, "ServiceUnavailable", 503)])
def test_a_service_may_break(opened: Opening, kind: FaultKind, code: str, status: int) -> None:
    asking = opened(faults=(Fault(kind=kind, service="ec2", action="Describe*", times=1),))
    with refused(code):
        asking.shown()
    assert asking.shown() == []
    assert [call.status for call in asking.lab.calls.of("DescribeInstances")] == [status, 200]


def test_s3_may_refuse_what_is_below_a_prefix(opened: Opening) -> None:
    asking = opened(faults=(Fault(kind=FaultKind.DENIED, service="s3", action="PutObject", key="arrays/*/outcome.json"),))
    bucket = asking.bucket()
    asking.s3.put_object(Bucket=bucket, Key="arrays/A/claim.json", Body=b"")
    with refused("AccessDenied"):
        asking.s3.put_object(Bucket=bucket, Key="arrays/A/outcome.json", Body=b"")
    asking.lab.clear_faults()
    asking.s3.put_object(Bucket=bucket, Key="arrays/A/outcome.json", Body=b"")


def test_a_fault_may_hold_for_a_time_and_begin_while_the_laboratory_runs(opened: Opening) -> None:
    asking = opened()
    asking.lab.add_fault(Fault(kind=FaultKind.THROTTLED, service="ec2", from_s=10, until_s=20))
    asking.shown()
    asking.lab.advance(10)
    with refused("RequestLimitExceeded"):
        asking.shown()
    asking.lab.advance(10)
    asking.shown()


def test_chance_is_the_same_for_the_same_seed(opened: Opening) -> None:
    def outcomes(seed: int) -> list[int]:
        asking = opened(seed=seed, throttle=False, faults=(Fault(kind=FaultKind.BROKEN, service="ec2", chance=0.5),))
        for _ in range(20):
            try:
                asking.shown()
            except asking.ec2.exceptions.ClientError:
                pass
        return [call.status for call in asking.lab.calls.of("DescribeInstances")]

    first = outcomes(1)
    assert first == outcomes(1)
    assert set(first) == {200, 500}
    assert first != outcomes(2)


def test_calls_are_noted_with_who_made_them_and_how_often_they_tried(opened: Opening) -> None:
    asking = opened()
    asking.shown()
    [call] = asking.lab.calls.of("DescribeInstances")
    assert (call.service, call.region, call.caller, call.status, call.code, call.retry) == ("ec2", "us-east-1", "user", 200, None, 1)
    bucket = asking.bucket()
    with refused("NoSuchKey"):
        asking.s3.get_object(Bucket=bucket, Key="nothing")
    [missing] = asking.lab.calls.of("GetObject")
    assert (missing.status, missing.code, missing.resource) == (404, "NoSuchKey", f"{bucket}/nothing")
