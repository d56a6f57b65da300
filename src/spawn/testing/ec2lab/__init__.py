"""An EC2 to try things on: a moto server behind a proxy that behaves as EC2 does where it hurts, and instances that really boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spawn.testing.ec2lab.lab import Lab
    from spawn.testing.ec2lab.plan import LabPlan

__all__ = ["Lab", "LabPlan"]


def __getattr__(name: str) -> object:
    """Import the laboratory when it is asked for: the process of a machine is of this package, too, and does without."""
    if name == "Lab":
        from spawn.testing.ec2lab.lab import Lab

        return Lab
    if name == "LabPlan":
        from spawn.testing.ec2lab.plan import LabPlan

        return LabPlan
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
