"""Memory limits: a cgroup for each attempt that has one, in the second or the first version of cgroups, wherever this process may make them."""

from __future__ import annotations

import errno
import os
import zlib

_CHILD_LIMIT = 64
"""MiB for the process that tries it out."""
_NOTE = "cgroup"


class MemoryLimits:
    """Makes cgroups below `base`, one for each attempt."""

    def __init__(self, base: str, *, second: bool) -> None:
        self._base = base
        self._second = second

    def _make_base(self) -> None:
        os.mkdir(self._base)
        if self._second:
            _write(self._base, "cgroup.subtree_control", "+memory")

    def close(self) -> None:
        """Leave nothing behind, unless attempts are left."""
        remove(self._base)

    def make(self, attempt: str, mebibytes: int) -> str:
        """Make the cgroup of an attempt (or find it made) and limit it; its directory. Swap is no way around the limit."""
        directory = os.path.join(self._base, attempt)
        try:
            os.mkdir(directory)
        except FileExistsError:
            pass
        except FileNotFoundError:
            self._make_base()
            os.mkdir(directory)
        limit = str(mebibytes << 20)
        if self._second:
            _write(directory, "memory.max", limit)
            _try_write(directory, "memory.swap.max", "0")
            # Half a job is worth nothing: when one of its processes is killed, all are.
            _try_write(directory, "memory.oom.group", "1")
        else:
            _write(directory, "memory.limit_in_bytes", limit)
            if not _try_write(directory, "memory.memsw.limit_in_bytes", limit):
                _try_write(directory, "memory.swappiness", "0")
        return directory


def processes(directory: str) -> list[int]:
    """The pids in a cgroup; none when it is gone."""
    return [int(pid) for pid in _read(directory, "cgroup.procs").split()]


def had_oom_kill(directory: str) -> bool:
    """Whether the kernel has killed a process in it for want of memory."""
    for name in ("memory.events", "memory.oom_control"):
        for line in _read(directory, name).splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill" and value.isdigit() and int(value):
                return True
    return False


def remove(directory: str) -> None:
    """Remove a cgroup in which no process is left; any other one stays, for the next runner to find."""
    try:
        os.rmdir(directory)
    except OSError:
        pass


def find_limits(home: str) -> tuple[MemoryLimits | None, str | None]:
    """The way to limit memory here, tried for real, or why there is none. Notes the place in `home` for the next runner."""
    name = f"spawn-{zlib.crc32(os.fsencode(home)):08x}"
    reasons = []
    for second in (True, False):
        try:
            base = _delegated(name) if second else os.path.join(_own_directory(second=False), name)
            limits = MemoryLimits(base, second=second)
            _try_out(limits)
            limits.close()
        except OSError as error:
            reasons.append(error)
            continue
        with open(os.path.join(home, _NOTE), "w", encoding="utf-8", errors="surrogateescape") as file:
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


def _delegated(name: str) -> str:
    """A place in the second version's tree whose children may limit memory."""
    own = _own_directory(second=True)
    if "memory" not in _read(own, "cgroup.controllers").split():
        raise OSError(errno.ENODEV, "cgroups of the second version have no memory controller here")
    if "memory" not in _read(own, "cgroup.subtree_control").split():
        try:
            _write(own, "cgroup.subtree_control", "+memory")
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _move_aside(own, f"{name}-runner")
    return os.path.join(own, name)


def _move_aside(own: str, name: str) -> None:
    """A cgroup with processes in it cannot share out memory to children: move this process, if it is the only one, into a child of its own."""
    leaf = os.path.join(own, name)
    os.makedirs(leaf, exist_ok=True)
    _write(leaf, "cgroup.procs", str(os.getpid()))
    try:
        _write(own, "cgroup.subtree_control", "+memory")
    except OSError as error:
        _write(own, "cgroup.procs", str(os.getpid()))
        remove(leaf)
        raise OSError(error.errno, "other processes share the cgroup of the runner") from error


def _own_directory(*, second: bool) -> str:
    """The directory of the cgroup that this process is in."""
    own = None
    for line in _read("/proc/self", "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if (not controllers) if second else ("memory" in controllers.split(",")):
            own = path
    for line in _read("/proc/self", "mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        root, point = (word.replace("\\040", " ") for word in left.split()[3:5])
        kind, _, options = right.split()[:3]
        fits = kind == "cgroup2" if second else kind == "cgroup" and "memory" in options.split(",")
        if fits and own is not None and (own + "/").startswith(root.rstrip("/") + "/"):
            return os.path.join(point, own[len(root.rstrip("/")) :].lstrip("/")).rstrip("/")
    raise OSError(errno.ENOENT, "no cgroups are mounted")


def former(home: str) -> dict[str, str]:
    """The cgroups that are left of the attempts of this and former runners: their directories by attempt id."""
    base = _read(home, _NOTE).strip()
    try:
        return {name: os.path.join(base, name) for name in os.listdir(base) if name.count(":") == 2} if base else {}
    except OSError:
        return {}


def _write(directory: str, name: str, text: str) -> None:
    fd = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)


def _try_write(directory: str, name: str, text: str) -> bool:
    try:
        _write(directory, name, text)
    except OSError:
        return False
    return True


def _read(directory: str, name: str) -> str:
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
