"""What an acted instance has to write, in order, again and again until it is there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from spawn.testing.ec2lab.boot.acts import Life
from spawn.testing.ec2lab.boot.launches import Launch
from spawn.testing.ec2lab.boot.reaching import Services, Unreachable
from spawn.testing.ec2lab.machines import Machine

_FIRST_S, _LONGEST_S = 1.0, 60.0


@dataclass(slots=True, kw_only=True)
class Upload:
    """One object, and what to do when it is there."""

    key: str
    body: bytes
    only_new: bool = False
    then: Callable[[], None] | None = None


class Outbox:
    """The objects of one machine that are not in the bucket yet."""

    def __init__(self, services: Services, machine: Machine, launch: Launch, life: Life) -> None:
        self.trouble: str | None = None
        self.retry_at: float | None = None
        self._services = services
        self._machine = machine
        self._launch = launch
        self._life = life
        self._uploads: deque[Upload] = deque()
        self._pause_s = _FIRST_S

    def __bool__(self) -> bool:
        return bool(self._uploads)

    def add(self, key: str, body: bytes, *, only_new: bool = False, then: Callable[[], None] | None = None) -> None:
        """Write this after all that was added before."""
        self._uploads.append(Upload(key=self._launch.prefix + key, body=body, only_new=only_new, then=then))

    def write(self, key: str, body: bytes, age_s: float, *, only_new: bool = False) -> bool:
        """Write this at once. False: it is there already. Unreachable when it cannot be written."""
        if not self._life.can_write(age_s):
            raise Unreachable("s3: put_object: AccessDenied")
        return self._services.put(self._machine, self._launch.bucket, self._launch.prefix + key, body, only_new=only_new)

    def failed(self, now: float, error: Unreachable) -> None:
        """Wait before anything is tried again: 1 s after the first failure, then 2, 4, 8, and never more than 60."""
        self.trouble = str(error)
        self.retry_at = now + self._pause_s
        self._pause_s = min(_LONGEST_S, self._pause_s * 2)

    def is_waiting(self, now: float) -> bool:
        """Whether it is too early to try again."""
        return self.retry_at is not None and now < self.retry_at

    def send(self, now: float, age_s: float) -> None:
        """Write what can be written."""
        while self._uploads and not self.is_waiting(now):
            upload = self._uploads[0]
            try:
                self.write(upload.key.removeprefix(self._launch.prefix), upload.body, age_s, only_new=upload.only_new)
            except Unreachable as error:
                self.failed(now, error)
                return
            self.succeeded()
            self._uploads.popleft()
            if upload.then is not None:
                upload.then()

    def succeeded(self) -> None:
        """The bucket takes things again."""
        self.trouble, self.retry_at, self._pause_s = None, None, _FIRST_S
