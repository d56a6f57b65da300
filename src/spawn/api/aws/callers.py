"""Who calls, and from where: what ARNs are written with; and what a handler of an operation is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from spawn.domain.errors import InvalidField

ACCOUNT: Final = "123456789012"
"""The account of every ARN (spec 1.1)."""

DEFAULT_REGION: Final = "us-east-1"
"""The region of calls that name none."""

_ARN = re.compile(r"arn:aws[a-z-]*:batch:[a-z0-9-]*:[0-9]*:([a-z-]+)/(.+)", re.DOTALL)
_PARTITIONS: Final = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Where a call comes from, as its signature's scope says."""

    region: str = DEFAULT_REGION
    account: str = ACCOUNT
    request_id: str = ""

    @property
    def partition(self) -> str:
        """`aws`, or what the region's beginning stands for."""
        return _partition_of(self.region)

    def arn(self, resource: str, *, service: str = "batch") -> str:
        """The ARN of `job/ID`, `job-queue/NAME` and so on."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


@lru_cache(maxsize=64)
def _partition_of(region: str) -> str:
    return next((partition for start, partition in _PARTITIONS.items() if region.startswith(start)), "aws")


Handler = Callable[[Caller, Mapping[str, Any]], Mapping[str, Any]]
"""One operation: the caller and the checked input in, the answer out; members that are None are left out of it."""


def name_in(reference: str, kind: str, field: str) -> str:
    """The name in an ARN of this kind of resource (`job-queue`, …), or the reference itself when it is no ARN; InvalidField for any other ARN."""
    if not reference.startswith("arn:"):
        return reference
    match = _ARN.fullmatch(reference)
    if match is None or match[1] != kind:
        raise InvalidField(field, f"'{reference[:200]}' is not the ARN of a {kind}")
    return match[2]
