"""The instance metadata service, version 2, of all machines of a laboratory: each has it below a path of its own."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from typing import Any

from spawn.testing.ec2lab.machines import Hypervisor, Machine

_TTL = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN = "X-aws-ec2-metadata-token"
_LONGEST_S = 21_600
_ACCOUNT = "123456789012"


class MetadataServer:
    """Answers at http://127.0.0.1:PORT/INSTANCE_ID/latest/…, for the machines that `machine_of` knows (KeyError: none such)."""

    def __init__(self, hypervisor: Hypervisor, machine_of: Callable[[str], Machine], *, clock: Callable[[], float] = time.time) -> None:
        self._hypervisor = hypervisor
        self._machine_of = machine_of
        self._notices: dict[str, tuple[str, float]] = {}
        self._powered: dict[str, float] = {}
        self._tokens: dict[str, tuple[str, float]] = {}
        self._clock = clock
        self._lock = threading.Lock()
        service = self

        class Handler(_Handler):
            asked = service

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="metadata", daemon=True)
        self._thread.start()

    def endpoint(self, instance_id: str) -> str:
        """What AWS_EC2_METADATA_SERVICE_ENDPOINT is in this machine."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{instance_id}/"

    def notice(self, instance_id: str, action: str, at: float) -> None:
        """From now on say that the spot market takes it back at this time."""
        with self._lock:
            self._notices[instance_id] = action, at

    def powered_on(self, instance_id: str) -> None:
        """Its life begins now, and no interruption has been told."""
        with self._lock:
            self._notices.pop(instance_id, None)
            self._powered[instance_id] = self._clock()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def new_token(self, instance_id: str, ttl_s: int) -> str | None:
        """A token for so long; None when there is no such machine."""
        try:
            self._machine_of(instance_id)
        except KeyError:
            return None
        token = token_urlsafe(40)
        now = time.monotonic()
        with self._lock:
            if len(self._tokens) > 10_000:
                self._tokens = {name: kept for name, kept in self._tokens.items() if kept[1] > now}
            self._tokens[token] = instance_id, now + ttl_s
        return token

    def admits(self, instance_id: str, token: str) -> bool:
        """Whether this token was given to this machine, and still holds."""
        with self._lock:
            owner, until = self._tokens.get(token, ("", 0.0))
        return owner == instance_id and time.monotonic() < until

    def answer(self, instance_id: str, path: str) -> bytes | None:
        """What is at this path below `latest/`; None: nothing."""
        try:
            machine = self._machine_of(instance_id)
        except KeyError:
            return None
        with self._lock:
            powered = self._powered.setdefault(instance_id, self._clock())
            notice = self._notices.get(instance_id)
        if path == "user-data":
            return machine.user_data or None
        if path == "dynamic/instance-identity/document":
            return _document(machine, powered)
        if path != "meta-data" and not path.startswith("meta-data/"):
            return b"dynamic\nmeta-data\nuser-data" if path == "" else None
        wanted = path.removeprefix("meta-data").strip("/")
        if wanted.startswith("iam/security-credentials/"):
            return self._credentials(machine, wanted.removeprefix("iam/security-credentials/"))
        leaves = {**_leaves(machine), **_spot(machine, notice)}
        return leaves[wanted].encode() if wanted in leaves else _listing(leaves, wanted)

    def _credentials(self, machine: Machine, role: str) -> bytes | None:
        if machine.role is None or role != machine.role:
            return None
        try:
            given = dict(self._hypervisor.credentials(role))
        except KeyError:
            return None
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return json.dumps({"Code": "Success", "LastUpdated": now, "Type": "AWS-HMAC", **given}, indent=2).encode()


def _leaves(machine: Machine) -> dict[str, str]:
    """Every path below `meta-data/` that does not change."""
    hostname = f"ip-{machine.private_ip.replace('.', '-')}.{machine.region}.compute.internal"
    leaves = {
        "ami-id": machine.image,
        "ami-launch-index": str(machine.launch_index),
        "hostname": hostname,
        "local-hostname": hostname,
        "instance-action": "none",
        "instance-id": machine.instance_id,
        "instance-life-cycle": "spot" if machine.spot else "on-demand",
        "instance-type": machine.type,
        "local-ipv4": machine.private_ip,
        "placement/availability-zone": machine.zone,
        "placement/region": machine.region,
        "reservation-id": "r-" + hashlib.sha256(machine.token.encode()).hexdigest()[:17],
        "services/domain": "amazonaws.com",
        "services/partition": "aws",
    }
    if machine.profile is not None:
        arn = f"arn:aws:iam::{_ACCOUNT}:instance-profile/{machine.profile}"
        profile_id = "AIPA" + hashlib.sha256(machine.profile.encode()).hexdigest()[:17].upper()
        leaves["iam/info"] = json.dumps({"Code": "Success", "InstanceProfileArn": arn, "InstanceProfileId": profile_id})
    if machine.role is not None:
        leaves["iam/security-credentials"] = machine.role
    if machine.key_name is not None:
        leaves["public-keys"] = f"0={machine.key_name}"
    for name, value in machine.tags.items():
        leaves[f"tags/instance/{name}"] = value
    return leaves


def _spot(machine: Machine, notice: tuple[str, float] | None) -> dict[str, str]:
    """What the spot market says: nothing, until it takes the machine back."""
    if notice is None or not machine.spot:
        return {}
    action, at = notice
    when = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {"spot/instance-action": json.dumps({"action": action, "time": when}), "spot/termination-time": when}


def _listing(leaves: Mapping[str, str], path: str) -> bytes | None:
    """The names directly below a path, those with something below them marked by a slash; None: there are none."""
    inside = path + "/" if path else ""
    names = {name[len(inside) :] for name in leaves if name.startswith(inside)}
    found = sorted({name if "/" not in name else name.split("/")[0] + "/" for name in names})
    if path == "tags/instance":  # a tag's name may have slashes of its own
        found = sorted(names)
    return "\n".join(found).encode() if found else None


def _document(machine: Machine, powered: float) -> bytes:
    return json.dumps(
        {
            "accountId": _ACCOUNT,
            "architecture": machine.architecture,
            "availabilityZone": machine.zone,
            "imageId": machine.image,
            "instanceId": machine.instance_id,
            "instanceType": machine.type,
            "pendingTime": f"{datetime.fromtimestamp(powered, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "privateIp": machine.private_ip,
            "region": machine.region,
            "version": "2017-09-30",
        },
        indent=2,
    ).encode()


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A machine that went away, or had no more patience, is nobody's error; any other one is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    asked: MetadataServer

    def do_PUT(self) -> None:
        instance_id, path = self._split()
        ttl = self.headers.get(_TTL, "")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path != "api/token":
            self._reply(404, b"")
        elif not ttl.isdigit() or not 1 <= int(ttl) <= _LONGEST_S:
            self._reply(400, b"")
        else:
            token = self.asked.new_token(instance_id, int(ttl))
            self._reply(404 if token is None else 200, b"" if token is None else token.encode(), {_TTL: ttl})

    def do_GET(self) -> None:
        instance_id, path = self._split()
        if not self.asked.admits(instance_id, self.headers.get(_TOKEN, "")):
            self._reply(401, b"")
            return
        body = self.asked.answer(instance_id, path)
        self._reply(404 if body is None else 200, body or b"")

    def _split(self) -> tuple[str, str]:
        """The machine that asks, and what it asks for, below the version."""
        instance_id, _, path = self.path.partition("?")[0].strip("/").partition("/")
        return instance_id, path.partition("/")[2].strip("/")

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: paths name roles, and nobody reads it."""
