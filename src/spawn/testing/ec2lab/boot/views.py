"""What a machine sees as its root: a disk of its own, with this machine's programs on it, read-only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from spawn.testing.ec2lab.boot import kernel

LAB = "/.laboratory"
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu")
PROGRAMS = ("usr/bin", "usr/sbin", "bin", "sbin")
FROM_ETC = ("ssl", "pki", "ca-certificates", "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "terminfo", "magic", "mime.types")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"}


def make_base(base: str, tools: str, visible: Iterable[str]) -> tuple[dict[str, str], bool]:
    """Collect in the directory `base` what all machines show: the system's programs with the stand-ins among them, and what is `visible`.

    Returns where in `base` each visible place is, and whether the stand-ins could be laid over the system's programs. In a mount
    namespace of one's own only.
    """
    kernel.mount("tmpfs", base, "tmpfs", kernel.NOSUID | kernel.NODEV, "mode=755")
    for name in [name for name in SYSTEM if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}")]:
        _show(f"/{name}", f"{base}/{name}")
    programs = [f"{base}/{name}" for name in PROGRAMS if os.path.isdir(f"{base}/{name}") and not os.path.islink(f"{base}/{name}")]
    laid = [_overlay(tools, place) for place in programs]
    _show("/sys", f"{base}/sys")
    _show(tools, f"{base}/lab/bin")
    if os.path.isdir("/usr/local"):
        _show("/usr/local", f"{base}/lab/usr-local")
    for name in FROM_ETC:
        if os.path.exists(f"/etc/{name}"):
            _show(f"/etc/{name}", f"{base}/lab/etc/{name}")
    places = {}
    for number, place in enumerate(visible):
        if os.path.exists(place) and not place.startswith("/usr/"):
            places[place] = f"{base}/shown/{number}"
            _show(place, places[place])
    return places, all(laid)


def _show(source: str, target: str) -> None:
    _make_mount_point(target, os.path.isdir(source))
    kernel.bind(source, target)
    kernel.make_read_only(target)


def _make_mount_point(path: str, directory: bool) -> None:
    if directory:
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _overlay(tools: str, target: str) -> bool:
    """Lay the stand-ins over a directory of programs; where that cannot be, over those that it has."""
    here = os.getcwd()
    os.chdir(tools)  # so that no special character of the path meets the options
    try:
        kernel.mount("overlay", target, "overlay", kernel.RDONLY, f"lowerdir=.:/{target.partition('/base/')[2]}")
        return True
    except OSError:
        for name in set(os.listdir(tools)) & set(os.listdir(target)):
            if not os.path.islink(f"{target}/{name}") and not os.path.islink(f"{tools}/{name}"):
                kernel.bind(f"{tools}/{name}", f"{target}/{name}")
        return False
    finally:
        os.chdir(here)


def lay_out_root(disk: str) -> None:
    """Make what a disk needs for being a root: links and mount points. Again: nothing."""
    for name in (*SYSTEM, "proc", "dev", "sys", "run", "tmp", LAB[1:]):
        if name in SYSTEM and os.path.islink(f"/{name}"):
            if not os.path.islink(f"{disk}/{name}"):
                os.symlink(os.readlink(f"/{name}"), f"{disk}/{name}")
        elif name not in SYSTEM or os.path.isdir(f"/{name}"):
            os.makedirs(f"{disk}/{name}", exist_ok=True)
    os.chmod(f"{disk}/tmp", 0o1777)


def enter(base: str, disk: str, local: str, places: Mapping[str, str]) -> None:
    """Make `disk` this process's root, with `local` as its /usr/local. In a mount and a PID namespace of its own only, as its first process."""
    kernel.bind(disk, disk)
    for name in (*SYSTEM, "sys"):
        if os.path.isdir(f"{base}/{name}"):
            kernel.bind(f"{base}/{name}", f"{disk}/{name}")
    if os.path.isdir(f"{disk}/usr/local"):
        kernel.bind(local, f"{disk}/usr/local")
    kernel.bind(f"{base}/lab", disk + LAB)
    for place, source in places.items():
        _make_mount_point(disk + place, os.path.isdir(source))
        kernel.bind(source, disk + place)
    kernel.mount("tmpfs", f"{disk}/run", "tmpfs", kernel.NOSUID | kernel.NODEV, "mode=755")
    _make_devices(f"{disk}/dev")
    kernel.mount("proc", f"{disk}/proc", "proc", kernel.NOSUID | kernel.NODEV | kernel.NOEXEC)
    kernel.bind(f"{disk}/proc/sys", f"{disk}/proc/sys")
    kernel.make_read_only(f"{disk}/proc/sys")
    kernel.change_root(disk)


def _make_devices(dev: str) -> None:
    kernel.mount("tmpfs", dev, "tmpfs", kernel.NOSUID, "mode=755")
    for name in _DEVICES:
        if os.path.exists(f"/dev/{name}"):
            _make_mount_point(f"{dev}/{name}", directory=False)
            kernel.bind(f"/dev/{name}", f"{dev}/{name}")
    for name, target in _LINKS.items():
        os.symlink(target, f"{dev}/{name}")
    os.makedirs(f"{dev}/shm")
    os.chmod(f"{dev}/shm", 0o1777)
    os.makedirs(f"{dev}/pts")
    kernel.mount("devpts", f"{dev}/pts", "devpts", kernel.NOSUID | kernel.NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    os.mkfifo(f"{dev}/console", 0o622)
    os.chmod(f"{dev}/console", 0o622)
