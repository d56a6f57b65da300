"""Names that users give to queues, compute environments and what else a catalog holds."""

from __future__ import annotations

import re

from spawn.domain.errors import InvalidField

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def check_name(field: str, name: str) -> None:
    """Refuse what is not 1 to 128 letters, digits, hyphens and underscores, a letter or digit first."""
    if not _NAME.fullmatch(name):
        raise InvalidField(field, f"'{name[:140]}' is not a name: 1 to 128 letters, digits, hyphens and underscores, a letter or digit first")
