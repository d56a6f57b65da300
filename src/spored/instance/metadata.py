"""What the instance is told about itself: the metadata service, version 2."""

from __future__ import annotations

import calendar
import json
import threading
import time
from typing import Any, Callable, NamedTuple

from spored.instance.web import Answer, Unreachable, Web

DEFAULT_ENDPOINT = "http://169.254.169.254"
_TOKEN_TTL_S = 21600
_TOKEN_RENEWED_AFTER_S = _TOKEN_TTL_S - 600
_TRIES = 4
_FIRST_PAUSE_S = 0.1


class Identity(NamedTuple):
    """Who this instance is."""

    instance_id: str
    launch_index: int
    type: str
    zone: str
    region: str
    powered_at: float | None  #: when it was powered on last, seconds since the epoch; None: the service does not say


class Notice(NamedTuple):
    """The spot market takes this instance back."""

    action: str  #: terminate, stop or hibernate
    at: float


class Metadata:
    """Asks the metadata service. May be used by several threads."""

    def __init__(self, endpoint: str, web: Web, *, monotonic: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._web = web
        self._monotonic = monotonic
        self._sleep = sleep
        self._token: str | None = None
        self._renew_at = 0.0
        self._lock = threading.Lock()

    def identity(self) -> Identity:
        """Who this instance is. Unreachable when the service does not say, or says nothing that makes sense."""
        text = self._required("meta-data/ami-launch-index")
        if not text.isdigit():
            raise Unreachable(f"the metadata service says launch index {text[:60]!r}, which is no number")
        zone = self._required("meta-data/placement/availability-zone")
        region = self.get("meta-data/placement/region") or zone.rstrip("abcdefghijklmnopqrstuvwxyz")
        return Identity(
            instance_id=self._required("meta-data/instance-id"),
            launch_index=int(text),
            type=self._required("meta-data/instance-type"),
            zone=zone,
            region=region,
            powered_at=self._powered_at(),
        )

    def _powered_at(self) -> float | None:
        document = _object(self.get("dynamic/instance-identity/document"))
        return instant_of(str(document.get("pendingTime")))

    def role_credentials(self) -> dict[str, Any]:
        """The credentials of the instance's role: AccessKeyId, SecretAccessKey, Token, Expiration. Unreachable when it has none."""
        names = (self.get("meta-data/iam/security-credentials/") or "").split()
        if not names:
            raise Unreachable("this instance has no role (no instance profile is attached), so it has no credentials")
        found = _object(self.get(f"meta-data/iam/security-credentials/{names[0]}"))
        if not found.get("AccessKeyId"):
            raise Unreachable(f"the metadata service has no credentials of role {names[0]} ({str(found.get('Code', 'no answer'))[:100]})")
        return found

    def notice(self) -> Notice | None:
        """The interruption notice, if there is one."""
        found = _object(self.get("meta-data/spot/instance-action"))
        at = instant_of(str(found.get("time")))
        return None if at is None or not found.get("action") else Notice(str(found["action"]), at)

    def _required(self, path: str) -> str:
        value = self.get(path)
        if not value:
            raise Unreachable(f"the metadata service has no {path}")
        return value

    def get(self, path: str) -> str | None:
        """What the service has at a path below `latest`; None: nothing. Unreachable after four tries."""
        pause = _FIRST_PAUSE_S
        problem = Unreachable("nobody was asked")
        for tried in range(1, _TRIES + 1):
            try:
                answer = self._ask(path)
                if answer.status == 200:
                    return answer.body.decode("utf-8", "replace").strip()
                if answer.status == 404:
                    return None
                problem = Unreachable(f"the metadata service answered {answer.status}")
            except Unreachable as error:
                problem = error
            if tried < _TRIES:
                self._sleep(pause)
                pause *= 2
        raise problem

    def _ask(self, path: str) -> Answer:
        """One request; a token that the service no longer takes is replaced once."""
        answer = self._ask_with(path, self._session(fresh=False))
        return self._ask_with(path, self._session(fresh=True)) if answer.status == 401 else answer

    def _ask_with(self, path: str, token: str) -> Answer:
        return self._web.ask("GET", f"{self._endpoint}/latest/{path}", {"X-aws-ec2-metadata-token": token})

    def _session(self, *, fresh: bool) -> str:
        with self._lock:
            if fresh or self._token is None or self._monotonic() >= self._renew_at:
                headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_TTL_S), "Content-Length": "0"}
                answer = self._web.ask("PUT", f"{self._endpoint}/latest/api/token", headers)
                if answer.status != 200:
                    raise Unreachable(f"the metadata service gives no token (answer {answer.status})")
                self._token = answer.body.decode("ascii", "replace").strip()
                self._renew_at = self._monotonic() + _TOKEN_RENEWED_AFTER_S
            return self._token


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def instant_of(text: str) -> float | None:
    """Seconds since the epoch of a time such as 2026-01-27T10:00:00Z; None when it is none."""
    try:
        return float(calendar.timegm(time.strptime(text.split(".", maxsplit=1)[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return None
