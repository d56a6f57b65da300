"""The machine itself: its guard, its end, its processors, and who is logged in."""

from __future__ import annotations

import os
import struct
import subprocess
from dataclasses import dataclass
from typing import Callable

from spored.instance.service import Call, Service, host_of

_PATIENCE_S = 30
_UTMP = struct.Struct("hi32s4s32s256shhiii4i20s")
_USER_PROCESS = 7
_API_VERSION = "2016-11-15"
_SSM_WORKER = b"ssm-session-wor\n"
"""As /proc/PID/comm has it, which is cut off after 15 bytes."""


def ec2_url(region: str, endpoint: str | None) -> str:
    """Where EC2 is asked."""
    return f"{endpoint}/" if endpoint is not None else f"https://{host_of('ec2', region)}/"


@dataclass(frozen=True)
class Machine:
    """This machine. `tell` says something on the console; `root` is where /run and /proc are looked for."""

    instance_id: str
    ec2: Service
    ec2_url: str
    tell: Callable[[str], None]
    root: str = "/"

    def guard(self, seconds: float) -> bool:
        """Schedule the end of the machine, so many seconds from now, rounded up to minutes, instead of what was scheduled. False: that failed.

        A schedule is replaced by the next; where it is not, it is cancelled first, so that the time without one is as short as can be.
        """
        minutes = f"+{max(-int(-seconds // 60), 1)}"
        if self._shutdown("-h", minutes):
            return True
        self._shutdown("-c")
        return self._shutdown("-h", minutes)

    def unguard(self) -> None:
        """Schedule no end any more."""
        self._shutdown("-c")

    def halt(self) -> bool:
        """End the machine now, which terminates the instance. False: that failed."""
        return self._shutdown("-h", "now")

    def _shutdown(self, *words: str) -> bool:
        try:
            done = subprocess.run(["shutdown", *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            self.tell(f"shutdown {' '.join(words)} failed: {error}")
            return False
        if done.returncode and words != ("-c",):
            self.tell(f"shutdown {' '.join(words)} failed: {done.stderr.decode('utf-8', 'replace').strip()[:300] or done.returncode}")
        return done.returncode == 0

    def stop(self, *, hibernate: bool) -> None:
        """Ask EC2 to stop this instance. Raises Denied, ServiceError or Unreachable."""
        members = f"Action=StopInstances&InstanceId.1={self.instance_id}&Version={_API_VERSION}" + ("&Hibernate=true" if hibernate else "")
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        self.ec2.ask(Call("POST", self.ec2_url, "ec2:StopInstances", self.instance_id, (), headers, members.encode()))

    def has_visitors(self) -> bool:
        """Whether somebody is logged in: over ssh, on the console or by Session Manager."""
        return _in_utmp(os.path.join(self.root, "run/utmp")) or _in_sessions(os.path.join(self.root, "run/systemd/sessions")) or _by_session_manager()


def processors() -> int:
    """How many vCPUs this process may use."""
    return len(os.sched_getaffinity(0)) or 1


def _in_utmp(path: str) -> bool:
    """Whether utmp has a login whose process lives."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return False
    whole = len(data) - len(data) % _UTMP.size
    return any(entry[0] == _USER_PROCESS and os.path.exists(f"/proc/{entry[1]}") for entry in _UTMP.iter_unpack(data[:whole]))


def _in_sessions(directory: str) -> bool:
    """Whether systemd-logind knows a session of a user: newer systems have no utmp."""
    try:
        names = os.listdir(directory)
    except OSError:
        return False
    for name in names:
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                said = dict(line.rstrip("\n").partition("=")[::2] for line in file)
        except OSError:
            continue
        if said.get("CLASS") == "user" and said.get("STATE", "active") != "closing":
            return True
    return False


def _by_session_manager() -> bool:
    """Session Manager's shells are in neither list; its workers live as long as they do."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/comm", "rb") as file:
                    if file.read() == _SSM_WORKER:
                        return True
            except OSError:
                continue
    return False
