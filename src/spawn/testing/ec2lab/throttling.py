"""EC2's two kinds of token buckets: one counts requests, the other instances."""

from __future__ import annotations

from spawn.testing.ec2lab.plan import DEFAULT_BUCKETS, DEFAULT_RESOURCE_BUCKETS, Bucket, LabPlan
from spawn.testing.ec2lab.refusals import Refused

EXCEEDED = "Request limit exceeded."
_READING = ("Describe", "Get")


class TokenBucket:
    """Full at first. It never holds more than its size."""

    def __init__(self, bucket: Bucket, now: float) -> None:
        self._bucket = bucket
        self._tokens = bucket.size
        self._at = now

    def take(self, tokens: float, now: float) -> bool:
        """Take so many if they are there."""
        self._tokens = min(self._bucket.size, self._tokens + max(0.0, now - self._at) * self._bucket.refill)
        self._at = max(self._at, now)
        if self._tokens + 1e-9 < tokens:
            return False
        self._tokens -= tokens
        return True

    def give_back(self, tokens: float) -> None:
        """Return what was taken and not used."""
        self._tokens = min(self._bucket.size, self._tokens + tokens)


class Throttle:
    """The buckets of an account: in each region, each action has its own."""

    def __init__(self, plan: LabPlan) -> None:
        self._on = plan.throttle
        self._requests = DEFAULT_BUCKETS | plan.buckets
        self._resources = DEFAULT_RESOURCE_BUCKETS | plan.resource_buckets
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}

    def request(self, region: str, action: str, *, plain: bool, now: float) -> None:
        """Count a request; RequestLimitExceeded when there is no token left. `plain`: a listing with neither filter nor page."""
        if self._on and not self._bucket("request", region, action, self._size_of_requests(action, plain), now).take(1, now):
            raise limit_exceeded()

    def resources(self, region: str, action: str, count: int, now: float) -> None:
        """Count so many instances that an action is about."""
        bucket = self._resources.get(action)
        if self._on and bucket is not None and not self._bucket("resource", region, action, bucket, now).take(count, now):
            raise limit_exceeded()

    def unused(self, region: str, action: str, count: int) -> None:
        """Fewer instances than were counted."""
        bucket = self._buckets.get(("resource", region, action))
        if bucket is not None and count:
            bucket.give_back(count)

    def _size_of_requests(self, action: str, plain: bool) -> Bucket:
        if action in self._requests:
            return self._requests[action]
        if action.startswith("Describe") and plain:
            return self._requests["unfiltered"]
        return next((self._requests[f"{start}*"] for start in _READING if action.startswith(start)), self._requests["*"])

    def _bucket(self, kind: str, region: str, action: str, bucket: Bucket, now: float) -> TokenBucket:
        key = (kind, region, action)
        if key not in self._buckets:
            self._buckets[key] = TokenBucket(bucket, now)
        return self._buckets[key]


def limit_exceeded() -> Refused:
    """What EC2 says to whoever asks too often."""
    return Refused("RequestLimitExceeded", EXCEEDED, 503)
