"""AWS Signature Version 4, verified: who sent a request, and that nothing of it was changed on the way.

Only requests signed in the `Authorization` header are accepted, and their body must be signed. A request as it was received is
put in canonical form as the signer did before sending it, and signed again with the secret key."""

from __future__ import annotations

import functools
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from spawn.api.aws.checking import shown
from spawn.api.aws.failures import AwsError
from spawn.domain.instants import Instant, to_datetime

ALLOWED_SKEW: Final = timedelta(minutes=5)
"""How far a signature's time may be from ours, either way."""

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_TERMINATOR: Final = "aws4_request"
_BASIC: Final = "%Y%m%dT%H%M%SZ"
_DATE = re.compile(r"\d{8}T\d{6}Z")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_CREDENTIAL_PARTS = 5
_NO_MATCH: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. "
    "Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it came over the wire. Header names are in small letters; the path is still percent-encoded."""

    method: str
    raw_path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    body: bytes = field(repr=False)

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header, as they came."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What an `Authorization` header says."""

    access_key: str
    date: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)


def verify(received: Received, *, service: str, secret_of: Callable[[str], str | None], now: Instant) -> Signature:
    """The signature of a request made for a service. AwsError, 403 (400 when the header is not in form), for any that does not hold."""
    signature = _parse(received)
    _see_that_headers_are_signed(received, signature)
    signed_at = _signed_at(received)
    _see_scope(signature, service, signed_at)
    _see_that_it_is_current(signed_at, to_datetime(now))
    secret = secret_of(signature.access_key)
    if secret is None:
        raise AwsError("UnrecognizedClientException", "The security token included in the request is invalid.", status=403)
    body_hash = _body_hash(received)
    text = _text_to_sign(signed_at, signature, _canonical(received, signature, body_hash))
    expected = hmac.new(_signing_key(secret, signature.date, signature.region, service), text, sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.signature.encode()):
        raise _invalid(_NO_MATCH)
    return signature


def claimed_region(received: Received) -> str | None:
    """The region that a request says it is signed for; nothing is verified."""
    try:
        region = _parse(received).region
    except AwsError:
        return None
    return region if _REGION.fullmatch(region) else None


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidSignatureException", message, status=403)


def _incomplete(message: str) -> AwsError:
    return AwsError("IncompleteSignatureException", message, status=400)


def _parse(received: Received) -> Signature:
    values = received.values(b"authorization")
    if not values or not values[0].strip():
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", status=403)
    if len(values) > 1:
        raise _incomplete("the request has more than one Authorization header; send one")
    algorithm, _, rest = values[0].decode("latin-1").strip().partition(" ")
    if algorithm != _ALGORITHM:
        raise _incomplete(f"the Authorization header must begin with {_ALGORITHM}, not '{shown(algorithm)}'")
    parameters = dict[str, str]()
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in parameters:
            raise _incomplete("a parameter of the Authorization header is not a valid key=value pair (missing equal-sign), or is there twice")
        parameters[name] = value
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not parameters.get(name)]
    if missing:
        raise _incomplete(" ".join(f"Authorization header requires '{name}' parameter." for name in missing))
    credential = parameters["Credential"].rsplit("/", _CREDENTIAL_PARTS - 1)
    if len(credential) != _CREDENTIAL_PARTS:
        raise _incomplete("Credential must have exactly 5 slash-delimited elements: KEY/DATE/REGION/SERVICE/aws4_request")
    access_key, date, region, service, terminator = credential
    return Signature(
        access_key=access_key,
        date=date,
        region=region,
        service=service,
        terminator=terminator,
        signed_headers=tuple(parameters["SignedHeaders"].split(";")),
        signature=parameters["Signature"],
    )


def _see_that_headers_are_signed(received: Received, signature: Signature) -> None:
    signed = set(signature.signed_headers)
    needed = ["host"] + (["x-amz-target"] if received.values(b"x-amz-target") else [])
    unsigned = [name for name in needed if name not in signed]
    if unsigned:
        raise _invalid(f"'{unsigned[0]}' must be a 'SignedHeader' in the AWS Authorization.")


def _signed_at(received: Received) -> str:
    """When it was signed, as `20260127T100000Z`: `X-Amz-Date`, or `Date` where that one is missing."""
    values = received.values(b"x-amz-date") or received.values(b"date")
    if not values:
        raise _incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    text = values[0].decode("latin-1").strip()
    if len(values) == 1:
        if _DATE.fullmatch(text):
            return text
        try:
            date = parsedate_to_datetime(text)
            return f"{date if date.tzinfo is None else date.astimezone(UTC):{_BASIC}}"
        except (ValueError, OverflowError):
            pass
    raise _incomplete(f"Date must be one header in ISO-8601 'basic format', such as 20260127T100000Z. Got '{shown(text)}'")


def _see_scope(signature: Signature, service: str, signed_at: str) -> None:
    if signature.terminator != _TERMINATOR:
        raise _invalid(f"Credential should be scoped with a valid terminator: '{_TERMINATOR}', not '{shown(signature.terminator)}'.")
    if signature.service != service:
        raise _invalid(f"Credential should be scoped to correct service: '{service}'.")
    if not _REGION.fullmatch(signature.region):
        raise _invalid(f"Credential should be scoped to a valid region, not '{shown(signature.region)}'.")
    if signature.date != signed_at[:8]:
        raise _invalid(f"Credential should be scoped to the date of the request: '{signed_at[:8]}', not '{shown(signature.date)}'.")


def _see_that_it_is_current(signed_at: str, now: datetime) -> None:
    # stamps of one form compare as the instants that they stand for
    earliest, latest = f"{now - ALLOWED_SKEW:{_BASIC}}", f"{now + ALLOWED_SKEW:{_BASIC}}"
    minutes = ALLOWED_SKEW // timedelta(minutes=1)
    if signed_at < earliest:
        raise _invalid(f"Signature expired: {signed_at} is now earlier than {earliest} ({now:{_BASIC}} - {minutes} min.)")
    if signed_at > latest:
        raise _invalid(f"Signature not yet current: {signed_at} is still later than {latest} ({now:{_BASIC}} + {minutes} min.)")


def _body_hash(received: Received) -> bytes:
    computed = sha256(received.body).hexdigest().encode()
    for claimed in received.values(b"x-amz-content-sha256"):
        if claimed.strip() == b"UNSIGNED-PAYLOAD":
            raise _invalid("UNSIGNED-PAYLOAD is not accepted here: sign the body of the request.")
        if not hmac.compare_digest(claimed.strip(), computed):
            raise _invalid(f"{_NO_MATCH} The body is not the one that x-amz-content-sha256 was computed from.")
    return computed


def _canonical(received: Received, signature: Signature, body_hash: bytes) -> bytes:
    lines = [received.method.encode(), _canonical_path(received.raw_path), _canonical_query(received.query)]
    values: dict[bytes, list[bytes]] = {}
    for name, value in received.headers:
        values.setdefault(name, []).append(b" ".join(value.split()))
    for signed in signature.signed_headers:
        name = signed.encode("latin-1")
        if name not in values:
            raise _invalid(f"{_NO_MATCH} The signed header '{shown(signed)}' is not in the request.")
        lines.append(name + b":" + b",".join(values[name]))
    lines += [b"", ";".join(signature.signed_headers).encode("latin-1"), body_hash]
    return b"\n".join(lines)


def _canonical_path(raw_path: bytes) -> bytes:
    """The path without dot segments and empty ones, percent-encoded once more than it was sent."""
    kept: list[bytes] = []
    for segment in raw_path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in {b"", b"."}:
            kept.append(segment)
    end = b"/" if raw_path.endswith(b"/") and kept else b""
    return quote(b"/" + b"/".join(kept) + end, safe="/~").encode()


def _canonical_query(query: bytes) -> bytes:
    if not query:
        return b""
    pairs = (pair.partition(b"=") for pair in query.split(b"&"))
    encoded = sorted((quote(unquote_to_bytes(name), safe="-_.~"), quote(unquote_to_bytes(value), safe="-_.~")) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded).encode()


def _text_to_sign(signed_at: str, signature: Signature, canonical: bytes) -> bytes:
    scope = f"{signature.date}/{signature.region}/{signature.service}/{_TERMINATOR}"
    return f"{_ALGORITHM}\n{signed_at}\n{scope}\n{sha256(canonical).hexdigest()}".encode()


@functools.lru_cache(maxsize=64)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
