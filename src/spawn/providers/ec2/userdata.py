"""The script that an instance boots with (docs/wire-ec2.md): first the guard, then the agent. Plain POSIX sh; it runs as root, once."""

from __future__ import annotations

import base64
import gzip
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MOST_BYTES: Final = 16_384
"""What EC2 takes, before base64."""

BEGIN: Final = "# spored-launch-begin"
END: Final = "# spored-launch-end"
_INSTALL: Final = "python3 /opt/spored/spored.pyz instance install"
STAGED: Final = f"{_INSTALL} --bucket "
"""What the last line begins with in user data that does not carry the launch's configuration."""

_COLUMNS: Final = 76


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Something that the instance fetches by a presigned URL, and checks. So can everybody who may read its user data: it must not be secret."""

    url: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """An object that the instance reads with the credentials of its role, and checks."""

    bucket: str
    region: str
    key: str
    sha256: str
    endpoint: str | None  #: where S3 is asked; None: at AWS


def embedded_or_none(launch: Mapping[str, object], agent: Fetched, ttl_s: float | None) -> bytes | None:
    """User data with the launch's configuration in it; None when that is more than EC2 takes."""
    packed = base64.b64encode(gzip.compress(document(launch), 9, mtime=0)).decode()
    lines = [BEGIN, *(f"# {packed[at : at + _COLUMNS]}" for at in range(0, len(packed), _COLUMNS)), END]
    made = _packed([*_beginning(ttl_s), *lines, *_agent(agent), _UNPACK, f"{_INSTALL} || fail 'the agent could not be installed'", ""])
    return made if len(made) <= MOST_BYTES else None


def staged(launch: Staged, agent: Fetched, ttl_s: float | None) -> bytes:
    """User data that lets the agent read the launch's configuration."""
    words = [launch.bucket, "--region", launch.region, "--key", launch.key, "--sha256", launch.sha256]
    if launch.endpoint is not None:
        words += ["--endpoint", launch.endpoint]
    read = f"{STAGED}{shlex.join(words)} || fail 'the configuration of the launch could not be read, or the agent not be installed'"
    return _packed([*_beginning(ttl_s), *_agent(agent), read, ""])


def document(launch: Mapping[str, object]) -> bytes:
    """launch.json; the same bytes for the same facts."""
    return json.dumps(launch, separators=(",", ":"), sort_keys=True).encode()


def _packed(lines: list[str]) -> bytes:
    plain = "\n".join(lines).encode()
    packed = gzip.compress(plain, 9, mtime=0)
    return packed if len(packed) < len(plain) else plain


def _beginning(ttl_s: float | None) -> list[str]:
    return [_HEAD] if ttl_s is None else [_HEAD, f"shutdown -h +{math.ceil(ttl_s / 60)} || say 'the end of this instance could not be scheduled'"]


def _agent(agent: Fetched) -> list[str]:
    return [_FETCH, _AGENT.format(url=agent.url, sha256=agent.sha256)]


_HEAD: Final = """\
#!/bin/sh
umask 077
say() { echo "spored: $*" > /dev/console 2>/dev/null || echo "spored: $*" >&2; }"""

_FETCH: Final = """\
get() {
  if command -v curl > /dev/null 2>&1; then curl -fsS --connect-timeout 10 --max-time 120 -o "$2" "$1"
  elif command -v wget > /dev/null 2>&1; then wget -q -T 30 -O "$2" "$1"
  else python3 -c 'import shutil, sys, urllib.request as u; shutil.copyfileobj(u.urlopen(sys.argv[1], timeout=30), open(sys.argv[2], "wb"))' "$1" "$2"
  fi
}
fetch() {
  for pause in 1 2 4 8 16 30 30 30 30 0; do
    if get "$1" "$3.part" && echo "$2  $3.part" | sha256sum -c > /dev/null 2>&1; then
      mv "$3.part" "$3"
      return 0
    fi
    sleep "$pause"
  done
  return 1
}
fail() { say "$*: this instance does nothing, and ends at its time"; exit 1; }"""

_AGENT: Final = """\
command -v python3 > /dev/null 2>&1 || fail 'there is no python3 in this image'
mkdir -p /opt/spored /etc/spored || fail 'the agent has nowhere to be'
chmod 755 /opt/spored
fetch '{url}' {sha256} /opt/spored/spored.pyz || fail 'the agent could not be fetched'
chmod 644 /opt/spored/spored.pyz"""

_UNPACK: Final = f"""\
part=/etc/spored/launch.json.new
sed -n '/^{BEGIN}$/,/^{END}$/s/^# //p' "$0" | grep -v '^spored-launch-' | base64 -d | gzip -dc > "$part" ||
  fail 'the configuration of the launch could not be read'
[ -s "$part" ] || fail 'the configuration of the launch is empty'
mv "$part" /etc/spored/launch.json"""
