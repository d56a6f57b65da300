"""What the runner keeps in memory: arrays, and the attempts that wait, run or are kept."""

from __future__ import annotations

from typing import NamedTuple

from spored.files import NOTHING, Inside, Spares, stem_of
from spored.launching import Template
from spored.loop import Timer
from spored.specs import Spec, text_bytes


class Begun:
    """The attempt ids that must not start again: a bit each, so a million children take 125 KB."""

    def __init__(self) -> None:
        self._bits: dict[tuple[str, int], bytearray] = {}

    def add(self, key: str, position: int, attempt: int) -> bool:
        """Remember this attempt. False: it was known."""
        bits = self._bits.get((key, attempt))
        if bits is None:
            bits = self._bits[key, attempt] = bytearray()
        byte, bit = position >> 3, 1 << (position & 7)
        if byte >= len(bits):
            bits.extend(bytes(byte + 1 - len(bits) + len(bits) // 2))
        elif bits[byte] & bit:
            return False
        bits[byte] |= bit
        return True


class Array:
    """An array as it was described last."""

    def __init__(self, key: str, spec: Spec) -> None:
        self.key = key
        self.running = 0  #: attempts that take room now
        self.outputs = Spares()
        self.tmps = Spares(0o1777)
        self.describe(spec)

    def describe(self, spec: Spec) -> None:
        """Take `spec` for what starts from now on."""
        self.spec = spec
        self.limit = spec.max_concurrent
        self.directory = text_bytes(spec.directory)
        self.batch_id = text_bytes(spec.id)
        self.templates: dict[str | None, Template] = {}  #: by container engine (None: processes), made at the first start
        self.points: Inside = NOTHING  #: what its private /tmps hold only for showing other places there
        self.tidy()

    def tidy(self) -> None:
        """Remove the directories that no attempt has needed."""
        self.outputs.clear()
        self.tmps.clear()


class Placement(NamedTuple):
    """Where the engine has placed attempts."""

    compute_environment: bytes | None = None  #: its name; None: the one that the array names
    engine: str | None = None  #: the container engine that runs them, `docker` or `podman`; None: they are processes of this machine


HERE = Placement()


class Entry(NamedTuple):
    """An attempt that waits."""

    id: str
    array: Array
    position: int
    number: int
    array_index: int  #: the index the child is told
    placement: Placement = HERE


class Exit(NamedTuple):
    """How a process ended."""

    code: int | None
    signal: int | None
    user: float | None  #: CPU seconds; None: nobody measured
    system: float | None
    maxrss: int | None  #: KiB; None: nobody measured, or too little to be told from the runner's own memory
    at: float  #: seconds since the epoch


class Verdict(NamedTuple):
    """What a supervisor says of its container before it ends."""

    refused: str | None  #: the reason why it never ran
    code: int | None  #: its exit code; None: it has none
    oom: bool  #: something in it was killed for want of memory
    removed: bool  #: nothing is left of it


class Attempt:
    """An attempt from its `starting` line on, until it has ended and its instance is gone."""

    __slots__ = (
        "array",
        "began",
        "cgroup",
        "completed",
        "doomed",
        "exit",
        "expiry",
        "id",
        "index",
        "keep_files",
        "kept",
        "limits",
        "log",
        "number",
        "output",
        "over",
        "pid",
        "placement",
        "runs",
        "segment",
        "spec",
        "tmp",
        "verdict",
        "why",
    )

    def __init__(self, entry: Entry, began: float) -> None:
        self.id = entry.id
        self.array = entry.array
        self.spec = entry.array.spec  #: the array may be described anew, which changes nothing for this one
        self.index = entry.array_index
        self.number = entry.number
        self.placement = entry.placement
        self.began = began  #: on the loop's clock
        stem = stem_of(entry.array.directory, entry.position, entry.array_index, entry.number)
        self.log = stem + b".log"
        self.output = stem + b".out"
        self.tmp = stem + b".tmp"
        self.pid = 0  #: 0 until its process is made
        self.runs = False  #: its `started` is in the journal; of a container later than its supervisor's start
        self.verdict: Verdict | None = None  #: what was said of its container
        self.cgroup: str | None = None
        self.segment = 0  #: the journal's, which holds its `starting`
        self.limits: list[Timer] | None = None  #: timeout and the like, cancelled with the attempt
        self.expiry: Timer | None = None  #: the instance's end
        self.why: str | None = None  #: why it was stopped
        self.completed: str | None = None  #: what `spored complete` said
        self.keep_files = False  #: its private /tmp outlives its instance's end
        self.over = False  #: its first process is gone, or will never be
        self.exit: Exit | None = None  #: how, unless that was lost
        self.doomed = False  #: every process of it is being ended
        self.kept = False  #: ended, and its instance lives on

    def times(self, moment: float) -> tuple[float, float | None]:
        """Seconds since it began, and until its instance ends (None: no end is set); `moment` is now on the loop's clock."""
        return moment - self.began, None if self.expiry is None else max(self.expiry.due - moment, 0.0)
