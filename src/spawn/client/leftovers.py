"""What the engine answers about things left behind in an account (docs/api.md)."""

from __future__ import annotations

from msgspec import Struct


class Leftover(Struct, frozen=True, kw_only=True):
    """Something of spawn's that has outlived its end."""

    region: str
    kind: str
    id: str
    array_id: str
    why: str
    removed: bool
    error: str | None


class Sweep(Struct, frozen=True, kw_only=True):
    """What was looked at, what was found, and whether it was removed."""

    schema_version: int
    account: str
    regions: list[str]
    failed: dict[str, str]
    leftovers: list[Leftover]
    removed: bool

    @property
    def left(self) -> int:
        """How much of it is still there."""
        return sum(not one.removed for one in self.leftovers)
