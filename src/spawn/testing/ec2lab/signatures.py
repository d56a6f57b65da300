"""AWS Signature Version 4: whether a request is what its signer signed."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import Final
from urllib.parse import quote, unquote

from spawn.testing.ec2lab.requests import Request

_PARTS = re.compile(r"SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})")
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"


def holds(request: Request, secret: str) -> bool:
    """Whether its signature was made with a secret, of just this request and body."""
    if request.scope is None:
        return False
    if request.presigned:
        headers, signature = request.arguments.get("X-Amz-SignedHeaders", ""), request.arguments["X-Amz-Signature"]
        signed_at, body = request.arguments.get("X-Amz-Date", ""), _UNSIGNED
    else:
        found = _PARTS.search(request.headers.get("authorization", ""))
        if found is None:
            return False
        headers, signature = found[1], found[2]
        signed_at, body = request.headers.get("x-amz-date", ""), _body(request)
    names = headers.split(";")
    lines = [
        request.method,
        _path(request),
        _query(request),
        *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names),
        "",
        headers,
        body,
    ]
    date, region, service = signed_at[:8], request.region, request.service
    text = "\n".join(["AWS4-HMAC-SHA256", signed_at, f"{date}/{region}/{service}/aws4_request", sha256("\n".join(lines).encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature)


def _body(request: Request) -> str:
    claimed = request.headers.get("x-amz-content-sha256")
    if claimed is not None and (claimed == _UNSIGNED or claimed.startswith("STREAMING-")):
        return claimed
    # a claim that is not the body's own hash makes another text, and so does not hold
    return sha256(request.body).hexdigest()


def _path(request: Request) -> str:
    """S3 signs the path as it is sent; the other services encode it once more."""
    return request.path or "/" if request.service == "s3" else quote(request.path or "/", safe="/-_.~")


def _query(request: Request) -> str:
    pairs = [part.partition("=") for part in request.query.split("&") if part]
    return "&".join(sorted(f"{_encoded(name)}={_encoded(value)}" for name, _, value in pairs if name != "X-Amz-Signature"))


def _encoded(text: str) -> str:
    return quote(unquote(text), safe="-_.~")
