"""SQS by the laboratory's clock."""

from __future__ import annotations

from typing import Any

import pytest

from spawn.testing.ec2lab.plan import Fault, FaultKind
from tests.ec2lab.asking import Asking, refused
from tests.ec2lab.conftest import Opening


@pytest.fixture
def queue(shared: Asking, request: pytest.FixtureRequest) -> str:
    url = shared.client("sqs").create_queue(QueueName=f"q{abs(hash(request.node.name))}", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    return str(url)


def received(asking: Asking, url: str, most: int = 1) -> list[dict[str, Any]]:
    return list(asking.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=most).get("Messages", []))


def test_a_message_is_hidden_until_its_time_is_over_or_it_is_deleted(shared: Asking, queue: str) -> None:
    sqs = shared.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody="one")
    [first] = received(shared, queue)
    assert (first["Body"], received(shared, queue)) == ("one", [])
    shared.lab.advance(60)
    [again] = received(shared, queue)
    assert again["MessageId"] == first["MessageId"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=again["ReceiptHandle"])
    shared.lab.advance(60)
    assert received(shared, queue) == []


def test_a_message_may_be_hidden_for_longer(shared: Asking, queue: str) -> None:
    sqs = shared.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody="one")
    [message] = received(shared, queue)
    shared.lab.advance(50)
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=60)
    shared.lab.advance(50)
    assert received(shared, queue) == []
    shared.lab.advance(10)
    assert len(received(shared, queue)) == 1
    with refused("AWS.SimpleQueueService.MessageNotInflight"):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=60)


def test_messages_are_sent_received_and_deleted_ten_at_a_time(shared: Asking, queue: str) -> None:
    sqs = shared.client("sqs")
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(number), "MessageBody": str(number)} for number in range(10)])
    assert len(sent["Successful"]) == 10
    messages = received(shared, queue, 10)
    assert {message["Body"] for message in messages} == {str(number) for number in range(10)}
    entries = [{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)]
    assert len(sqs.delete_message_batch(QueueUrl=queue, Entries=entries)["Successful"]) == 10
    with refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest"):
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(number), "MessageBody": "x"} for number in range(11)])


def test_attributes_count_what_waits_and_what_is_in_flight(shared: Asking, queue: str) -> None:
    sqs = shared.client("sqs")
    for _ in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody="one")
    received(shared, queue)
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert (attributes["ApproximateNumberOfMessages"], attributes["ApproximateNumberOfMessagesNotVisible"]) == ("2", "1")
    assert attributes["VisibilityTimeout"] == "60"


def test_a_queue_that_is_gone_is_gone(shared: Asking, queue: str) -> None:
    sqs = shared.client("sqs")
    sqs.tag_queue(QueueUrl=queue, Tags={"a": "b", "c": "d"})
    sqs.untag_queue(QueueUrl=queue, TagKeys=["c"])
    assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"a": "b"}
    assert queue in sqs.list_queues(QueueNamePrefix=queue.rpartition("/")[2])["QueueUrls"]
    sqs.delete_queue(QueueUrl=queue)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=queue.rpartition("/")[2])


def test_a_message_may_be_given_twice(opened: Opening) -> None:
    asking = opened(faults=(Fault(kind=FaultKind.DUPLICATED, service="sqs", action="ReceiveMessage", nth=1),))
    sqs = asking.client("sqs")
    url = sqs.create_queue(QueueName="pool")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="one")
    assert [message["Body"] for _ in range(3) for message in received(asking, url)] == ["one", "one"]
