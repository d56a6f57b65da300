"""What can be changed on a running instance, by `spored config`."""

from __future__ import annotations

from typing import Any, NamedTuple

from spored.errors import USAGE, SporedError
from spored.instance.config import ON_COMPLETE, Launch
from spored.instance.durations import duration_of, shown
from spored.options import unknown

KEYS = ("on-complete", "idle-timeout", "upload-interval")


class Settings(NamedTuple):
    """What the launch said, or what was said here since."""

    on_complete: str
    idle_s: float | None
    upload_s: float

    def shown(self) -> dict[str, str]:
        """As they are written by people."""
        values = (self.on_complete, "none" if self.idle_s is None else shown(self.idle_s), shown(self.upload_s))
        return dict(zip(KEYS, values))

    def changed(self, key: str, value: str) -> Settings:
        """With one of them changed. SporedError when there is no such key, or it cannot have that value."""
        if key == "on-complete":
            if value not in ON_COMPLETE:
                raise SporedError(f"on-complete must be one of {', '.join(ON_COMPLETE)}, not {value!r}", USAGE)
            return self._replace(on_complete=value)
        if key == "idle-timeout":
            return self._replace(idle_s=None if value == "none" else duration_of(value))
        if key == "upload-interval":
            return self._replace(upload_s=duration_of(value))
        raise unknown("key", key, KEYS)


def settings_of(launch: Launch, remembered: Any) -> Settings:
    """What holds now: what was said on this instance, else what the launch says."""
    known = remembered if isinstance(remembered, dict) else {}
    said = Settings(launch.on_complete, launch.idle_s, launch.every.upload_s)
    return said._replace(**{name: value for name, value in known.items() if name in Settings._fields})
