"""Clients of AWS for one access, and the one place where what botocore raises becomes what the domain knows."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.errors import ConfigurationError
from spawn.engine.fleets import Access
from spawn.providers.ec2.failures import Kind, classify, code_of, is_denial, translate
from spawn.providers.ec2.sessions import AccessSession

__all__ = ["Caller", "Clients", "Kind", "classify", "code_of", "is_denial", "translate"]

HOME_REGION: Final = "us-east-1"

_OF_AN_ACCOUNT: Final = re.compile(r"spawn-([0-9]{12})-")
_CONNECT_S: Final = 5
_READ_S: Final = 30
_CONNECTIONS: Final = 32
"""Requests that one client has under way at once; more wait for one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who an access is, in the words of STS."""

    account: str
    arn: str
    partition: str


class Clients:
    """Clients by service and region, made once each. Safe to use from any thread.

    They ask once: whoever calls decides what is asked again, and when. A request gets 5 s to connect and 30 s for each part of an answer.
    """

    def __init__(self, access: Access, *, on_made: Callable[[Any], None] | None = None) -> None:
        """`on_made` is called with each client when it is made."""
        self._on_made = on_made
        self._guard = threading.Lock()
        self._session = AccessSession(access)
        self._clients: dict[tuple[str, str], Any] = {}
        self._caller: Caller | None = None

    @property
    def region(self) -> str:
        """The region of the user's settings; ConfigurationError when they name none."""
        with self._guard:
            try:
                region: str | None = self._session.get_config_variable("region")
            except BotoCoreError as error:
                raise translate(error, action="read the AWS settings") from error
        if not region:
            raise ConfigurationError("no AWS region is set: name one with --region, AWS_REGION, or `aws configure set region`")
        return region

    def client(self, service: str, region: str | None = None) -> Any:
        """The client of a service in a region (None: the user's own). Raises ConfigurationError when there are no settings to make one from."""
        where = region or self.region
        with self._guard:
            made = self._clients.get((where, service))
            if made is None:
                made = self._clients[where, service] = self._made(service, where)
            return made

    def caller(self) -> Caller:
        """Whose access it is; asked of STS once. Raises what `translate` makes of a refusal."""
        if self._caller is None:
            try:
                answer = self.client("sts").get_caller_identity()
            except (BotoCoreError, ClientError) as error:
                raise translate(error, action="find out whose credentials these are") from error
            self._caller = Caller(account=answer["Account"], arn=answer["Arn"], partition=answer["Arn"].split(":")[1])
        return self._caller

    def endpoint(self, service: str) -> str | None:
        """Where the access asks for a service instead of AWS's own host; None: there."""
        with self._guard:
            try:
                return self._session.endpoint(service)
            except BotoCoreError as error:
                raise translate(error, action="read the AWS settings") from error

    def known_regions(self) -> frozenset[str]:
        """The regions of EC2 that this botocore knows, of all partitions."""
        with self._guard:
            partitions = self._session.get_available_partitions()
            return frozenset(region for partition in partitions for region in self._session.get_available_regions("ec2", partition_name=partition))

    def home_region(self) -> str:
        """The region of the user's settings when it is one that botocore knows, else us-east-1: one to ask which regions there are."""
        try:
            region = self.region
        except ConfigurationError:
            return HOME_REGION
        return region if region in self.known_regions() else HOME_REGION

    def _made(self, service: str, region: str) -> Any:
        try:
            style = "path" if self._session.endpoint(service) else "auto"
            config = Config(
                connect_timeout=_CONNECT_S,
                read_timeout=_READ_S,
                max_pool_connections=_CONNECTIONS,
                retries={"total_max_attempts": 1, "mode": "standard"},
                s3={"addressing_style": style},
                # without it URLs are presigned by version 2 in the oldest regions, which S3 does not take for new buckets
                signature_version="s3v4" if service == "s3" else None,
                user_agent_extra="spawn",
            )
            made = self._session.create_client(service, region_name=region, config=config)
            if service == "s3":
                made.meta.events.register("provide-client-params.s3", _expect_owner)
            if self._on_made is not None:
                self._on_made(made)
            return made
        except BotoCoreError as error:
            raise translate(error, action=f"reach {service} in {region}") from error


def _expect_owner(params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
    """Have S3 refuse a bucket that is named after an account and not that account's: names can be guessed, and whoever comes first has them.

    A presigned URL says nothing of it: whoever fetches it would have to send the header, too.
    """
    match = _OF_AN_ACCOUNT.match(str(params.get("Bucket", "")))
    if match is not None and not context.get("is_presign_request") and "ExpectedBucketOwner" in model.input_shape.members:
        params["ExpectedBucketOwner"] = match[1]
