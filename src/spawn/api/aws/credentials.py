"""The access keys that requests may be signed with."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from spawn.domain.instants import Instant
from spawn.engine.ports import Clock

_log = logging.getLogger(__name__)

_LOOK_AGAIN_MS: Final = 3_000


def shared_keys() -> dict[str, str]:
    """The static pairs of all profiles in the user's shared credentials and config files, secret by access key.

    Only files are read: no process is run, no role is assumed, nothing is asked over a network. A file that cannot be read or
    understood is said in the log and counts as empty."""
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        profiles = botocore.session.Session().full_config.get("profiles", {})
    except (BotoCoreError, OSError, UnicodeDecodeError) as error:
        _log.warning("the AWS credentials and config files are not read (%s): keys that stand in them are refused", type(error).__name__)
        return {}
    pairs = ((profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")) for profile in profiles.values() if isinstance(profile, Mapping))
    return {access_key: secret for access_key, secret in pairs if isinstance(access_key, str) and isinstance(secret, str) and access_key and secret}


class KeyRing:
    """The accepted pairs: those given to it, and those that `look` finds. Any thread may ask.

    `look` is called for an access key that is unknown, and not again within three seconds; what it finds replaces what it found before."""

    def __init__(self, pairs: Mapping[str, str], *, clock: Clock, look: Callable[[], Mapping[str, str]] = shared_keys) -> None:
        self._given = dict(pairs)
        self._clock = clock
        self._look = look
        self._found: Mapping[str, str] = {}
        self._looked_at: Instant | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"KeyRing({len(self._given)} given, {len(self._found)} found)"

    def secret_of(self, access_key: str) -> str | None:
        """The secret of an access key, None when it is not accepted."""
        secret = self._given.get(access_key) or self._found.get(access_key)
        if secret is not None:
            return secret
        with self._lock:
            now = self._clock.now()
            # a clock that was set back counts as time passed
            if self._looked_at is None or not 0 <= now - self._looked_at < _LOOK_AGAIN_MS:
                self._looked_at = now
                self._found = dict(self._look())
            return self._found.get(access_key)
