"""The configuration of a launch that user data does not carry: an object of the bucket, read with the credentials of this instance's role."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Callable, NamedTuple
from urllib.parse import urlsplit

from spored.errors import UNAVAILABLE, USAGE, SporedError
from spored.instance.credentials import RoleCredentials
from spored.instance.metadata import DEFAULT_ENDPOINT, Metadata
from spored.instance.pauses import Pauses
from spored.instance.s3 import Bucket, bucket_url
from spored.instance.service import Service, ServiceError
from spored.instance.signing import Scope
from spored.instance.web import Unreachable, Web

_NEEDED = ("--bucket", "--region", "--key", "--sha256")
_PATIENCE_S = 600.0
_LONGEST_PAUSE_S = 30.0
_METADATA_TIMEOUT_S = 5.0
_AWS_TIMEOUT_S = 20.0


class Staged(NamedTuple):
    """Where a configuration is, and which one it is."""

    bucket: str
    region: str
    key: str
    sha256: str
    endpoint: str | None  #: where S3 is asked; None: at AWS


class Waiting(NamedTuple):
    """How time passes for somebody who tries again, and who hears of it."""

    tell: Callable[[str], None]
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def staged_of(flags: Mapping[str, str]) -> Staged | None:
    """What the flags of `instance install` say; None: nothing is staged. SporedError when they say only a part of it, or something that cannot be."""
    if not flags:
        return None
    missing = [flag for flag in _NEEDED if not flags.get(flag)]
    if missing:
        raise SporedError(f"{next(iter(flags))} needs {missing[0]} beside it", USAGE)
    digest, endpoint = flags["--sha256"], flags.get("--endpoint")
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise SporedError(f"--sha256 must be 64 hexadecimal digits, not {digest[:80]!r}", USAGE)
    if endpoint is not None and not _is_address(endpoint):
        raise SporedError(f"--endpoint must be a URL, not {endpoint[:200]!r}", USAGE)
    return Staged(flags["--bucket"], flags["--region"], flags["--key"], digest, None if endpoint is None else endpoint.rstrip("/"))


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def fetched(staged: Staged, environment: Mapping[str, str], waiting: Waiting) -> bytes:
    """What is staged, when it is what was launched.

    A role that was made a moment ago may have no credentials yet, and what it may do takes time to be known everywhere: whatever goes wrong is
    tried again, after about 1 s, 2, 4, and up to 30, for ten minutes; each new reason is told. Then SporedError with the last one.
    """
    with closing(Web(timeout_s=_METADATA_TIMEOUT_S)) as near, closing(Web(timeout_s=_AWS_TIMEOUT_S)) as far:
        metadata = Metadata(environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or DEFAULT_ENDPOINT, near, sleep=waiting.sleep)
        service = Service(Scope(staged.region, "s3"), RoleCredentials(metadata, time.time), far, time.time, random.random, waiting.sleep)
        return _patiently(Bucket(staged.bucket, bucket_url(staged.bucket, staged.region, staged.endpoint), service), staged, waiting)


def _patiently(bucket: Bucket, staged: Staged, waiting: Waiting) -> bytes:
    pauses = Pauses(random.random, longest_s=_LONGEST_PAUSE_S)
    until = waiting.monotonic() + _PATIENCE_S
    told = ""
    while True:
        found = _tried(bucket, staged)
        if isinstance(found, bytes):
            return found
        if waiting.monotonic() >= until:
            raise SporedError(f"the configuration of the launch could not be read for {_PATIENCE_S / 60:.0f} minutes: {found}", UNAVAILABLE)
        if found != told:
            waiting.tell(f"the configuration of the launch cannot be read yet: {found}")
            told = found
        waiting.sleep(pauses.next())


def _tried(bucket: Bucket, staged: Staged) -> bytes | str:
    """What is staged, or why it could not be had this time."""
    place = f"s3://{staged.bucket}/{staged.key}"
    try:
        content = bucket.get(staged.key)
    except (ServiceError, Unreachable) as error:
        return str(error)
    if content is None:
        return f"{place} is not there, or the role of this instance may not read it (s3:GetObject)"
    if hashlib.sha256(content).hexdigest() != staged.sha256:
        return f"{place} is not what was launched: its SHA-256 is another"
    return content
