"""The calls of an instance against moto's S3 and SQS: somebody else's idea of what these services answer."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from spored.instance.queue import Queue
from spored.instance.s3 import PART_BYTES, Bucket, GaveUp, bucket_url
from spored.instance.service import Denied, Service, ServiceError
from spored.instance.signing import Credentials, Scope
from spored.instance.web import Answer, Unreachable, Web

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}


class Held:
    def __init__(self) -> None:
        self.refusals = 0

    def get(self) -> Credentials:
        return Credentials("testing", "testing", None, float("inf"))

    def refused(self, credentials: Credentials) -> None:
        self.refusals += 1


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


def service(name: str, web: Web) -> Service:
    return Service(Scope("us-east-1", name), Held(), web, time.time, lambda: 0.0, lambda _: None)


@pytest.fixture
def bucket(endpoint: str, web: Web) -> Bucket:
    boto3.client("s3", endpoint_url=endpoint, **KEYS).create_bucket(Bucket="results")
    return Bucket("results", bucket_url("results", "us-east-1", endpoint), service("s3", web))


def test_objects_are_written_read_listed_and_written_once(bucket: Bucket) -> None:
    key = "a/ü b+c&d/%41?x=1"
    assert bucket.get(key) is None
    assert bucket.put(key, b"one", only_new=True)
    assert not bucket.put(key, b"two", only_new=True)
    assert bucket.get(key) == b"one"
    assert [(stored.key, stored.size) for stored in bucket.list("a/")] == [(key, 3)]


def test_large_files_go_in_parts_and_leave_nothing_when_there_is_no_time(bucket: Bucket) -> None:
    data = bytes(range(256)) * (PART_BYTES // 256) * 2 + b"rest"
    bucket.put_stream("large", io.BytesIO(data), len(data), lambda: False)
    assert bucket.get("large") == data
    with pytest.raises(GaveUp):
        bucket.put_stream("late", io.BytesIO(data), len(data), lambda: True)
    assert bucket.get("late") is None


def test_a_bucket_that_does_not_exist_is_said_so(endpoint: str, web: Web) -> None:
    missing = Bucket("missing", bucket_url("missing", "us-east-1", endpoint), service("s3", web))
    with pytest.raises(ServiceError, match="the bucket missing does not exist"):
        missing.get("x")
    with pytest.raises(ServiceError, match="s3:PutObject on s3://missing/x failed"):
        missing.put("x", b"")


def test_messages_are_taken_held_and_deleted(endpoint: str, web: Web) -> None:
    sqs = boto3.client("sqs", endpoint_url=endpoint, **KEYS)
    url = sqs.create_queue(QueueName="pool")["QueueUrl"]
    queue = Queue(url, endpoint, service("sqs", web))
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    (message,) = queue.receive(3)
    assert message.body == "hello"
    queue.hold(message.receipt)
    queue.delete(message.receipt)
    queue.delete(message.receipt)
    assert Queue(url + "-gone", endpoint, service("sqs", web)).receive(1) == []


class Scripted:
    """Answers in turn; None: no answer."""

    def __init__(self, *answers: tuple[int, str] | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def ask(self, method: str, url: str, *_: object) -> Answer:
        self.asked.append(url)
        answer = self.answers.pop(0)
        if answer is None:
            raise Unreachable("no answer")
        if answer[1].startswith("<"):
            return Answer(answer[0], {}, answer[1].encode())
        return Answer(answer[0], {}, f"<Error><Code>{answer[1]}</Code></Error>".encode())


def scripted(*answers: tuple[int, str] | None) -> Bucket:
    web: object = Scripted(*answers)
    return Bucket("b", "http://h/b", service("s3", web))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "first", [None, (503, "SlowDown"), (500, "InternalError"), (400, "ExpiredToken"), (403, "InvalidAccessKeyId"), (409, "OperationAborted")]
)
def test_what_may_pass_is_asked_again(first: tuple[int, str] | None) -> None:
    assert scripted(first, first, (200, "")).put("x", b"")
    with pytest.raises((ServiceError, Unreachable)):
        scripted(first, first, first).put("x", b"")


def test_what_is_not_allowed_is_said_at_once_with_its_action_and_place() -> None:
    with pytest.raises(Denied, match=r"s3:PutObject on s3://b/x is not allowed \(AccessDenied\)"):
        scripted((403, "AccessDenied")).put("x", b"")
    assert scripted((403, "AccessDenied")).get("x") is None
    with pytest.raises(Denied, match="SignatureDoesNotMatch"):
        scripted((403, "SignatureDoesNotMatch")).get("x")


def test_a_listing_goes_on_over_its_pages() -> None:
    def page(keys: str, token: str | None) -> str:
        entries = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
        more = "<IsTruncated>false</IsTruncated>" if token is None else f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        return f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{more}{entries}</ListBucketResult>'

    bucket = scripted((200, page("ab", "t/1+")), (200, page("", "t2")), (200, page("c", None)))
    assert [stored.key for stored in bucket.list("p/")] == ["a", "b", "c"]
    asked: list[str] = bucket.service.web.asked  # type: ignore[attr-defined]
    assert asked[1:] == [f"http://h/b/?continuation-token={token}&list-type=2&prefix=p%2F" for token in ("t%2F1%2B", "t2")]
