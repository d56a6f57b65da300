"""What a shell may complete: live names and ids. Silent and quick: no engine is started, and nothing is said when none runs."""

from __future__ import annotations

from spawn.client.start import running_engine  # not the one that talks: a shell shows this while somebody types
from spawn.domain.errors import SpawnError

_WORDS = ("last",)
_MOST = 200


def arrays(incomplete: str) -> list[tuple[str, str]]:
    """Names and ids of arrays that begin so, newest first, each with what it is."""
    try:
        known = running_engine().arrays()
    except (SpawnError, OSError, ValueError):
        return []
    found: dict[str, str] = {}
    for array in known:
        for word in (array.name, array.array_id):
            if word:
                found.setdefault(word, f"{array.status.lower()}, {array.done}/{array.size}")
    found.update(dict.fromkeys(_WORDS, "the newest"))
    return [(word, what) for word, what in found.items() if word.startswith(incomplete)][:_MOST]
