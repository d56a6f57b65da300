"""A request as it came in, and what it asks of which service."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

_SCOPE = re.compile(r"Credential=([^/,]+)/(\d+)/([^/,]+)/([^/,]+)/aws4_request")
_RETRY = re.compile(r"attempt=(\d+)")
_S3_SUBRESOURCES = {
    "location": "BucketLocation",
    "versioning": "BucketVersioning",
    "lifecycle": "BucketLifecycleConfiguration",
    "policy": "BucketPolicy",
    "publicAccessBlock": "PublicAccessBlock",
    "encryption": "BucketEncryption",
    "cors": "BucketCors",
    "ownershipControls": "BucketOwnershipControls",
    "acl": "Acl",
    "tagging": "Tagging",
    "object-lock": "ObjectLockConfiguration",
    "versions": "ObjectVersions",
    "attributes": "ObjectAttributes",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """As received. Header names are in small letters; path and query are still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @functools.cached_property
    def arguments(self) -> dict[str, str]:
        """The query's parameters."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @functools.cached_property
    def scope(self) -> tuple[str, str, str] | None:
        """Access key, region and service that it is signed for; None when it is not signed."""
        found = _SCOPE.search(self.headers.get("authorization", "")) or _SCOPE.fullmatch(f"Credential={self.arguments.get('X-Amz-Credential', '')}")
        return (found[1], found[3], found[4]) if found else None

    @property
    def presigned(self) -> bool:
        """Whether its signature is in its address."""
        return "X-Amz-Signature" in self.arguments

    @property
    def service(self) -> str:
        """As in the signature; unsigned requests are for S3."""
        return self.scope[2] if self.scope else "s3"

    @property
    def region(self) -> str:
        """As in the signature."""
        return self.scope[1] if self.scope else "us-east-1"

    @property
    def retry(self) -> int:
        """Which of the client's attempts it is, as botocore tells."""
        found = _RETRY.search(self.headers.get("amz-sdk-request", ""))
        return int(found[1]) if found else 1

    @functools.cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of a query call (EC2, IAM, STS)."""
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return self.arguments | dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        return self.arguments

    @functools.cached_property
    def json(self) -> dict[str, Any]:
        """The members of a JSON call (SQS, SSM, Service Quotas, Pricing)."""
        try:
            members = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return members if isinstance(members, dict) else {}

    @functools.cached_property
    def action(self) -> str:
        """What is asked for, by the name of its API."""
        target = self.headers.get("x-amz-target")
        if target:
            return target.rpartition(".")[2]
        if self.service == "s3" and not self.bucket:
            return "ListBuckets"
        if self.service == "s3":
            return s3_action(self.method, self.key, self.arguments, self.headers)
        return self.parameters.get("Action") or f"{self.method} {self.path}"

    @functools.cached_property
    def bucket(self) -> str:
        """The bucket's name in a path-style S3 call."""
        return unquote(self.path[1:].partition("/")[0])

    @functools.cached_property
    def key(self) -> str:
        """The object's key, empty for calls about the bucket."""
        return unquote(self.path[1:].partition("/")[2])


def s3_action(method: str, key: str, arguments: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The name of an S3 operation, which on the wire has none."""
    sub = next((name for part, name in _S3_SUBRESOURCES.items() if part in arguments), None)
    if not key:
        if "uploads" in arguments:
            return "ListMultipartUploads"
        if sub is None and method == "GET":
            return "ListObjectsV2" if arguments.get("list-type") == "2" else "ListObjects"
        if sub is None:
            return {"HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket", "POST": "DeleteObjects"}.get(method, method)
        sub = sub if sub not in ("Tagging", "Acl") else f"Bucket{sub}"
        return f"{ {'GET': 'Get', 'HEAD': 'Get', 'PUT': 'Put', 'DELETE': 'Delete'}.get(method, method) }{sub}"
    if sub is not None:
        return f"{ {'GET': 'Get', 'HEAD': 'Get', 'PUT': 'Put', 'DELETE': 'Delete'}.get(method, method) }Object{sub.removeprefix('Object')}"
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in arguments else "CompleteMultipartUpload"
    if "uploadId" in arguments:
        return {"PUT": "UploadPart", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}.get(method, method)
    if method == "PUT" and "x-amz-copy-source" in headers:
        return "CopyObject"
    return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}.get(method, method)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    code: str | None = None
