"""Which boot this is, and which life of the instance it belongs to."""

from __future__ import annotations

import json
import os
import shutil
from typing import NamedTuple

from spored.instance.config import Launch
from spored.instance.deadlines import Lifetime, begun
from spored.instance.ledger import Memory, write_privately
from spored.instance.metadata import Identity
from spored.instance.places import Places


class Boot(NamedTuple):
    """What is known of this boot."""

    is_new: bool  #: this is the first start of the agent since then
    lifetime: Lifetime
    is_woken: bool = False  #: the first one since EC2 switched it on again, which only somebody's wish does


def forget_another_instance(places: Places, memory: Memory, launch: Launch, identity: Identity) -> Memory:
    """What this instance remembers. On an image made of a former instance, the memory is that one's: it is removed with its journal and files."""
    mine = {"instance_id": identity.instance_id, "array": launch.array}
    if memory.values and any(memory.values.get(name) != value for name, value in mine.items()):
        for name in ("runner", "array", "mirror"):
            shutil.rmtree(os.path.join(places.home, name), ignore_errors=True)
        for name in ("ledger.jsonl", "memory.json", "spec.json"):
            if os.path.exists(os.path.join(places.home, name)):
                os.unlink(os.path.join(places.home, name))
        memory = Memory(os.path.join(places.home, "memory.json"))
    memory.set(**mine)
    return memory


def find_boot(places: Places, memory: Memory, launch: Launch, powered_at: float | None, now: float) -> Boot:
    """This boot, which is noted in /run, where the next one will not find it.

    Life counts from when EC2 says that the instance was powered on; where that is not told, from when the launch was written down, which is
    soon after, or, at later boots, from now.
    """
    note = os.path.join(places.run, "boot.json")
    noted = _noted_boot(note)
    if noted is not None:
        return Boot(False, Lifetime(noted, memory.values.get("ends_at"), memory.values.get("told")))
    booted_at = powered_at
    if booted_at is None:
        booted_at = now if "ends_at" in memory.values else min(os.path.getmtime(places.launch), now)
    lifetime = begun(booted_at, launch.ttl_s, memory.values.get("ends_at"))
    if "told" in memory.values:
        lifetime = Lifetime(lifetime.booted_at, lifetime.ends_at, memory.values["told"])
    is_woken = powered_at is not None and memory.values.get("powered_at") not in (None, powered_at)
    memory.set(ends_at=lifetime.ends_at, told=lifetime.told, interrupted_at=None, powered_at=powered_at)
    write_privately(note, json.dumps({"booted_at": booted_at}))
    return Boot(True, lifetime, is_woken)


def _noted_boot(path: str) -> float | None:
    try:
        with open(path, encoding="utf-8") as file:
            return float(json.load(file)["booted_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
