"""The named queries of queries.sql."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_HEAD = re.compile(r"^-- (\w+) --$", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """Each query of queries.sql by its name."""
    parts = _HEAD.split(files("spawn.store").joinpath("queries.sql").read_text(encoding="utf-8"))
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def migrations() -> list[tuple[int, str]]:
    """The numbered migrations, in order."""
    found = [entry for entry in files("spawn.store.migrations").iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name.split("_")[0]), entry.read_text(encoding="utf-8")) for entry in found)
