"""A laboratory by the machine's clock: time goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spawn.testing.ec2lab import Lab, LabPlan
from spawn.testing.ec2lab.plan import Fate, FateKind
from tests.ec2lab.asking import Asking
from tests.system.conftest import eventually


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    plan = LabPlan(throttle=False, pending_s=0.05, notice_s=0.1, fates=(Fate(kind=FateKind.INTERRUPTED, nth=1, after_s=0.1),))
    with Lab(plan) as lab:
        yield Asking(lab)
    assert lab.failures == []


def test_what_is_due_happens_without_a_call(asking: Asking) -> None:
    [one] = asking.run(InstanceMarketOptions={"MarketType": "spot"})
    eventually(lambda: asking.life(one["InstanceId"]).state == "terminated")
    [charge] = asking.life(one["InstanceId"]).charges
    assert charge.until is not None


def test_its_clock_cannot_be_moved(asking: Asking) -> None:
    with pytest.raises(TypeError, match="ManualClock"):
        asking.lab.advance(1)


def test_whoever_waits_for_a_message_gets_it_when_it_comes(asking: Asking) -> None:
    sqs = asking.client("sqs")
    url = sqs.create_queue(QueueName="pool")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="one", DelaySeconds=1)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]] == ["one"]
