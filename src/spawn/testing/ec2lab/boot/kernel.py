"""What Linux offers for machines within a machine, and Python's library does not."""

from __future__ import annotations

import ctypes
import os
import platform

NEW_NS = 0x00020000
NEW_UTS = 0x04000000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PID = 0x20000000

RDONLY = 0x1
NOSUID = 0x2
NODEV = 0x4
NOEXEC = 0x8
REMOUNT = 0x20
_BIND = 0x1000
_REC = 0x4000
_PRIVATE = 0x40000
_DETACH = 2
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100
_ATTR_RDONLY = 0x1
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "arm64": 41, "riscv64": 41}

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
# What would reach beyond the machine: modules, raw devices and making device nodes, the clock, the kernel log, the network, mandatory access control, auditing.
_BEYOND = (12, 16, 17, 22, 25, 27, 30, 32, 33, 34, 35, 37)

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = [("attr_set", ctypes.c_uint64), ("attr_clr", ctypes.c_uint64), ("propagation", ctypes.c_uint64), ("userns_fd", ctypes.c_uint64)]


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces of these kinds for new ones."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    encoded = None if kind is None else kind.encode()
    result = _libc.mount(os.fsencode(source), os.fsencode(target), encoded, ctypes.c_ulong(flags), os.fsencode(options) if options else None)
    _checked(result, f"mount {target}")


def bind(source: str, target: str) -> None:
    """Show `source`, and all that is mounted in it, at `target`."""
    mount(source, target, flags=_BIND | _REC)


def keep_mounts_to_ourselves() -> None:
    """What is mounted from here on is seen in this mount namespace only."""
    mount("none", "/", flags=_REC | _PRIVATE)


def make_read_only(target: str) -> None:
    """Nothing below `target` can be written any more, as far as this kernel can do that (Linux 5.12)."""
    attributes = _MountAttr(attr_set=_ATTR_RDONLY)
    result = _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), _AT_RECURSIVE, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if result != 0:
        mount("none", target, flags=_BIND | REMOUNT | RDONLY)


def change_root(root: str) -> None:
    """Make `root`, a mount point, this namespace's root, and let go of the old one."""
    number = _SYS_PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(38, f"pivot_root: not known for {platform.machine()}")
    os.chdir(root)
    _checked(_libc.syscall(number, b".", b"."), "pivot_root")
    _checked(_libc.umount2(b".", _DETACH), "umount")
    os.chdir("/")


def set_hostname(name: str) -> None:
    """Call this UTS namespace so."""
    encoded = name.encode()
    _checked(_libc.sethostname(encoded, len(encoded)), "sethostname")


def die_with_parent() -> None:
    """SIGKILL for this process when its parent ends."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Become the parent of the orphans among what descends from this process."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def drop_what_reaches_beyond() -> None:
    """What is executed from here on, even as root, cannot change the machine around this one."""
    for capability in _BEYOND:
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # one that this kernel does not know is not had either


def become_root_of_ones_own(*, uid: int, gid: int) -> None:
    """Enter a user and a mount namespace in which this user is root, and nobody else exists."""
    unshare(NEW_USER | NEW_NS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            raise OSError(error.errno, f"{name} of a user namespace: {error.strerror}") from error
