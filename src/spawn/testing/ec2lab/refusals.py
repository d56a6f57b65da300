"""What AWS answers when it does not do what was asked, in each service's own form."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape


class Refused(Exception):
    """AWS says no: an error code, a message and a status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Dropped(Exception):
    """The connection ends without an answer."""


def ec2_error(refused: Refused, request_id: str) -> bytes:
    """As EC2 writes it."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{escape(refused.code)}</Code><Message>{escape(refused.message)}</Message>'
        f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    ).encode()


def s3_error(refused: Refused, request_id: str) -> bytes:
    """As S3 writes it."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(refused.code)}</Code><Message>{escape(refused.message)}</Message>'
        f"<RequestId>{request_id}</RequestId></Error>"
    ).encode()


def query_error(refused: Refused, request_id: str) -> bytes:
    """As IAM and STS write it."""
    kind = "Sender" if refused.status < 500 else "Receiver"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(refused.code)}</Code>'
        f"<Message>{escape(refused.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def json_error(refused: Refused) -> bytes:
    """As the services that speak JSON write it."""
    return json.dumps({"__type": refused.code, "message": refused.message}).encode()
