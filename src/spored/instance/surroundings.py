"""What an agent finds itself in, as its parts are given it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Callable

from spored.instance.boots import Boot
from spored.instance.config import Launch
from spored.instance.ledger import Memory
from spored.instance.machine import Machine
from spored.instance.metadata import Identity, Metadata
from spored.instance.places import Places
from spored.instance.queue import Queue
from spored.instance.s3 import Bucket
from spored.instance.talk import Talk


@dataclass(frozen=True)
class Surroundings:
    """What the agent finds itself in."""

    places: Places
    launch: Launch
    identity: Identity
    boot: Boot
    memory: Memory
    talk: Talk
    metadata: Metadata
    bucket: Bucket
    queue: Queue | None
    machine: Machine
    clock: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
