"""Memory limits: a cgroup for each attempt that has one, in the second or the first version of cgroups, wherever this process may make them."""

from __future__ import annotations

import errno
import os
import zlib
from itertools import count

from spored.cgroups import NOTE, own_directory, procs_of, read, remove, try_write, write

_CHILD_LIMIT = 64
"""MiB for the process that tries it out."""
_VISITED = 16
"""MiB from which on a cgroup is visited: a hundred times what a visit leaves there."""
_SPARE = "spare-"
_MOST_SPARES = 64
"""Cgroups of one limit that are kept for other attempts."""


class MemoryLimits:
    """Makes cgroups below `base`, one for each attempt; those that an attempt has left empty serve the next one, which costs a seventh of new ones."""

    def __init__(self, base: str, *, second: bool) -> None:
        self._base = base
        self._second = second
        self._held: dict[str, _Held] = {}
        self._spares: dict[int, list[str]] = {}
        self._numbers = count()
        self.visits: Visits | None = None  #: None: a process has to join by itself

    def _make_base(self) -> None:
        os.mkdir(self._base)
        if self._second:
            write(self._base, "cgroup.subtree_control", "+memory")

    def close(self) -> None:
        """Leave nothing behind, unless attempts are left."""
        self.tidy()
        remove(self._base)

    def sweep(self) -> None:
        """Remove what a former runner kept for attempts that never came."""
        for name in os.listdir(self._base) if os.path.isdir(self._base) else ():
            if name.startswith(_SPARE):
                remove(os.path.join(self._base, name))

    def tidy(self) -> None:
        """Let go of the cgroups kept for attempts that never came. Again: nothing."""
        for spares in self._spares.values():
            for directory in spares:
                self.remove(directory)
        self._spares.clear()

    def make(self, attempt: str, mebibytes: int) -> str:
        """Make the cgroup of an attempt (or find it made) and limit it; its directory. Swap is no way around the limit."""
        directory = os.path.join(self._base, attempt)
        if directory in self._held:
            return directory
        spares = self._spares.get(mebibytes, [])
        while spares:
            spare = spares.pop()
            try:
                self._rename(spare, directory)
            except OSError:
                self.remove(spare)  # somebody else has removed it
            else:
                return directory
        try:
            os.mkdir(directory)
        except FileExistsError:
            pass
        except FileNotFoundError:
            self._make_base()
            os.mkdir(directory)
        limit = str(mebibytes << 20)
        if self._second:
            write(directory, "memory.max", limit)
            try_write(directory, "memory.swap.max", "0")
            # Half a job is worth nothing: when one of its processes is killed, all are.
            try_write(directory, "memory.oom.group", "1")
        else:
            write(directory, "memory.limit_in_bytes", limit)
            if not try_write(directory, "memory.memsw.limit_in_bytes", limit):
                try_write(directory, "memory.swappiness", "0")
        if self.visits is not None and not self._second:
            self._held[directory] = _Held(directory, mebibytes)
            self.visits.known[procs_of(directory)] = self._held[directory].procs
        return directory

    def retire(self, directory: str) -> None:
        """The attempt of this cgroup has ended and left nothing running: keep it for another one, or remove it."""
        held = self._held.get(directory)
        # cgroups of the second version cannot be renamed, and none is kept that tells of a kill, which the next attempt would be blamed for
        if held is None or not held.is_as_new() or len(self._spares.get(held.mebibytes, ())) >= _MOST_SPARES:
            self.remove(directory)
            return
        spare = os.path.join(self._base, f"{_SPARE}{next(self._numbers)}")
        self._rename(directory, spare)
        self._spares.setdefault(held.mebibytes, []).append(spare)

    def remove(self, directory: str) -> None:
        """Remove the cgroup of an attempt; one in which a process is left stays, for the next runner to find."""
        held = self._held.pop(directory, None)
        if held is not None and self.visits is not None:
            del self.visits.known[procs_of(directory)]
            held.close()
        remove(directory)

    def _rename(self, was: str, directory: str) -> None:
        os.rename(was, directory)
        held = self._held[directory] = self._held.pop(was)
        assert self.visits is not None
        del self.visits.known[procs_of(was)]
        self.visits.known[procs_of(directory)] = held.procs


class _Held:
    """A cgroup whose files stay open, so that nothing has to be looked up in it."""

    def __init__(self, directory: str, mebibytes: int) -> None:
        self.mebibytes = mebibytes
        self.procs = os.open(procs_of(directory), os.O_RDWR | os.O_CLOEXEC)
        self._oom = os.open(os.path.join(directory, "memory.oom_control"), os.O_RDONLY | os.O_CLOEXEC)

    def is_as_new(self) -> bool:
        """Whether no process is in it, and none was ever killed in it for want of memory."""
        return not os.pread(self.procs, 1, 0) and b"oom_kill 0\n" in os.pread(self._oom, 200, 0)

    def close(self) -> None:
        """Close the files."""
        os.close(self.procs)
        os.close(self._oom)


class Visits:
    """Lets this process step into a cgroup for the moment in which it makes a process, which is then born there: cheaper than one that joins by itself.

    What this process touches in that moment, some pages, is counted there and stays so: only limits with room for that are visited.
    """

    def __init__(self, home: str) -> None:
        """`home`: the directory of the cgroup that this process belongs to. OSError when it could not come back."""
        self._home = os.open(procs_of(home), os.O_WRONLY | os.O_CLOEXEC)
        self.known: dict[bytes, int] = {}  #: `cgroup.procs` files that are open

    def enter(self, procs: bytes) -> None:
        """Step into the cgroup of this `cgroup.procs`."""
        known = self.known.get(procs)
        fd = os.open(procs, os.O_WRONLY | os.O_CLOEXEC) if known is None else known
        try:
            os.write(fd, b"0")
        finally:
            if known is None:
                os.close(fd)

    def leave(self) -> None:
        """Come back."""
        os.write(self._home, b"0")


def has_room(mebibytes: int) -> bool:
    """Whether a limit leaves room for what a visit costs."""
    return mebibytes >= _VISITED


def find_limits(home: str) -> tuple[MemoryLimits | None, str | None]:
    """The way to limit memory here, tried for real, or why there is none. Notes the place in `home` for the next runner."""
    name = f"spawn-{zlib.crc32(os.fsencode(home)):08x}"
    reasons = []
    for second in (True, False):
        try:
            base = _delegated(name) if second else os.path.join(own_directory(second=False), name)
            limits = MemoryLimits(base, second=second)
            limits.sweep()
            _try_out(limits)
            limits.visits = _find_visits(limits, own_directory(second=second))
            limits.close()
        except OSError as error:
            reasons.append(error)
            continue
        with open(os.path.join(home, NOTE), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(base)
        return limits, None
    # The first version is only in question where the second has no memory controller: its reason is then the telling one.
    first = reasons[0] if reasons[1].errno in (errno.ENOENT, errno.ENODEV) else reasons[1]
    return None, f"this process may not make cgroups that limit memory ({first.strerror or first})"


def _try_out(limits: MemoryLimits) -> None:
    directory = limits.make("probe", _CHILD_LIMIT)
    procs = os.path.join(directory, "cgroup.procs")
    command = ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', procs, "/bin/sh", "-c", ":"]
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
        _, status = os.waitpid(os.posix_spawn("/bin/sh", command, {"PATH": "/usr/bin:/bin"}, file_actions=actions), 0)
    finally:
        os.close(null)
        remove(directory)
    if status != 0:
        raise PermissionError(errno.EPERM, "a process could not join its cgroup")


def _find_visits(limits: MemoryLimits, home: str) -> Visits | None:
    """A way to step into cgroups and back, tried for real; None where there is none."""
    directory = limits.make("probe", _CHILD_LIMIT)
    try:
        visits = Visits(home)
        try:
            visits.enter(procs_of(directory))
        except OSError:
            return None
        visits.leave()
    except OSError:
        return None
    finally:
        remove(directory)
    return visits


def _delegated(name: str) -> str:
    """A place in the second version's tree whose children may limit memory."""
    own = own_directory(second=True)
    if "memory" not in read(own, "cgroup.controllers").split():
        raise OSError(errno.ENODEV, "cgroups of the second version have no memory controller here")
    if "memory" not in read(own, "cgroup.subtree_control").split():
        try:
            write(own, "cgroup.subtree_control", "+memory")
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _move_aside(own, f"{name}-runner")
    return os.path.join(own, name)


def _move_aside(own: str, name: str) -> None:
    """A cgroup with processes in it cannot share out memory to children: move this process, if it is the only one, into a child of its own."""
    leaf = os.path.join(own, name)
    os.makedirs(leaf, exist_ok=True)
    write(leaf, "cgroup.procs", str(os.getpid()))
    try:
        write(own, "cgroup.subtree_control", "+memory")
    except OSError as error:
        write(own, "cgroup.procs", str(os.getpid()))
        remove(leaf)
        raise OSError(error.errno, "other processes share the cgroup of the runner") from error
