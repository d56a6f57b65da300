"""As much of AWS as an instance talks to, on loopback: metadata, S3, SQS and EC2's StopInstances, with faults that a test can ask for."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "results"
Fault = Callable[[str, str], "int | None"]


class Cloud:
    """A region with one bucket, one queue and any number of instances, whose metadata each asks for by its own path."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.order: list[str] = []  #: keys in the order in which they were written
        self.rewritten: list[str] = []
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.messages: dict[str, str] = {}  #: by receipt
        self.in_flight: set[str] = set()
        self.held: list[str] = []
        self.stopped: list[dict[str, list[str]]] = []
        self.metadata: dict[str, dict[str, str]] = {}
        self.requests: list[tuple[str, str]] = []
        self.fault: Fault = lambda method, path: None
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add_instance(self, instance_id: str, launch_index: int = 0, **more: str) -> str:
        """The endpoint of the metadata of one more instance."""
        self.metadata[instance_id] = {
            "meta-data/instance-id": instance_id,
            "meta-data/ami-launch-index": str(launch_index),
            "meta-data/instance-type": "t3.micro",
            "meta-data/placement/availability-zone": "eu-central-1a",
            "meta-data/placement/region": "eu-central-1",
            "meta-data/iam/security-credentials/": "role",
            "meta-data/iam/security-credentials/role": json.dumps(
                {"Code": "Success", "AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "token", "Expiration": "2099-01-01T00:00:00Z"}
            ),
            **more,
        }
        return f"{self.url}/imds/{instance_id}"

    def take_back(self, instance_id: str, in_s: float) -> None:
        """Give an interruption notice."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + in_s))
        self.metadata[instance_id]["meta-data/spot/instance-action"] = json.dumps({"action": "terminate", "time": at})

    def json(self, key: str) -> Any:
        """An object of the bucket, or None."""
        body = self.objects.get(key)
        return None if body is None else json.loads(body)

    def log(self, prefix: str) -> bytes:
        """The parts of a log, in order; they must follow each other."""
        whole = b""
        for key in sorted(key for key in self.objects if key.startswith(prefix + "log/")):
            assert int(key.rpartition("/")[2]) == len(whole), f"a part is missing before {key}"
            whole += self.objects[key]
        return whole

    # --- services; each answers status, headers, body

    def imds(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        instance, _, rest = path.partition("/")
        if method == "PUT":
            return 200, {}, b"session"
        found = self.metadata[instance].get(rest.removeprefix("latest/"))
        return (404, {}, b"") if found is None else (200, {}, found.encode())

    def s3(self, method: str, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        bucket, _, key = path.partition("/")
        assert bucket == BUCKET
        assert "/eu-central-1/s3/aws4_request" in headers["Authorization"]
        assert headers["X-Amz-Content-SHA256"] == hashlib.sha256(body).hexdigest()
        if method == "GET" and not key:
            return 200, {}, self._list(query["prefix"][0])
        if method == "GET":
            return (200, {}, self.objects[key]) if key in self.objects else (404, {}, b"<Error><Code>NoSuchKey</Code></Error>")
        if "uploads" in query:
            self.uploads[key] = {}
            return 200, {}, b"<Result><UploadId>upload</UploadId></Result>"
        if method == "DELETE":
            self.uploads.pop(key, None)
            return 204, {}, b""
        if "partNumber" in query:
            self.uploads[key][int(query["partNumber"][0])] = body
            return 200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, b""
        if method == "POST":
            parts = self.uploads.pop(key)
            self._store(key, b"".join(parts[number] for number in sorted(parts)))
            return 200, {}, b"<CompleteMultipartUploadResult/>"
        if headers.get("If-None-Match") == "*" and key in self.objects:
            return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
        self._store(key, body)
        return 200, {}, b""

    def _store(self, key: str, body: bytes) -> None:
        if self.objects.get(key, body) != body:
            self.rewritten.append(key)
        self.objects[key] = body
        self.order.append(key)

    def _list(self, prefix: str) -> bytes:
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size></Contents>" for key, body in sorted(self.objects.items()) if key.startswith(prefix)
        )
        return f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>'.encode()

    def sqs(self, operation: str, message: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if operation == "ReceiveMessage":
            free = [receipt for receipt in self.messages if receipt not in self.in_flight][: message["MaxNumberOfMessages"]]
            self.in_flight.update(free)
            return 200, {}, json.dumps({"Messages": [{"ReceiptHandle": receipt, "Body": self.messages[receipt]} for receipt in free]}).encode()
        if operation == "DeleteMessage":
            self.messages.pop(message["ReceiptHandle"], None)
        else:
            self.held.append(message["ReceiptHandle"])
        return 200, {}, b"{}"

    def ec2(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.stopped.append(parse_qs(body.decode()))
        return 200, {}, b"<StopInstancesResponse/>"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Those who are killed hang up."""


def _handler(cloud: Cloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            service, _, rest = parts.path.lstrip("/").partition("/")
            path = unquote(rest)
            with cloud.lock:
                cloud.requests.append((self.command, f"{service}/{path}"))
                refused = cloud.fault(self.command, f"{service}/{path}")
                if refused == 0:
                    self.close_connection = True
                    return
                if refused is not None:
                    code = "AccessDenied" if refused == 403 else "SlowDown"
                    status, headers, out = refused, {}, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
                elif service == "imds":
                    status, headers, out = cloud.imds(self.command, path)
                elif service == "s3":
                    status, headers, out = cloud.s3(self.command, path, parse_qs(parts.query, keep_blank_values=True), self.headers, body)
                elif service == "sqs":
                    status, headers, out = cloud.sqs(self.headers["X-Amz-Target"].partition(".")[2], json.loads(body))
                else:
                    status, headers, out = cloud.ec2(body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server looks for

    return Handler
