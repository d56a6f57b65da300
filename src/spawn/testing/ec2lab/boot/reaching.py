"""How acted machines reach S3, SQS and EC2: as instances do, with their role's credentials, or straight into moto's memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from spawn.testing.ec2lab.machines import Hypervisor, Machine

_EXISTS = {"PreconditionFailed", "ConditionalRequestConflict", "412"}
_MISSING = {"NoSuchKey", "404"}
_TIMEOUT_S = 30


@cache
def _loader() -> Any:
    """What reads the descriptions of services: reading them takes a third of a second, once for all machines and laboratories."""
    from botocore.loaders import create_loader

    return create_loader()


class Unreachable(Exception):
    """The service did not do it, and may do it later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of a queue."""

    body: dict[str, int]
    receipt: str


class Services(Protocol):
    """What acted machines need of AWS. Each method raises Unreachable when that could not be done."""

    def put(self, machine: Machine, bucket: str, key: str, body: bytes, *, only_new: bool = False) -> bool:
        """Write an object. False: there is one, and only a new one was wanted."""

    def get(self, machine: Machine, bucket: str, key: str) -> bytes | None:
        """Read an object; None: there is none."""

    def receive(self, machine: Machine, queue: str, count: int) -> list[Message]:
        """Take messages, at most ten."""

    def keep(self, machine: Machine, queue: str, receipt: str) -> None:
        """Hide a message from others for another minute."""

    def delete(self, machine: Machine, queue: str, receipt: str) -> None:
        """Remove a message."""

    def stop_instance(self, machine: Machine, *, hibernate: bool) -> None:
        """Stop this instance by EC2's API."""


class Signed:
    """By HTTP, through the laboratory's door: it counts, refuses and loses these calls as any others."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self._clients: dict[tuple[str, str, str], Any] = {}

    def _client(self, machine: Machine, service: str) -> Any:
        if machine.role is None:
            raise Unreachable(f"{machine.instance_id} has no role, so it has no credentials")
        name = (machine.role, machine.region, service)
        if name not in self._clients:
            from botocore.config import Config
            from botocore.session import Session

            try:
                given = self._hypervisor.credentials(machine.role)
            except KeyError:
                raise Unreachable(f"there is no role {machine.role}") from None
            session = Session()
            session.register_component("data_loader", _loader())
            session.set_credentials(given["AccessKeyId"], given["SecretAccessKey"], given["Token"])
            settings = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=_TIMEOUT_S)
            made = session.create_client(service, region_name=machine.region, endpoint_url=self._hypervisor.endpoint, config=settings)
            self._clients[name] = made
        return self._clients[name]

    def _ask(self, machine: Machine, service: str, action: str, **words: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client(machine, service), action)(**words)
        except BotoCoreError as error:
            raise Unreachable(f"{service}: {error}") from error
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _EXISTS or code in _MISSING:
                return None
            if code in {"ExpiredToken", "InvalidAccessKeyId", "InvalidClientTokenId", "RequestExpired"}:
                self._clients.clear()  # the next try has new credentials
            raise Unreachable(f"{service}: {action}: {code}") from error

    def put(self, machine: Machine, bucket: str, key: str, body: bytes, *, only_new: bool = False) -> bool:
        """Write an object. False: there is one, and only a new one was wanted."""
        condition = {"IfNoneMatch": "*"} if only_new else {}
        return self._ask(machine, "s3", "put_object", Bucket=bucket, Key=key, Body=body, **condition) is not None

    def get(self, machine: Machine, bucket: str, key: str) -> bytes | None:
        """Read an object; None: there is none."""
        answer = self._ask(machine, "s3", "get_object", Bucket=bucket, Key=key)
        return None if answer is None else bytes(answer["Body"].read())

    def receive(self, machine: Machine, queue: str, count: int) -> list[Message]:
        """Take messages, at most ten."""
        answer = self._ask(machine, "sqs", "receive_message", QueueUrl=queue, MaxNumberOfMessages=min(10, count), VisibilityTimeout=60)
        return [Message(body=json.loads(one["Body"]), receipt=one["ReceiptHandle"]) for one in (answer or {}).get("Messages", ())]

    def keep(self, machine: Machine, queue: str, receipt: str) -> None:
        """Hide a message from others for another minute."""
        self._ask(machine, "sqs", "change_message_visibility", QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=60)

    def delete(self, machine: Machine, queue: str, receipt: str) -> None:
        """Remove a message."""
        self._ask(machine, "sqs", "delete_message", QueueUrl=queue, ReceiptHandle=receipt)

    def stop_instance(self, machine: Machine, *, hibernate: bool) -> None:
        """Stop this instance by EC2's API."""
        self._ask(machine, "ec2", "stop_instances", InstanceIds=[machine.instance_id], Hibernate=hibernate)


class Direct(Signed):
    """Objects straight into the memory of a moto in this process, sixty times as fast; S3's faults of the laboratory do not meet them.

    `lock` is what keeps moto's other callers away meanwhile.
    """

    def __init__(self, hypervisor: Hypervisor, *, account: str, lock: Any) -> None:
        super().__init__(hypervisor)
        self._account = account
        self._lock = lock
        self._s3: Any = None

    def _objects(self) -> Any:
        if self._s3 is None:
            from moto.backends import get_backend

            self._s3 = get_backend("s3")[self._account]["aws"]
        return self._s3

    def put(self, machine: Machine, bucket: str, key: str, body: bytes, *, only_new: bool = False) -> bool:
        """Write an object. False: there is one, and only a new one was wanted."""
        with self._lock:
            objects = self._objects()
            if bucket not in objects.buckets:
                raise Unreachable(f"s3: there is no bucket {bucket}")
            if only_new and objects.get_object(bucket, key) is not None:
                return False
            objects.put_object(bucket, key, body)
        return True

    def get(self, machine: Machine, bucket: str, key: str) -> bytes | None:
        """Read an object; None: there is none."""
        with self._lock:
            objects = self._objects()
            found = objects.get_object(bucket, key) if bucket in objects.buckets else None
            return None if found is None else bytes(found.value)
