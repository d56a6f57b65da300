"""The script that an instance boots with (docs/wire-ec2.md): first the guard, then the agent. Plain POSIX sh; it runs as root, once."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MOST_BYTES: Final = 16_384
"""What EC2 takes, before base64."""

BEGIN: Final = "# spored-launch-begin"
END: Final = "# spored-launch-end"
URL: Final = "# spored-launch-url"
_COLUMNS: Final = 76


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Something that the instance fetches by a presigned URL, and checks."""

    url: str
    sha256: str


def embedded_or_none(launch: Mapping[str, object], agent: Fetched, ttl_s: float | None) -> bytes | None:
    """User data with the launch's configuration in it; None when that is more than EC2 takes."""
    packed = base64.b64encode(gzip.compress(document(launch), 9, mtime=0)).decode()
    lines = [BEGIN, *(f"# {packed[at : at + _COLUMNS]}" for at in range(0, len(packed), _COLUMNS)), END]
    unpack = f"sed -n '/^{BEGIN}$/,/^{END}$/s/^# //p' \"$0\" | grep -v '^spored-launch-' | base64 -d | gzip -dc > \"$part\""
    made = _packed(_script(lines, unpack, agent, ttl_s))
    return made if len(made) <= MOST_BYTES else None


def staged(launch: Fetched, agent: Fetched, ttl_s: float | None) -> bytes:
    """User data that fetches the launch's configuration."""
    return _packed(_script([f"{URL} {launch.url} {launch.sha256}"], f"fetch '{launch.url}' {launch.sha256} \"$part\"", agent, ttl_s))


def document(launch: Mapping[str, object]) -> bytes:
    """launch.json; the same bytes for the same facts."""
    return json.dumps(launch, separators=(",", ":"), sort_keys=True).encode()


def _packed(script: str) -> bytes:
    plain = script.encode()
    packed = gzip.compress(plain, 9, mtime=0)
    return packed if len(packed) < len(plain) else plain


def _script(launch: list[str], unpack: str, agent: Fetched, ttl_s: float | None) -> str:
    guard = [] if ttl_s is None else [f"shutdown -h +{math.ceil(ttl_s / 60)} || say 'the end of this instance could not be scheduled'"]
    return "\n".join([_HEAD, *guard, *launch, _FETCH, _INSTALL.format(unpack=unpack, url=agent.url, sha256=agent.sha256), ""])


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

_INSTALL: Final = """\
command -v python3 > /dev/null 2>&1 || fail 'there is no python3 in this image'
mkdir -p /opt/spored /etc/spored || fail 'the agent has nowhere to be'
chmod 755 /opt/spored
fetch '{url}' {sha256} /opt/spored/spored.pyz || fail 'the agent could not be fetched'
chmod 644 /opt/spored/spored.pyz
part=/etc/spored/launch.json.new
{unpack} || fail 'the configuration of the launch could not be read'
[ -s "$part" ] || fail 'the configuration of the launch is empty'
mv "$part" /etc/spored/launch.json
python3 /opt/spored/spored.pyz instance install || fail 'the agent could not be installed'"""
