"""Whose AWS access a verb asks with: that of the shell it is typed in."""

from __future__ import annotations

import os
from collections.abc import Mapping

from spawn.domain.fleets import ACCESS


def access_here(environment: Mapping[str, str] = os.environ, *, region: str | None = None) -> dict[str, str]:
    """The variables by which AWS access is found; `region` in place of the one that they name."""
    found = {name: environment[name] for name in ACCESS if environment.get(name)}
    return found if region is None else found | {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
