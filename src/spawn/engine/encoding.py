"""Domain values as JSON, the same wherever they are kept: in the store, in a provider's ledger, in a bucket."""

from __future__ import annotations

from typing import Any

import msgspec

from spawn.domain.indexes import IndexSet
from spawn.domain.jobs import Job


def _write_special(value: object) -> object:
    if isinstance(value, IndexSet):
        return str(value)
    raise NotImplementedError(type(value).__name__)  # what msgspec asks of a hook that does not know a type


def _read_special(kind: type, value: Any) -> object:
    if kind is IndexSet:
        return IndexSet.selection(value)
    if kind is object:
        return value
    raise NotImplementedError(kind.__name__)  # likewise


_ENCODER = msgspec.json.Encoder(enc_hook=_write_special)


def encode(value: object) -> bytes:
    """A value of the domain, or a document that holds some."""
    return _ENCODER.encode(value)


def decoder(kind: type) -> msgspec.json.Decoder[Any]:
    """What reads back a value of this type that `encode` wrote."""
    return msgspec.json.Decoder(kind, dec_hook=_read_special)


_JOBS = decoder(Job)


def decode_job(body: bytes) -> Job:
    """The job that `encode` wrote."""
    job: Job = _JOBS.decode(body)
    return job
