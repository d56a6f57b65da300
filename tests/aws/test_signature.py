"""Signatures: what botocore signs is accepted as it was signed, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from spawn.api.aws.failures import AwsError
from spawn.api.aws.signature import ALLOWED_SKEW, Received, claimed_region, verify
from spawn.domain.instants import Instant, from_seconds

ACCESS_KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = "127.0.0.1:8642"
LETTERS = st.characters(min_codepoint=0x21, max_codepoint=0x2FF, exclude_categories=["Cs"])
SEGMENTS = st.text(LETTERS, min_size=1, max_size=8).map(lambda text: quote(text, safe="-_.~"))
PATHS = st.lists(st.one_of(SEGMENTS, st.sampled_from([".", "..", ""])), max_size=5).map(lambda parts: "/" + "/".join(parts))
NAMES = st.text(LETTERS | st.just(" "), max_size=8).map(lambda text: quote(text, safe="-_.~"))
QUERIES = st.lists(st.tuples(NAMES, NAMES), max_size=5).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
HEADER_TEXT = st.text(st.sampled_from('abcXYZ019 \t,;=:"/'), max_size=20)
EXTRA_HEADERS = st.lists(st.tuples(st.sampled_from(["X-Amz-One", "x-two", "Content-Type", "X-Custom"]), HEADER_TEXT), max_size=6)


def secret_of(access_key: str) -> str | None:
    return SECRET if access_key == ACCESS_KEY else None


def signed(
    *,
    method: str = "POST",
    target: str = "/v1/submitjob",
    body: bytes = b"{}",
    headers: list[tuple[str, str]] | None = None,
    service: str = "batch",
    region: str = "eu-west-1",
    credentials: Credentials | None = None,
) -> Received:
    """What arrives when botocore has signed this and sent it."""
    request = AWSRequest(method, f"http://{HOST}{target}", data=body, headers={"host": HOST})
    for name, value in headers or []:
        request.headers.add_header(name, value)
    SigV4Auth(credentials or Credentials(ACCESS_KEY, SECRET), service, region).add_auth(request)
    raw_path, _, query = target.partition("?")
    sent = [(name.lower().encode(), value.strip().encode()) for name, value in request.headers.items()]
    return Received(method=method, raw_path=raw_path.encode(), query=query.encode(), headers=sent, body=body)


def signed_at(received: Received) -> Instant:
    text = received.values(b"x-amz-date")[0].decode()
    return from_seconds(datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())


def verified(received: Received, *, later: timedelta = timedelta(), service: str = "batch") -> str:
    """The region of a request that holds; `later` than it was signed."""
    at = Instant(signed_at(received) + round(later.total_seconds() * 1000))
    return verify(received, service=service, secret_of=secret_of, now=at).region


def with_header(received: Received, name: bytes, change: Callable[[bytes], bytes]) -> Received:
    return replace(received, headers=[(key, change(value) if key == name else value) for key, value in received.headers])


def without_header(received: Received, name: bytes) -> Received:
    return replace(received, headers=[(key, value) for key, value in received.headers if key != name])


def reason(received: Received, *, later: timedelta = timedelta(), service: str = "batch", at: Instant | None = None) -> tuple[str, int, str]:
    with pytest.raises(AwsError) as caught:
        verify(received, service=service, secret_of=secret_of, now=at or Instant(signed_at(received) + round(later.total_seconds() * 1000)))
    assert SECRET not in caught.value.message
    return caught.value.code, caught.value.status, caught.value.message


@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD"]),
    path=PATHS,
    query=QUERIES,
    headers=EXTRA_HEADERS,
    body=st.binary(max_size=50),
    token=st.none() | st.text(st.sampled_from("abcXYZ+/="), min_size=1),
    region=st.sampled_from(["eu-west-1", "cn-north-1", "us-gov-west-1"]),
)
def test_whatever_botocore_signs_holds(method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, token: str | None, region: str) -> None:
    received = signed(
        method=method,
        target=f"{path}?{query}" if query else path,
        headers=headers,
        body=body,
        region=region,
        credentials=Credentials(ACCESS_KEY, SECRET, token),
    )
    assert verified(received) == region


@given(data=st.data())
def test_a_request_that_was_changed_on_the_way_does_not_hold(data: st.DataObject) -> None:
    received = signed(target="/v1/tags/arn%3Aaws%2Fq?tagKeys=a&tagKeys=b", headers=[("X-Amz-Target", "one two"), ("Content-Type", "application/json")])
    changes: Mapping[str, Callable[[], Received]] = {
        "method": lambda: replace(received, method="DELETE"),
        "path": lambda: replace(received, raw_path=b"/v1/tags/arn%3Aaws/q"),
        "query": lambda: replace(received, query=b"tagKeys=a&tagKeys=c"),
        "fewer in the query": lambda: replace(received, query=b"tagKeys=a"),
        "body": lambda: replace(received, body=b'{"a":1}'),
        "no body": lambda: replace(received, body=b""),
        "header": lambda: with_header(received, b"x-amz-target", lambda _: b"onetwo"),
        "a second value": lambda: replace(received, headers=[*received.headers, (b"x-amz-target", b"three")]),
        "a header less": lambda: without_header(received, b"content-type"),
        "host": lambda: with_header(received, b"host", lambda _: b"127.0.0.1:80"),
        "signature": lambda: with_header(received, b"authorization", lambda value: value[:-64] + b"0" * 64),
        "half a signature": lambda: with_header(received, b"authorization", lambda value: value[:-32]),
        "signature that is no ASCII": lambda: with_header(received, b"authorization", lambda value: value[:-1] + b"\xe9"),
        "signed headers": lambda: with_header(received, b"authorization", lambda value: value.replace(b"content-type;", b"")),
        "region": lambda: with_header(received, b"authorization", lambda value: value.replace(b"eu-west-1", b"us-east-1")),
    }
    change = data.draw(st.sampled_from(sorted(changes)))
    code, status, message = reason(changes[change]())
    assert (code, status) == ("InvalidSignatureException", 403)
    assert message.startswith("The request signature we calculated does not match the signature you provided.")


def test_headers_that_are_not_signed_may_be_added() -> None:
    received = signed()
    assert verified(replace(received, headers=[*received.headers, (b"x-amzn-trace-id", b"Root=1"), (b"via", b"proxy")])) == "eu-west-1"


def test_the_order_of_a_query_and_the_case_of_its_encoding_are_no_matter() -> None:
    received = signed(method="DELETE", target="/v1/tags/q?tagKeys=b%2Fc&tagKeys=a", body=b"")
    assert verified(replace(received, query=b"tagKeys=a&tagKeys=b%2fc")) == "eu-west-1"


def test_a_request_without_a_signature_is_missing_its_token() -> None:
    received = without_header(signed(), b"authorization")
    assert reason(received) == ("MissingAuthenticationTokenException", 403, "Missing Authentication Token")
    assert reason(replace(received, headers=[*received.headers, (b"authorization", b" ")]))[0] == "MissingAuthenticationTokenException"


def test_an_unknown_access_key_is_unrecognized() -> None:
    received = signed(credentials=Credentials("AKIDOTHER", SECRET))
    assert reason(received) == ("UnrecognizedClientException", 403, "The security token included in the request is invalid.")


def test_a_wrong_secret_makes_another_signature() -> None:
    assert reason(signed(credentials=Credentials(ACCESS_KEY, "another")))[:2] == ("InvalidSignatureException", 403)


@pytest.mark.parametrize(("later", "says"), [(ALLOWED_SKEW, "Signature expired: "), (-ALLOWED_SKEW, "Signature not yet current: ")])
def test_a_signature_holds_for_five_minutes_and_not_a_second_more(later: timedelta, says: str) -> None:
    received = signed()
    second = timedelta(seconds=1 if later > timedelta() else -1)
    assert verified(received, later=later) == "eu-west-1"
    code, status, message = reason(received, later=later + second)
    assert (code, status) == ("InvalidSignatureException", 403)
    assert message.startswith(says)


def test_the_message_of_an_expired_signature_tells_the_times() -> None:
    received = with_header(signed(), b"x-amz-date", lambda _: b"20260127T100000Z")
    received = with_header(received, b"authorization", lambda value: value.replace(value.split(b"/")[1], b"20260127"))
    late = from_seconds(datetime(2026, 1, 27, 10, 10, tzinfo=UTC).timestamp())
    message = reason(received, at=late)[2]
    assert message == "Signature expired: 20260127T100000Z is now earlier than 20260127T100500Z (20260127T101000Z - 5 min.)"


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        (1, b"20200101", "Credential should be scoped to the date of the request"),
        (2, b"EU!", "Credential should be scoped to a valid region, not 'EU!'"),
        (3, b"s3", "Credential should be scoped to correct service: 'batch'"),
        (4, b"aws3_request", "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws3_request'"),
    ],
)
def test_a_scope_that_is_not_ours_is_refused(part: int, value: bytes, says: str) -> None:
    def change(header: bytes) -> bytes:
        credential = header.split(b"Credential=")[1].split(b",")[0]
        parts = credential.split(b"/")
        parts[part] = value
        return header.replace(credential, b"/".join(parts))

    code, status, message = reason(with_header(signed(), b"authorization", change))
    assert (code, status) == ("InvalidSignatureException", 403)
    assert message.startswith(says)


def test_a_signature_for_another_service_does_not_open_this_one() -> None:
    assert "correct service: 'batch'" in reason(signed(service="logs"))[2]
    assert verified(signed(service="logs"), service="logs") == "eu-west-1"


@pytest.mark.parametrize(
    "header",
    [
        b"Bearer abc",
        b"AWS4-HMAC-SHA256",
        b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE",
        b"AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0",
        b"AWS4-HMAC-SHA256 Credential=a/20260127/r/batch/aws4_request, SignedHeaders=host",
        b"AWS4-HMAC-SHA256 Credential=a/20260127/r/batch/aws4_request, SignedHeaders=host, Signature=",
        b"AWS4-HMAC-SHA256 Credential= a, SignedHeaders=host, Signature=0, Signature=1",
        b"AWS4-HMAC-SHA256 ,,,,",
        b"AWS4-ECDSA-P256-SHA256 Credential=a/20260127/batch/aws4_request, SignedHeaders=host, Signature=0",
        b"\xff\xfe\x00",
    ],
)
def test_a_header_that_is_not_in_form_is_incomplete(header: bytes) -> None:
    assert reason(with_header(signed(), b"authorization", lambda _: header))[:2] == ("IncompleteSignatureException", 400)


def test_two_authorization_headers_are_incomplete() -> None:
    received = signed()
    twice = replace(received, headers=[*received.headers, *[pair for pair in received.headers if pair[0] == b"authorization"]])
    assert reason(twice)[:2] == ("IncompleteSignatureException", 400)


@pytest.mark.parametrize("date", [b"", b"yesterday", b"20260127", b"20261399T999999", b"\xff", b"2026-01-27T10:00:00Z"])
def test_a_date_that_is_none_is_incomplete(date: bytes) -> None:
    received = signed()
    assert reason(with_header(received, b"x-amz-date", lambda _: date), at=signed_at(received))[:2] == ("IncompleteSignatureException", 400)


def test_a_missing_date_and_a_second_one_are_incomplete() -> None:
    received = signed()
    now = signed_at(received)
    assert reason(without_header(received, b"x-amz-date"), at=now)[:2] == ("IncompleteSignatureException", 400)
    twice = replace(received, headers=[*received.headers, (b"x-amz-date", b"20260127T100000Z")])
    assert reason(twice, at=now)[:2] == ("IncompleteSignatureException", 400)


def test_an_impossible_date_is_expired_or_not_yet_current() -> None:
    received = with_header(signed(), b"x-amz-date", lambda _: b"20261399T999999Z")
    received = with_header(received, b"authorization", lambda value: value.replace(value.split(b"/")[1], b"20261399"))
    at = from_seconds(datetime(2026, 1, 27, tzinfo=UTC).timestamp())
    assert reason(received, at=at)[0] == "InvalidSignatureException"


def test_a_date_header_in_words_does_as_well() -> None:
    received = signed(headers=[("Date", "will be replaced")])
    assert not received.values(b"x-amz-date")
    now = from_seconds(datetime.now(UTC).timestamp())
    assert verify(received, service="batch", secret_of=secret_of, now=now).access_key == ACCESS_KEY


@pytest.mark.parametrize(("left_out", "says"), [(b"host;", "'host' must be a 'SignedHeader'"), (b";x-amz-target", "'x-amz-target' must be a 'SignedHeader'")])
def test_host_and_target_must_be_signed(left_out: bytes, says: str) -> None:
    received = signed(headers=[("X-Amz-Target", "Logs_20140328.GetLogEvents")])
    unsigned = with_header(received, b"authorization", lambda value: value.replace(left_out, b""))
    code, status, message = reason(unsigned)
    assert (code, status) == ("InvalidSignatureException", 403)
    assert message.startswith(says)


def test_a_body_that_is_not_signed_is_refused() -> None:
    received = signed(headers=[("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")])
    code, status, message = reason(received)
    assert (code, status) == ("InvalidSignatureException", 403)
    assert "UNSIGNED-PAYLOAD is not accepted" in message


def test_a_body_is_hashed_as_it_came_and_not_as_it_is_claimed_to_be() -> None:
    received = signed(headers=[("X-Amz-Content-SHA256", "0" * 64)], body=b"{}")
    code, status, message = reason(received)
    assert (code, status) == ("InvalidSignatureException", 403)
    assert "x-amz-content-sha256" in message


def test_a_region_is_believed_as_it_is_claimed_where_nothing_is_verified() -> None:
    received = signed(region="ap-south-1", credentials=Credentials("any", "any"))
    assert claimed_region(received) == "ap-south-1"
    assert claimed_region(without_header(received, b"authorization")) is None
    assert claimed_region(with_header(received, b"authorization", lambda value: value.replace(b"ap-south-1", b"..%2F"))) is None
    assert claimed_region(with_header(received, b"authorization", lambda _: b"Basic xyz")) is None
