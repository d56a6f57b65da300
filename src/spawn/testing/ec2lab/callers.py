"""Who calls: the user whose keys the laboratory hands out, or a role by the credentials that its instances have."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.requests import Request
from spawn.testing.ec2lab.signatures import holds
from spawn.testing.ec2lab.stage import Stage

USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose keys a request is signed with."""

    name: str  #: `user`, or the name of a role
    arn: str
    role: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    role: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires: float


class Callers:
    """The key pairs that the laboratory knows."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._lock = threading.Lock()
        self.access_key = "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode()
        self.secret_key = secrets.token_urlsafe(30)
        self.signed_in = stage.plan.signed_in
        self._issued: dict[str, _Keys] = {}

    def user(self) -> Caller:
        """The user of the laboratory."""
        return Caller(name=USER, arn=f"arn:aws:iam::{self._stage.account}:user/laboratory", role=None)

    def issue(self, role: str) -> Mapping[str, str]:
        """New credentials of a role, as IMDS gives them."""
        access_key = "ASIA" + base64.b32encode(secrets.token_bytes(10)).decode()
        keys = _Keys(role=role, secret=secrets.token_urlsafe(30), token=secrets.token_urlsafe(60), expires=self._stage.now() + self._stage.plan.credentials_s)
        with self._lock:
            self._issued[access_key] = keys
        expiration = f"{datetime.fromtimestamp(keys.expires, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {"AccessKeyId": access_key, "SecretAccessKey": keys.secret, "Token": keys.token, "Expiration": expiration}

    def secret_of(self, access_key: str) -> str | None:
        """The secret of a key that is known."""
        if access_key == self.access_key:
            return self.secret_key
        keys = self._issued.get(access_key)
        return keys.secret if keys else None

    def who(self, request: Request) -> Caller:
        """Whose keys a request is signed with; Refused, in the service's words, when they are no good."""
        if request.scope is None and "AWSAccessKeyId" in request.arguments:
            raise Refused("InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
        if request.scope is None:
            raise Refused("AccessDenied", "Access Denied", 403)
        if request.region not in self._stage.plan.regions and request.service not in ("iam", "sts", "s3", "pricing"):
            raise _unknown(request.service)
        access_key = request.scope[0]
        secret = self.secret_of(access_key)
        if secret is not None and not holds(request, secret):
            raise _forged(request.service)
        if access_key == self.access_key:
            if self.signed_in == "valid":
                return self.user()
            raise _expired(request.service) if self.signed_in == "expired" else _unknown(request.service)
        keys = self._issued.get(access_key)
        token = request.headers.get("x-amz-security-token") or request.arguments.get("X-Amz-Security-Token")
        if keys is None or token != keys.token:
            raise _unknown(request.service)
        if keys.expires <= self._stage.now():
            raise _expired(request.service)
        return Caller(name=keys.role, arn=f"arn:aws:sts::{self._stage.account}:assumed-role/{keys.role}/instance", role=keys.role)


def _unknown(service: str) -> Refused:
    if service == "ec2":
        return Refused("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    if service == "s3":
        return Refused("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403)
    code = "InvalidClientTokenId" if service in ("iam", "sts", "sqs") else "UnrecognizedClientException"
    return Refused(code, "The security token included in the request is invalid.", 403)


def _forged(service: str) -> Refused:
    if service == "ec2":
        return Refused("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    code = "SignatureDoesNotMatch" if service in ("s3", "iam", "sts", "sqs") else "InvalidSignatureException"
    return Refused(
        code, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.", 403
    )


def _expired(service: str) -> Refused:
    if service == "ec2":
        return Refused("RequestExpired", "Request has expired.", 400)
    if service == "s3":
        return Refused("ExpiredToken", "The provided token has expired.", 400)
    code = "ExpiredToken" if service in ("iam", "sts") else "ExpiredTokenException"
    return Refused(code, "The security token included in the request is expired", 403)
