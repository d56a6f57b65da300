"""The few things an instance does with its bucket."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Callable, NamedTuple
from xml.etree import ElementTree

from spored.instance.service import Call, Denied, Service, ServiceError, host_of
from spored.instance.signing import encoded

PART_BYTES = 8 << 20
"""What is sent with one request; what is larger goes as a multipart upload of such parts."""
_MOST_PARTS = 10_000
LONGEST_KEY = 1024


class Stored(NamedTuple):
    """An object in a listing."""

    key: str
    size: int


class GaveUp(Exception):
    """There was no time left to send the rest; nothing of it is in the bucket."""


class UnreadableFile(Exception):
    """The disk does not give what it holds."""


def bucket_url(name: str, region: str, endpoint: str | None) -> str:
    """Where the objects of a bucket are: below an endpoint, or at AWS by the bucket's own host (by path where its dots do not fit the certificate)."""
    if endpoint is not None:
        return f"{endpoint}/{name}"
    host = host_of("s3", region)
    return f"https://{host}/{name}" if "." in name else f"https://{name}.{host}"


@dataclass(frozen=True)
class Bucket:
    """One bucket. May be used by several threads; every call raises Denied, ServiceError or Unreachable."""

    name: str
    url: str
    service: Service

    def _call(self, method: str, key: str, action: str, *, query: tuple[tuple[str, str], ...] = (), only_new: bool = False, body: bytes = b"") -> Call:
        headers = {"If-None-Match": "*"} if only_new else {}
        return Call(method, f"{self.url}/{encoded(key, safe='/')}", action, f"s3://{self.name}/{key}", query, headers, body)

    def get(self, key: str) -> bytes | None:
        """An object's bytes; None when there is none, or when this role may not know whether there is one."""
        try:
            answer = self.service.ask(self._call("GET", key, "s3:GetObject"), expected=(404,))
        except Denied as error:
            if error.code == "AccessDenied":
                return None
            raise
        if answer.status == 404:
            if b"NoSuchBucket" in answer.body:
                raise ServiceError("NoSuchBucket", f"the bucket {self.name} does not exist", 404)
            return None
        return answer.body

    def put(self, key: str, body: bytes, *, only_new: bool = False) -> bool:
        """Write an object. False, with `only_new`: there is one already, which stays as it is."""
        call = self._call("PUT", key, "s3:PutObject", only_new=only_new, body=body)
        return self.service.ask(call, expected=(412,) if only_new else ()).status != 412

    def put_stream(self, key: str, file: BinaryIO, size: int, is_late: Callable[[], bool]) -> None:
        """Write an object from a file that is about so large, a part at a time. GaveUp as soon as `is_late`."""
        length = max(PART_BYTES, -(-size // (_MOST_PARTS // 2)))
        first = _read(file, length)
        if len(first) < length:
            self.put(key, first)
            return
        started = self.service.ask(self._call("POST", key, "s3:PutObject", query=(("uploads", ""),)))
        upload = _text_of(started.body, "UploadId")
        try:
            self._put_parts(key, upload, first, lambda: _read(file, length), is_late)
        except BaseException:
            self._abort(key, upload)
            raise

    def _put_parts(self, key: str, upload: str, first: bytes, more: Callable[[], bytes], is_late: Callable[[], bool]) -> None:
        tags: list[str] = []
        piece = first
        while piece:
            if is_late():
                raise GaveUp
            query = (("partNumber", str(len(tags) + 1)), ("uploadId", upload))
            tags.append(self.service.ask(self._call("PUT", key, "s3:PutObject", query=query, body=piece)).headers.get("etag", ""))
            piece = more()
        listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, 1))
        body = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{listed}</CompleteMultipartUpload>'.encode()
        answer = self.service.ask(self._call("POST", key, "s3:PutObject", query=(("uploadId", upload),), body=body))
        # S3 may answer 200 before it knows how it ends.
        if b"<Error>" in answer.body:
            code = re.search(rb"<Code>([^<]*)", answer.body)
            word = code.group(1).decode("utf-8", "replace") if code is not None else "no code"
            raise ServiceError(word, f"s3:PutObject on s3://{self.name}/{key} failed ({word})", 500)

    def _abort(self, key: str, upload: str) -> None:
        try:
            self.service.ask(self._call("DELETE", key, "s3:AbortMultipartUpload", query=(("uploadId", upload),)), expected=(404,))
        except Exception:
            # What is left of it goes with the bucket's rule for unfinished uploads.
            return

    def list(self, prefix: str) -> Iterator[Stored]:
        """All objects below a prefix, in the order of their keys, however many pages they fill."""
        token: str | None = None
        while True:
            query = [("list-type", "2"), ("prefix", prefix)] + ([("continuation-token", token)] if token is not None else [])
            call = Call("GET", f"{self.url}/", "s3:ListBucket", f"s3://{self.name}/{prefix}", tuple(query))
            page = ElementTree.fromstring(self.service.ask(call).body)
            for entry in _children(page, "Contents"):
                yield Stored(_child_text(entry, "Key"), int(_child_text(entry, "Size")))
            token = _child_text(page, "NextContinuationToken") or None
            if token is None or _child_text(page, "IsTruncated") != "true":
                return


def _children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element if child.tag.rpartition("}")[2] == name]


def _child_text(element: ElementTree.Element, name: str) -> str:
    found = _children(element, name)
    return (found[0].text or "") if found else ""


def _text_of(body: bytes, name: str) -> str:
    return _child_text(ElementTree.fromstring(body), name)


def _read(file: BinaryIO, length: int) -> bytes:
    try:
        return file.read(length)
    except OSError as error:
        raise UnreadableFile from error


def is_key(path: bytes, prefix: str) -> bool:
    """Whether a file's path can be (the end of) an object's key."""
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return len(os.fsencode(prefix)) + len(path) <= LONGEST_KEY
