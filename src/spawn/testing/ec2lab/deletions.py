"""DeleteObjects without permission: S3 answers 200, and says of each key that it was not deleted."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.requests import Answer

_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"


def first_to_delete(asked: bytes) -> str:
    """The first key of a DeleteObjects call: here a call is about objects of one array, which all may be deleted or none."""
    return _keys(asked)[0]


def not_deleted(asked: bytes, refused: Refused) -> Answer:
    """The answer of S3 when none of the keys may be deleted."""
    errors = "".join(
        f"<Error><Key>{escape(key)}</Key><Code>{escape(refused.code)}</Code><Message>{escape(refused.message)}</Message></Error>" for key in _keys(asked)
    )
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="{_NAMESPACE}">{errors}</DeleteResult>'
    return Answer(headers=(("Content-Type", "application/xml"),), body=body.encode())


def _keys(asked: bytes) -> list[str]:
    found = [element.text or "" for element in ElementTree.fromstring(asked).iter() if element.tag.rpartition("}")[2] == "Key"]
    if not found:
        raise Refused("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
    return found
