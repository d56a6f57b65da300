"""The queue from which instances of a pool take attempts: SQS, in its JSON protocol."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from spored.instance.service import Call, Service, ServiceError, host_of

WAIT_S = 5
VISIBILITY_S = 60
_MOST = 10
_GONE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "com.amazonaws.sqs#QueueDoesNotExist"})
_STALE = frozenset({"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"})


class Message(NamedTuple):
    """One message, ours for a minute."""

    receipt: str
    body: str


def queue_region(url: str, region: str) -> str:
    """The region of a queue, which its host names at AWS; `region` elsewhere."""
    labels = (urlsplit(url).hostname or "").split(".")
    return labels[1] if len(labels) > 3 and labels[0] == "sqs" and "amazonaws" in labels else region


def queue_endpoint(region: str, endpoint: str | None) -> str:
    """Where SQS is asked."""
    return endpoint if endpoint is not None else f"https://{host_of('sqs', region)}"


@dataclass(frozen=True)
class Queue:
    """One queue. Every call raises Denied, ServiceError or Unreachable; a queue that was removed gives nothing."""

    url: str
    endpoint: str
    service: Service

    def _ask(self, operation: str, members: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"QueueUrl": self.url, **members}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}"}
        answer = self.service.ask(Call("POST", f"{self.endpoint}/", f"sqs:{operation}", self.url, (), headers, body))
        found = json.loads(answer.body or b"{}")
        return found if isinstance(found, dict) else {}

    def receive(self, most: int) -> list[Message]:
        """Up to ten messages, waiting up to 5 s for the first."""
        members = {"MaxNumberOfMessages": min(most, _MOST), "WaitTimeSeconds": WAIT_S, "VisibilityTimeout": VISIBILITY_S}
        try:
            found = self._ask("ReceiveMessage", members).get("Messages") or []
        except ServiceError as error:
            if error.code in _GONE:
                return []
            raise
        return [Message(str(message["ReceiptHandle"]), str(message["Body"])) for message in found]

    def delete(self, receipt: str) -> None:
        """The message is done with. One that is gone: nothing."""
        self._quietly("DeleteMessage", {"ReceiptHandle": receipt})

    def hold(self, receipt: str) -> None:
        """Keep the message to ourselves for another minute. One that is gone: nothing."""
        self._quietly("ChangeMessageVisibility", {"ReceiptHandle": receipt, "VisibilityTimeout": VISIBILITY_S})

    def _quietly(self, operation: str, members: dict[str, Any]) -> None:
        try:
            self._ask(operation, members)
        except ServiceError as error:
            if error.code not in _GONE | _STALE:
                raise
