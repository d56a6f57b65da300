"""Cgroups of the second and the first version: where this process is, what is in one, and what is left of former attempts."""

from __future__ import annotations

import errno
import os

NOTE = "cgroup"
"""The file in the runner's directory that says below which directory its cgroups are."""


def processes(directory: str) -> list[int]:
    """The pids in a cgroup; none when it is gone."""
    return [int(pid) for pid in read(directory, "cgroup.procs").split()]


def had_oom_kill(directory: str) -> bool:
    """Whether the kernel has killed a process in it for want of memory."""
    for name in ("memory.events", "memory.oom_control"):
        for line in read(directory, name).splitlines():
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


def own_directory(*, second: bool) -> str:
    """The directory of the cgroup that this process is in."""
    own = None
    for line in read("/proc/self", "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if (not controllers) if second else ("memory" in controllers.split(",")):
            own = path
    for line in read("/proc/self", "mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        root, point = (word.replace("\\040", " ") for word in left.split()[3:5])
        kind, _, options = right.split()[:3]
        fits = kind == "cgroup2" if second else kind == "cgroup" and "memory" in options.split(",")
        if fits and own is not None and (own + "/").startswith(root.rstrip("/") + "/"):
            return os.path.join(point, own[len(root.rstrip("/")) :].lstrip("/")).rstrip("/")
    raise OSError(errno.ENOENT, "no cgroups are mounted")


def former(home: str) -> dict[str, str]:
    """The cgroups that are left of the attempts of this and former runners: their directories by attempt id."""
    base = read(home, NOTE).strip()
    try:
        return {name: os.path.join(base, name) for name in os.listdir(base) if name.count(":") == 2} if base else {}
    except OSError:
        return {}


def procs_of(directory: str) -> bytes:
    return os.fsencode(directory) + b"/cgroup.procs"


def write(directory: str, name: str, text: str) -> None:
    fd = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)


def try_write(directory: str, name: str, text: str) -> bool:
    try:
        write(directory, name, text)
    except OSError:
        return False
    return True


def read(directory: str, name: str) -> str:
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
