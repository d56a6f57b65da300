"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings

# a slow machine is no failure; in CI the examples are the same every time
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")
