"""Signatures: the same as botocore's, whatever is signed."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from spored.instance.signing import Credentials, Request, Scope, encoded, full_url, signed

AT = datetime(2026, 1, 27, 10, 0, 0, tzinfo=UTC)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
words = st.text("abcXYZ019-_.~", min_size=1, max_size=8)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12).map(lambda value: f"x{value}x")


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
    path=st.lists(text, max_size=3),
    query=st.dictionaries(words, text, max_size=3),
    headers=st.dictionaries(st.sampled_from(["If-None-Match", "Content-Type", "X-Amz-Target", "X-Amz-Meta-A"]), values),
    body=st.binary(max_size=50),
    token=st.none() | words,
    service=st.sampled_from(["s3", "sqs", "ec2"]),
)
def test_headers_are_signed_as_botocore_signs_them(
    method: str, path: list[str], query: dict[str, str], headers: dict[str, str], body: bytes, token: str | None, service: str
) -> None:
    # botocore takes . and .. out of paths of other services; an instance asks those for / only
    url = "https://host.example:8443/" + ("/".join(encoded(part) for part in path) if service == "s3" else "")
    request = Request(method, url, tuple(query.items()), headers, body)
    ours = signed(request, Credentials("AKID", "secret", token, 0.0), Scope("eu-central-1", service), AT.timestamp())
    theirs = AWSRequest(method=method, url=full_url(request), headers=headers, data=body)
    signer = (botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth)(BotoCredentials("AKID", "secret", token), service, "eu-central-1")
    with patch.object(botocore.auth, "get_current_datetime", return_value=AT.replace(tzinfo=None)):
        signer.add_auth(theirs)
    assert ours["Authorization"] == theirs.headers["Authorization"]
    assert ours["X-Amz-Date"] == theirs.headers["X-Amz-Date"]


def test_credentials_do_not_show_their_secrets() -> None:
    assert repr(Credentials("AKID", "secret", "token", 1.0)) == "Credentials(AKID)"
