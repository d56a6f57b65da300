"""Scheduling policies: how the jobs of a queue share what there is (AWS Batch, fair-share scheduling)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One share, or with `*` at the end all whose identifiers begin so; a lower weight factor gets more."""

    identifier: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulingPolicy:
    """A fair-share policy; `decay` zero means the default of ten minutes."""

    name: str
    decay: timedelta = timedelta(0)
    reservation: int = 0  #: percent of the capacity kept for shares that are not active yet
    shares: tuple[Share, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, object] = field(default_factory=dict)  #: further members as they were given (quotaSharePolicy)
