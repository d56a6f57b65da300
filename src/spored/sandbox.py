"""A mount namespace with a /tmp of its own, in which the places a job needs stay visible."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Iterable

from spored import libc
from spored.specs import Spec, text_bytes

TMP = b"/tmp"
_MOST_VIEWS = 256
_ROOTS = tuple({"/tmp", os.path.realpath("/tmp")})


def below_tmp(path: str) -> bool:
    """Whether a private /tmp hides `path`, unless it is shown."""
    return any(path.startswith(root + "/") for root in _ROOTS)


def shown_paths(spec: Spec, runner: str) -> tuple[str, ...]:
    """What a private /tmp of this array must not hide, the outermost places only.

    Those the engine names, the working directory (unless it is /tmp itself, which then means the private one), the array's
    files, the runner's directory, and this very program with its Python, for `spored complete`.
    """
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # without `site` the prefix of a virtual environment is not known, only where its python lies
    environment = os.path.dirname(os.path.dirname(sys.executable))
    workdir = [] if spec.workdir is None else [spec.workdir]
    needed = [*spec.visible, *workdir, spec.directory, runner, sys.prefix, sys.base_prefix, environment, here]
    needed += [os.path.realpath(path) for path in needed]
    places = sorted({os.path.normpath(path) for path in needed if below_tmp(os.path.normpath(path))})
    outermost: list[str] = []
    for place in places:
        if not any(place.startswith(outer + "/") for outer in outermost):
            outermost.append(place)
    return tuple(outermost)


def is_hidden(path: str, shown: Iterable[str]) -> bool:
    """Whether a private /tmp that shows `shown` hides `path`."""
    return below_tmp(path) and not any(path == place or path.startswith(place + "/") for place in shown)


def mount_points(shown: tuple[bytes, ...]) -> dict[bytes, set[bytes]]:
    """What a private /tmp's directory holds only for showing something there: for each directory, relative to it, the names that are in it."""
    inside: dict[bytes, set[bytes]] = {b"": set()}
    for path in shown:
        parent = b""
        for name in path[len(TMP) + 1 :].split(b"/") if path.startswith(TMP + b"/") else ():
            inside.setdefault(parent, set()).add(name)
            parent = os.path.join(parent, name)
            inside.setdefault(parent, set())
    return inside


def show_private_tmp(tmp: bytes, shown: tuple[bytes, ...]) -> None:
    """Put the directory `tmp` on /tmp, and `shown` back in their places. Only in a mount namespace of one's own."""
    libc.stop_propagation()
    # Opened before /tmp is covered, but in this namespace: the kernel does not bind from another one.
    fds = [(path, fd) for path in shown if (fd := _open_path(path)) >= 0]
    try:
        libc.bind(tmp, TMP)
        for path, fd in fds:
            _make_mount_point(path, stat.S_ISDIR(os.fstat(fd).st_mode))
            libc.bind(b"/proc/self/fd/%d" % fd, path, deep=True)
    finally:
        for _, fd in fds:
            os.close(fd)


def _open_path(path: bytes) -> int:
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return -1  # what is not there need not be shown


def _make_mount_point(path: bytes, directory: bool) -> None:
    if directory:
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def enter_user_namespace() -> None:
    """Become, as the same user and group, the owner of a user and a mount namespace; what is executed from here has no more rights than before."""
    uid, gid = os.geteuid(), os.getegid()
    libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


class _View:
    """A namespace that is kept for the next attempt whose /tmp is the same directory."""

    def __init__(self) -> None:
        self.fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._mounts, select.POLLPRI)

    def is_as_made(self) -> bool:
        """Whether nothing has been mounted or unmounted in it."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.fd)
        os.close(self._mounts)


class Namespaces:
    """Takes this process into a private view for the moment in which it makes a child, and back.

    Making and destroying a mount namespace costs as much as half a process. Where attempts leave their /tmp as they found it, their
    directory serves one after the other, and so can the namespace in which it is on /tmp.
    """

    def __init__(self) -> None:
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._views: dict[tuple[int, int, tuple[bytes, ...]], _View] = {}

    def enter(self, tmp: bytes, shown: tuple[bytes, ...], *, again: bool = False) -> None:
        """Go to a namespace whose /tmp is `tmp`. On an error this process is back home.

        `again`: this directory has served before, no process is left of that, and it is likely to serve again.
        """
        if not again:
            self._make(tmp, shown)
            return
        status = os.stat(tmp)
        # The mount holds on to the directory, so its number is no other's as long as the namespace is kept.
        key = (status.st_dev, status.st_ino, shown)
        view = self._views.get(key)
        if view is not None and view.is_as_made():
            libc.setns(view.fd, libc.CLONE_NEWNS)
            return
        if view is not None or len(self._views) >= _MOST_VIEWS:
            self._views.pop(key if view is not None else next(iter(self._views))).close()
        self._make(tmp, shown)
        self._views[key] = _View()

    def _make(self, tmp: bytes, shown: tuple[bytes, ...]) -> None:
        libc.unshare(libc.CLONE_NEWNS)
        try:
            show_private_tmp(tmp, shown)
        except OSError:
            self.leave()
            raise

    def leave(self) -> None:
        """Come back. The working directory is / then."""
        libc.setns(self._home, libc.CLONE_NEWNS)

    def tidy(self) -> None:
        """Let go of all namespaces that are kept."""
        for view in self._views.values():
            view.close()
        self._views.clear()


def probe(directory: str, *, user_namespace: bool) -> str | None:
    """Try for real, in a process of its own: None when private /tmps can be had, otherwise why not."""
    tmp = text_bytes(os.path.join(directory, "probe.tmp"))
    os.makedirs(tmp, exist_ok=True)
    pid = os.fork()
    if pid == 0:
        os._exit(_try(tmp, user_namespace))
    _, status = os.waitpid(pid, 0)
    os.rmdir(tmp)
    if status == 0:
        return None
    who = "users" if user_namespace else "this process"
    reason = os.strerror(os.WEXITSTATUS(status)) if os.WIFEXITED(status) else "it was killed"
    return f"this system does not let {who} make mount namespaces ({reason})"


def _try(tmp: bytes, user_namespace: bool) -> int:
    try:
        if user_namespace:
            enter_user_namespace()
        root, place = os.stat("/"), os.stat(tmp)
        namespaces = Namespaces()
        namespaces.enter(tmp, ())
        covered = os.stat(TMP)
        namespaces.leave()
        back = os.stat("/")
        same = (covered.st_dev, covered.st_ino) == (place.st_dev, place.st_ino) and (root.st_dev, root.st_ino) == (back.st_dev, back.st_ino)
        return 0 if same else 22
    except OSError as error:
        return error.errno or 1
    except BaseException:
        return 1
