"""What is kept of an endpoint, in `endpoint.json` (0600) of the state directory."""

from __future__ import annotations

import os
import secrets
import string
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from spawn.api.native.door import KeyPair, Opening
from spawn.api.native.shapes import SCHEMA_VERSION
from spawn.domain.errors import ConfigurationError, Unavailable

_KEY_ID_ALPHABET: Final = string.ascii_uppercase + "234567"
_SECRET_ALPHABET: Final = string.ascii_letters + string.digits + "+/"
_EVERYWHERE: Final = ("0.0.0.0", "::")
_MOST_KEYS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where the endpoint is, and who may call. `pair`: the one that was made for users who have none; None while nobody needed it."""

    schema_version: int = SCHEMA_VERSION
    host: str
    port: int
    verify: bool
    certfile: str | None
    keyfile: str | None
    keys: tuple[KeyPair, ...] = field(default=(), repr=False)
    pair: KeyPair | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = os.uname().nodename if self.host in _EVERYWHERE else self.host
        return f"{'https' if self.certfile else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def accepts(self, asked: Opening) -> bool:
        """Whether this is what is asked for; port 0 is any."""
        wanted = (asked.host, asked.port or self.port, asked.verify, asked.certfile, asked.keyfile)
        return wanted == (self.host, self.port, self.verify, self.certfile, self.keyfile)

    def secrets(self) -> dict[str, str]:
        """The accepted secrets by access key."""
        made = () if self.pair is None else (self.pair,)
        return {pair.access_key_id: pair.secret_access_key for pair in (*self.keys, *made)}

    def joined(self, keys: tuple[KeyPair, ...]) -> Kept:
        """With these pairs too, of which the last 64 are kept; without any, with a pair made for whoever has none."""
        if not keys:
            return self if self.pair is not None else replace(self, pair=new_pair())
        given = {pair.access_key_id for pair in keys}
        return replace(self, keys=(*(pair for pair in self.keys if pair.access_key_id not in given), *keys)[-_MOST_KEYS:])


def new_pair() -> KeyPair:
    """A pair of the form that AWS gives out."""
    return KeyPair(
        access_key_id="AKIA" + "".join(secrets.choice(_KEY_ID_ALPHABET) for _ in range(16)),
        secret_access_key="".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40)),
    )


def read(path: Path) -> Kept | None:
    """What is kept, None when there is no file; ConfigurationError when it cannot be understood."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not understood ({error}): `spawn serve` writes it anew") from error


def write(path: Path, kept: Kept) -> None:
    """Keep this, whole or not at all; Unavailable when it cannot be."""
    draft = path.with_suffix(".new")
    try:
        with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(msgspec.json.encode(kept))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise Unavailable(f"{path} could not be written, so nothing was changed: {error.strerror or error}") from error


def forget(path: Path) -> None:
    """Keep nothing; Unavailable when the file cannot be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"{path} could not be removed, so the endpoint stays open: {error.strerror or error}") from error
