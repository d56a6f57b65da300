"""SQS, by the laboratory's clock: standard queues, as the JSON protocol speaks of them."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any, Final

from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.requests import Answer, Request
from spawn.testing.ec2lab.stage import Stage

_JSON: Final = "application/x-amz-json-1.0"
_LOOK_S: Final = 0.05
_DEFAULTS: Final = {
    "VisibilityTimeout": "30",
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
}
OLDER_NAMES: Final = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
}
_MOST_AT_ONCE: Final = 10
_LONGEST_HIDDEN: Final = 43200
_NAME_FREE_AFTER_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class _Message:
    id: str
    body: str
    sent_at: float
    seen_from: float
    receipt: str = ""
    received: int = 0
    first_received_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class _Queue:
    name: str
    region: str
    attributes: dict[str, str]
    created_at: float
    tags: dict[str, str]
    messages: dict[str, _Message] = field(default_factory=dict)
    twice: bool = False  #: the messages that are handed out next stay visible


class Queues:
    """Every queue of the account. A message that was received is hidden until its visibility timeout; order is not kept.

    The name of a queue that was deleted is not given again within 60 s.
    """

    def __init__(self, stage: Stage, url: Callable[[], str], sleep: Callable[[float], object]) -> None:
        self._stage = stage
        self._url = url
        self._sleep = sleep
        self._lock = threading.Lock()
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._deleted_at: dict[tuple[str, str], float] = {}
        self._actions: dict[str, Callable[[_Queue, Mapping[str, Any]], dict[str, Any]]] = {
            "DeleteQueue": self._delete_queue,
            "GetQueueAttributes": self._attributes,
            "SetQueueAttributes": self._set_attributes,
            "PurgeQueue": self._purge,
            "TagQueue": self._tag,
            "UntagQueue": self._untag,
            "ListQueueTags": lambda queue, _: {"Tags": queue.tags},
            "SendMessage": self._send,
            "DeleteMessage": self._delete,
            "ChangeMessageVisibility": self._hide,
            "SendMessageBatch": lambda queue, asked: self._each(queue, asked, self._send),
            "DeleteMessageBatch": lambda queue, asked: self._each(queue, asked, self._delete),
            "ChangeMessageVisibilityBatch": lambda queue, asked: self._each(queue, asked, self._hide),
        }

    def answer(self, request: Request) -> Answer:
        """The answer to a request; Refused when it is no."""
        if "x-amz-target" not in request.headers:
            raise Refused("UnsupportedOperation", "The laboratory's SQS speaks JSON: send X-Amz-Target: AmazonSQS.ACTION.")
        members = self._ask(request.action, request.region, request.json)
        return Answer(headers=(("Content-Type", _JSON),), body=json.dumps(members).encode())

    def duplicate(self, request: Request) -> None:
        """Let the messages that this call receives stay visible, as SQS does once in a while."""
        with self._lock:
            queue = self._queues.get((request.region, str(request.json.get("QueueUrl", "")).rpartition("/")[2]))
            if queue is not None:
                queue.twice = True

    def _ask(self, action: str, region: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        if action == "ReceiveMessage":
            return self._wait(region, asked)
        with self._lock:
            if action == "CreateQueue":
                return self._create(region, asked)
            if action == "ListQueues":
                names = sorted(name for where, name in self._queues if where == region and name.startswith(asked.get("QueueNamePrefix", "")))
                return {"QueueUrls": [self._address(name) for name in names]} if names else {}
            queue = self._found(region, str(asked.get("QueueUrl") or asked.get("QueueName") or ""))
            if action == "GetQueueUrl":
                return {"QueueUrl": self._address(queue.name)}
            if action not in self._actions:
                raise Refused("UnsupportedOperation", f"The laboratory does not know {action}.")
            return self._actions[action](queue, asked)

    def _address(self, name: str) -> str:
        return f"{self._url()}/{self._stage.account}/{name}"

    def _found(self, region: str, url: str) -> _Queue:
        queue = self._queues.get((region, url.rpartition("/")[2]))
        if queue is None:
            raise Refused("com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.")
        return queue

    # --- queues ---------------------------------------------------------------------------------------------------------

    def _create(self, region: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        name, attributes = str(asked.get("QueueName", "")), _DEFAULTS | asked.get("Attributes", {})
        if not 1 <= len(name) <= 80 or not name.replace("-", "").replace("_", "").isalnum():
            raise Refused("InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
        deleted_at = self._deleted_at.get((region, name))
        if deleted_at is not None and self._stage.now() < deleted_at + _NAME_FREE_AFTER_S:
            problem = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
            raise Refused("com.amazonaws.sqs#QueueDeletedRecently", problem)
        known = self._queues.setdefault(
            (region, name), _Queue(name=name, region=region, attributes=attributes, created_at=self._stage.now(), tags=dict(asked.get("tags", {})))
        )
        if known.attributes != attributes:
            raise Refused("com.amazonaws.sqs#QueueNameExists", "A queue already exists with the same name and a different value for an attribute.")
        return {"QueueUrl": self._address(name)}

    def _delete_queue(self, queue: _Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        del self._queues[queue.region, queue.name]
        self._deleted_at[queue.region, queue.name] = self._stage.now()
        return {}

    def _attributes(self, queue: _Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        now = self._stage.now()
        hidden = [message for message in queue.messages.values() if message.seen_from > now]
        known = queue.attributes | {
            "QueueArn": f"arn:aws:sqs:{queue.region}:{self._stage.account}:{queue.name}",
            "ApproximateNumberOfMessages": str(len(queue.messages) - len(hidden)),
            "ApproximateNumberOfMessagesNotVisible": str(sum(1 for message in hidden if message.received)),
            "ApproximateNumberOfMessagesDelayed": str(sum(1 for message in hidden if not message.received)),
            "CreatedTimestamp": str(int(queue.created_at)),
        }
        wanted = asked.get("AttributeNames", ())
        return {"Attributes": {name: value for name, value in known.items() if name in wanted or "All" in wanted}}

    def _set_attributes(self, queue: _Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        queue.attributes = queue.attributes | asked.get("Attributes", {})
        return {}

    def _tag(self, queue: _Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        queue.tags = queue.tags | asked.get("Tags", {})
        return {}

    def _untag(self, queue: _Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        queue.tags = {key: value for key, value in queue.tags.items() if key not in asked.get("TagKeys", ())}
        return {}

    def _purge(self, queue: _Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        queue.messages.clear()
        return {}

    # --- messages -------------------------------------------------------------------------------------------------------

    def _send(self, queue: _Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        body, now = str(asked.get("MessageBody", "")), self._stage.now()
        if not body:
            raise Refused("MissingParameter", "The request must contain the parameter MessageBody.")
        delay = float(asked.get("DelaySeconds", queue.attributes["DelaySeconds"]))
        message = _Message(id=secrets.token_hex(16), body=body, sent_at=now, seen_from=now + delay)
        queue.messages[message.id] = message
        return {"MessageId": message.id, "MD5OfMessageBody": _digest(body)}

    def _wait(self, region: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        waited = 0.0
        while True:
            with self._lock:
                queue = self._found(region, str(asked.get("QueueUrl", "")))
                found = self._receive(queue, asked)
                longest = float(asked.get("WaitTimeSeconds", queue.attributes["ReceiveMessageWaitTimeSeconds"]))
            if found or waited >= longest or not self._sleep(_LOOK_S):
                return {"Messages": found} if found else {}
            waited += _LOOK_S

    def _receive(self, queue: _Queue, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        most = int(asked.get("MaxNumberOfMessages", 1))
        if not 1 <= most <= _MOST_AT_ONCE:
            raise Refused("InvalidParameterValue", f"Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.")
        now, hidden = self._stage.now(), float(asked.get("VisibilityTimeout", queue.attributes["VisibilityTimeout"]))
        found = [message for message in queue.messages.values() if message.seen_from <= now][:most]
        for message in found:
            message.received += 1
            message.first_received_at = message.first_received_at or now
            message.receipt = f"{message.id}.{secrets.token_hex(8)}"
            message.seen_from = now + hidden
            if queue.twice:
                message.seen_from = now
        queue.twice = queue.twice and not found
        return [self._shown(message, asked) for message in found]

    def _shown(self, message: _Message, asked: Mapping[str, Any]) -> dict[str, Any]:
        wanted = [*asked.get("AttributeNames", ()), *asked.get("MessageSystemAttributeNames", ())]
        known = {
            "SentTimestamp": str(int(message.sent_at * 1000)),
            "ApproximateReceiveCount": str(message.received),
            "ApproximateFirstReceiveTimestamp": str(int(message.first_received_at * 1000)),
        }
        attributes = {name: value for name, value in known.items() if name in wanted or "All" in wanted}
        shown = {"MessageId": message.id, "ReceiptHandle": message.receipt, "Body": message.body, "MD5OfBody": _digest(message.body)}
        return shown | ({"Attributes": attributes} if attributes else {})

    def _delete(self, queue: _Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        message = queue.messages.get(self._id_of(asked))
        # a receipt of an earlier time may or may not delete; SQS says yes in any case
        if message is not None and message.receipt == asked["ReceiptHandle"]:
            del queue.messages[message.id]
        return {}

    def _hide(self, queue: _Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        message, seconds, now = queue.messages.get(self._id_of(asked)), float(asked.get("VisibilityTimeout", -1)), self._stage.now()
        if not 0 <= seconds <= _LONGEST_HIDDEN:
            raise Refused("InvalidParameterValue", f"Value {seconds:g} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200.")
        if message is None or message.seen_from <= now or message.receipt != asked["ReceiptHandle"]:
            raise Refused("com.amazonaws.sqs#MessageNotInflight", "The message referred to isn't in flight.")
        message.seen_from = now + seconds
        return {}

    def _id_of(self, asked: Mapping[str, Any]) -> str:
        receipt = str(asked.get("ReceiptHandle", ""))
        if "." not in receipt:
            raise Refused("ReceiptHandleIsInvalid", f'The input receipt handle "{receipt}" is not a valid receipt handle.')
        return receipt.partition(".")[0]

    def _each(self, queue: _Queue, asked: Mapping[str, Any], act: Callable[[_Queue, Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        entries = asked.get("Entries", ())
        if not 1 <= len(entries) <= _MOST_AT_ONCE:
            code = "EmptyBatchRequest" if not entries else "TooManyEntriesInBatchRequest"
            raise Refused(f"com.amazonaws.sqs#{code}", "A batch has 1 to 10 entries.")
        done, failed = list[dict[str, Any]](), list[dict[str, Any]]()
        for entry in entries:
            try:
                done.append({"Id": entry["Id"]} | act(queue, entry))
            except Refused as refused:
                failed.append({"Id": entry["Id"], "SenderFault": True, "Code": refused.code.rpartition("#")[2], "Message": refused.message})
        return {"Successful": done, "Failed": failed}


def _digest(body: str) -> str:
    return md5(body.encode(), usedforsecurity=False).hexdigest()
