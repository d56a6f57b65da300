"""What an engine that is asked to end says last."""

from __future__ import annotations

from msgspec import Struct, field


class Unended(Struct, frozen=True, kw_only=True):
    """An instance of which EC2 has not said that it ends, and when it ends by itself at the latest (None: never)."""

    id: str
    ends_at: str | None = None


class Ending(Struct, frozen=True, kw_only=True):
    """What has not ended with it; `launching`: how many instances more may have been launched."""

    unended: list[Unended] = field(default_factory=list)
    launching: int = 0
