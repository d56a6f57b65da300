"""What keeps an attempt that was handed to its provider from beginning, or its instance from ending: its kind, and the sentence that its user reads."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Because(Enum):
    """Each has a remedy of its own."""

    PREPARING = "preparing"  #: its turn comes: what it needs is being made, or is about to be asked for
    PACED = "paced"  #: asked for no faster than the other side takes
    THROTTLED = "throttled"  #: the other side takes no more requests for now
    OVER_QUOTA = "over-quota"  #: the account may run no more at once
    NO_CAPACITY = "no-capacity"  #: the other side has no room
    ACCESS = "access"  #: the credentials expired, or may not do it
    UNCLEAR = "unclear"  #: an answer was lost, and what came of the call is looked for
    REFUSED = "refused"  #: what the other side said may be otherwise when it is asked again
    QUEUED = "queued"  #: waits until an instance that there is takes it
    UNHEARD = "unheard"  #: what its instances write cannot be read for now
    BILLED = "billed"  #: nothing waits for it: instances that should have ended cannot be ended, and cost
    UNKEPT = "unkept"  #: nothing waits for it: of what succeeded something was lost with its instance
    INSTANCE = "instance"  #: how far its instance is; of the instance itself more is known


class Hindrance(NamedTuple):
    """Why something has not begun."""

    because: Because
    sentence: str
