"""Claims: whoever writes an attempt's claim first is the only one to start it."""

from __future__ import annotations

import json

from spored.instance.config import WIRE
from spored.instance.s3 import Bucket


def claim(bucket: Bucket, key: str, instance_id: str, at: float) -> bool:
    """Whether the claim at `key` is this instance's, now or from before. False: another instance's. Raises when the bucket does not say."""
    body = json.dumps({"wire": WIRE, "instance_id": instance_id, "at": round(at, 3)}).encode()
    if bucket.put(key, body, only_new=True):
        return True
    found = bucket.get(key)
    try:
        holder = json.loads(found or b"")["instance_id"]
    except (ValueError, KeyError, TypeError):
        raise Unclear(f"the claim at {key} cannot be read") from None
    return bool(holder == instance_id)


class Unclear(Exception):
    """There is a claim, and nobody can tell whose."""
