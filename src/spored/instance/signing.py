"""AWS Signature Version 4, in headers, as S3, SQS and EC2 verify it."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
Query = Sequence["tuple[str, str]"]


class Credentials(NamedTuple):
    """A key, and until when it serves (seconds since the epoch)."""

    access_key: str
    secret_key: str
    token: str | None
    expires_at: float

    def __repr__(self) -> str:
        return f"Credentials({self.access_key})"


class Scope(NamedTuple):
    """What a signature is good for."""

    region: str
    service: str


class Request(NamedTuple):
    """What is to be signed. `url` has no query, and its path is percent-encoded as it will be sent."""

    method: str
    url: str
    query: Query
    headers: Mapping[str, str]
    body: bytes


def encoded(text: str, *, safe: str = "") -> str:
    """Percent-encoded as AWS expects it: all but letters, digits and `-._~`."""
    return quote(text, safe=f"-._~{safe}", encoding="utf-8", errors="surrogatepass")


def query_string(query: Query) -> str:
    """The query in the order in which it is signed."""
    return "&".join(f"{name}={value}" for name, value in sorted((encoded(name), encoded(value)) for name, value in query))


def full_url(request: Request) -> str:
    """Where to send it."""
    return f"{request.url}?{query_string(request.query)}" if request.query else request.url


def signed(request: Request, credentials: Credentials, scope: Scope, at: float) -> dict[str, str]:
    """The headers to send the request with at a time, seconds since the epoch: those it has, and those that show who sends it."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    digest = hashlib.sha256(request.body).hexdigest()
    headers = {**request.headers, "Host": urlsplit(request.url).netloc, "X-Amz-Date": stamp}
    if credentials.token is not None:
        headers["X-Amz-Security-Token"] = credentials.token
    if scope.service == "s3":
        headers["X-Amz-Content-SHA256"] = digest
    lowered = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = ";".join(sorted(lowered))
    canonical = "\n".join(
        [
            request.method,
            _canonical_path(request.url, scope.service),
            query_string(request.query),
            "".join(f"{name}:{lowered[name]}\n" for name in sorted(lowered)),
            names,
            digest,
        ]
    )
    place = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    to_sign = "\n".join([_ALGORITHM, stamp, place, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(_signing_key(credentials.secret_key, stamp[:8], scope), to_sign.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = f"{_ALGORITHM} Credential={credentials.access_key}/{place}, SignedHeaders={names}, Signature={signature}"
    return headers


def _canonical_path(url: str, service: str) -> str:
    """S3 signs the path as it is sent; every other service encodes it once more."""
    path = urlsplit(url).path or "/"
    return path if service == "s3" else encoded(path, safe="/")


def _signing_key(secret: str, day: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
