"""Signed calls of an AWS service: tried again when it is busy, and refusals told as what they are."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable, NamedTuple, Protocol

from spored.instance.pauses import Pauses
from spored.instance.signing import Credentials, Query, Request, Scope, full_url, signed
from spored.instance.web import Answer, Unreachable, Web

_TRIES = 3
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidAccessKeyId", "RequestExpired", "InvalidClientTokenId", "AuthFailure"})
"""Newer credentials may be taken where these were not; a role that has just been made is unknown for some seconds."""
_BUSY = frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestThrottled", "RequestLimitExceeded", "ServiceUnavailable", "OperationAborted"})


class ServiceError(Exception):
    """The service answered that it will not."""

    def __init__(self, code: str, text: str, status: int) -> None:
        super().__init__(text)
        self.code = code
        self.status = status


class Denied(ServiceError):
    """This instance's role may not do that."""


class Holder(Protocol):
    """Who has credentials."""

    def get(self) -> Credentials:
        """What to sign with now."""

    def refused(self, credentials: Credentials) -> None:
        """These are taken no more."""


class Call(NamedTuple):
    """One call; `action` is its name in policies, `target` what it is about: both are for people."""

    method: str
    url: str
    action: str
    target: str
    query: Query = ()
    headers: Mapping[str, str] = {}
    body: bytes = b""


@dataclass(frozen=True)
class Service:
    """One service in one region. May be used by several threads."""

    scope: Scope
    credentials: Holder = field(repr=False)
    web: Web = field(repr=False)
    clock: Callable[[], float]
    random: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep

    def ask(self, call: Call, *, expected: tuple[int, ...] = ()) -> Answer:
        """The answer to a call, if it is a success or one of the `expected` statuses. Denied, ServiceError or Unreachable else, after three tries."""
        pauses = Pauses(self.random, first_s=0.2, longest_s=2.0)
        problem: Exception = Unreachable("nobody was asked")
        for tried in range(1, _TRIES + 1):
            used = self.credentials.get()
            request = Request(call.method, call.url, call.query, call.headers, call.body)
            try:
                answer = self.web.ask(call.method, full_url(request), signed(request, used, self.scope, self.clock()), call.body)
            except Unreachable as error:
                problem = error
            else:
                if answer.status < 300 or answer.status in expected:
                    return answer
                problem = refusal = _error_of(answer, call)
                if refusal.code in _EXPIRED:
                    self.credentials.refused(used)
                elif answer.status < 500 and refusal.code not in _BUSY and answer.status != 429:
                    raise refusal
            if tried < _TRIES:
                self.sleep(pauses.next())
        raise problem


_CODE = re.compile(rb"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,500})</Message>")
_TYPE = re.compile(rb'"__type"\s*:\s*"(?:[^"#]*#)?([^"]{1,100})"')


def _error_of(answer: Answer, call: Call) -> ServiceError:
    """What went wrong, in XML or JSON; the text names the action and what it was about."""
    code = message = ""
    for pattern in (_CODE, _TYPE):
        found = pattern.search(answer.body)
        if found is not None:
            code = found.group(1).decode("utf-8", "replace")
            break
    found = _MESSAGE.search(answer.body)
    if found is not None:
        message = f": {found.group(1).decode('utf-8', 'replace')}"
    if answer.status in (401, 403) and code != "RequestTimeTooSkewed":
        return Denied(code or str(answer.status), f"{call.action} on {call.target} is not allowed ({code or answer.status})", answer.status)
    return ServiceError(code or str(answer.status), f"{call.action} on {call.target} failed ({code or answer.status}{message[:200]})", answer.status)


def host_of(service: str, region: str) -> str:
    """AWS's own host of a service."""
    return f"{service}.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
