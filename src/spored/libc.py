"""The system calls that Python 3.9 does not offer."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_BIND = 4096
MS_REC = 16384
MS_SLAVE = 1 << 19
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)
_mount = _libc.mount
_mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_unshare = _libc.unshare
_unshare.argtypes = (ctypes.c_int,)
_setns = _libc.setns
_setns.argtypes = (ctypes.c_int, ctypes.c_int)


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` name for new ones."""
    if _unshare(flags) != 0:
        raise _error("unshare")


def setns(fd: int, kind: int) -> None:
    """Enter the namespace behind `fd`. A mount namespace also sets root and working directory to its root."""
    if _setns(fd, kind) != 0:
        raise _error("setns")


def bind(source: bytes, target: bytes, *, deep: bool = False) -> None:
    """Show `source` at `target` too, with what is mounted below it when `deep`."""
    if _mount(source, target, None, MS_BIND | (MS_REC if deep else 0), None) != 0:
        raise _error(f"mount on {os.fsdecode(target)}")


def stop_propagation() -> None:
    """Keep the mounts of this namespace to itself, and go on receiving those of its parent."""
    if _mount(b"none", b"/", None, MS_REC | MS_SLAVE, None) != 0:
        raise _error("mount propagation")


def become_subreaper() -> None:
    """From now on orphaned descendants of this process become its children, wherever they were made."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise _error("prctl")
