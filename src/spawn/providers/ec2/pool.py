"""The queue from which the instances of an array take attempts, one message each."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from spawn.providers.ec2.clients import Kind, code_of
from spawn.providers.ec2.ledger import FREE, QUEUED, WANTED
from spawn.providers.ec2.tags import ARRAY, KEY
from spawn.providers.ec2.turn import Array, Refusal, Turn, chunks

VISIBILITY_S: Final = 60
"""How long a message that was received is hidden from others, unless its instance extends that."""

_RETENTION_S: Final = 14 * 24 * 3600
_A_CALL: Final = 10
_MISSING: Final = frozenset(["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"])


def make_queue(turn: Turn, array: Array) -> str:
    """Make the array's queue; its URL. Again: the same. Raises what botocore raises."""
    attributes = {"VisibilityTimeout": str(VISIBILITY_S), "MessageRetentionPeriod": str(_RETENTION_S)}
    answer = _sqs(turn, array).create_queue(QueueName=_name(array), Attributes=attributes, tags={ARRAY: array.job.id, KEY: array.key})
    url: str = answer["QueueUrl"]
    return url


def _name(array: Array) -> str:
    return f"spawn-{array.key}"


def delete_queue(turn: Turn, array: Array) -> None:
    """Delete the array's queue, also one that was made without anybody hearing of it. Again: nothing. Raises what botocore raises."""
    sqs = _sqs(turn, array)
    try:
        sqs.delete_queue(QueueUrl=array.queue or sqs.get_queue_url(QueueName=_name(array))["QueueUrl"])
    except ClientError as error:
        if code_of(error) not in _MISSING:
            raise


def fill_queues(turn: Turn, arrays: list[Array]) -> None:
    """Put every attempt that waits into its array's queue. One that is put there twice is claimed once."""
    for array in arrays:
        if array.queue is None or not array.prepared or turn.held(("queue", array.key)) or turn.held(turn.access_subject(array)):
            continue
        waiting = f"SELECT position, attempt FROM attempt WHERE key = ? AND state = ? AND stopping IS NULL AND {FREE} ORDER BY position"
        rows = turn.ledger.rows(waiting, array.key, WANTED)
        batches = [[(row["position"], row["attempt"]) for row in group] for group in chunks(rows, _A_CALL)]
        answers = turn.crew.all([partial(_send, turn, array, batch) for batch in batches])
        for answer in answers:
            if isinstance(answer, Exception):
                _refused(turn, array, answer)
            else:
                sent = [(QUEUED, array.key, position, attempt, WANTED) for position, attempt in answer]
                turn.ledger.write_many("UPDATE attempt SET state = ? WHERE key = ? AND position = ? AND attempt = ? AND state = ?", sent)


def _send(turn: Turn, array: Array, attempts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of these attempts that the queue took."""
    entries = [
        {"Id": str(place), "MessageBody": json.dumps({"position": position, "index": array.job.index_at(position), "attempt": attempt})}
        for place, (position, attempt) in enumerate(attempts)
    ]
    answer = _sqs(turn, array).send_message_batch(QueueUrl=array.queue, Entries=entries)
    return [attempts[int(entry["Id"])] for entry in answer.get("Successful", ())]


def _refused(turn: Turn, array: Array, error: Exception) -> None:
    refusal = Refusal.of(error, f"put attempts into the queue {_name(array)}")
    if refusal.kind is Kind.EXPIRED:
        turn.hold_access(array, refusal)
    elif isinstance(error, (BotoCoreError, ClientError)) and code_of(error) in _MISSING:
        # gone with an earlier end of the array: it is made anew
        turn.ledger.write("UPDATE array SET queue = NULL, prepared = '{}' WHERE key = ?", array.key)
        turn.wake_at(turn.now)
    else:
        hold = turn.hold(("queue", array.key), refusal.sentence)
        turn.say(array.key, hold.why, 1)


def _sqs(turn: Turn, array: Array) -> Any:
    return turn.clients(array).client("sqs", array.fleet.bucket_region)
