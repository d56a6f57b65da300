"""ListObjectsV2, answered from moto's table: moto itself goes through all keys of a bucket, slowly, for each page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.requests import Answer

_MOST: Final = 1000
_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"


def list_objects(bucket: str, keys: Mapping[str, Any], asked: Mapping[str, str]) -> Answer:
    """A page of a bucket's keys, in the order of their bytes. `keys`: moto's objects by key."""
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
    size = min(_MOST, _number(asked.get("max-keys", str(_MOST))))
    after = _after(asked)
    names = sorted((key for key in keys if key.startswith(prefix) and key > after), key=str.encode)
    chosen, folders, last, more = _page(names, prefix, delimiter, size, after)
    encode = (lambda text: quote(text, safe="/-_.~*")) if asked.get("encoding-type") == "url" else escape
    lines = [f"<Name>{bucket}</Name><Prefix>{encode(prefix)}</Prefix><MaxKeys>{size}</MaxKeys><KeyCount>{len(chosen) + len(folders)}</KeyCount>"]
    lines.append(f"<IsTruncated>{str(more).lower()}</IsTruncated>")
    if delimiter:
        lines.append(f"<Delimiter>{encode(delimiter)}</Delimiter>")
    if asked.get("encoding-type") == "url":
        lines.append("<EncodingType>url</EncodingType>")
    if "continuation-token" in asked:
        lines.append(f"<ContinuationToken>{escape(asked['continuation-token'])}</ContinuationToken>")
    if "start-after" in asked:
        lines.append(f"<StartAfter>{encode(asked['start-after'])}</StartAfter>")
    if more:
        lines.append(f"<NextContinuationToken>{base64.b64encode(last.encode()).decode()}</NextContinuationToken>")
    lines += [_contents(encode(key), keys[key]) for key in chosen]
    lines += [f"<CommonPrefixes><Prefix>{encode(folder)}</Prefix></CommonPrefixes>" for folder in folders]
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{_NAMESPACE}">{"".join(lines)}</ListBucketResult>'
    return Answer(headers=(("Content-Type", "application/xml"),), body=body.encode())


def _page(names: Iterable[str], prefix: str, delimiter: str, size: int, after: str) -> tuple[list[str], list[str], str, bool]:
    """Keys, folders, the last name that was looked at, and whether there are more."""
    chosen, folders, last = list[str](), list[str](), after
    for name in names:
        folder = _folder(name, prefix, delimiter)
        if folder is not None and (folders[-1:] == [folder] or folder == after):
            continue
        if len(chosen) + len(folders) == size:
            return chosen, folders, last, True
        if folder is None:
            chosen.append(name)
        else:
            folders.append(folder)
        last = folder or name
    return chosen, folders, last, False


def _folder(name: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter:
        return None
    head, found, _ = name[len(prefix) :].partition(delimiter)
    return prefix + head + delimiter if found else None


def _contents(shown: str, one: Any) -> str:
    stamp = f"{one.last_modified:%Y-%m-%dT%H:%M:%S}.000Z"
    return (
        f"<Contents><Key>{shown}</Key><LastModified>{stamp}</LastModified><ETag>{escape(one.etag)}</ETag><Size>{one.size}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def _number(text: str) -> int:
    if not text.isdigit():
        raise Refused("InvalidArgument", "Provided max-keys not an integer or within integer range")
    return int(text)


def _after(asked: Mapping[str, str]) -> str:
    token = asked.get("continuation-token")
    if token is None:
        return asked.get("start-after", "")
    try:
        return base64.b64decode(token, validate=True).decode()
    except ValueError:
        raise Refused("InvalidArgument", "The continuation token provided is incorrect") from None
