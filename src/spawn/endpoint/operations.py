"""What answers at the endpoint, imported when the first call comes: the service models are large, and most engines never need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from spawn.api.aws.callers import Caller, Handler
from spawn.api.aws.doors import Door
from spawn.api.aws.failures import AwsError
from spawn.domain.errors import NotFound, SpawnError, UsageError
from spawn.domain.jobs import Job
from spawn.endpoint.browsers import NoBrowsers

if TYPE_CHECKING:
    from spawn.api.aws.app import AwsApp


class Operations:
    """The operations of both services, on one engine."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def app(self, secrets: Callable[[], Mapping[str, str]] | None) -> AwsApp | NoBrowsers:
        """The application that answers. `secrets` says at every request which pairs are accepted besides the user's own; None: nothing is verified."""
        from spawn.api.aws.app import aws_app
        from spawn.api.aws.credentials import KeyRing

        class Ring(KeyRing):
            """The pairs that the endpoint accepts now, and those in the user's files."""

            def secret_of(self, access_key: str) -> str | None:
                """The secret of an access key, None when it is not accepted."""
                assert secrets is not None
                return secrets().get(access_key) or super().secret_of(access_key)

        clock = self._door.clock
        if secrets is None:
            return NoBrowsers(aws_app(batch=self._batch, logs=self._logs, keys=None, clock=clock))
        return aws_app(batch=self._batch, logs=self._logs, keys=Ring({}, clock=clock), clock=clock)

    def batch(self, operation: str, document: object) -> bytes:
        """The answer of an operation of AWS Batch to the engine's own user, as JSON; its refusal as the SpawnError that it comes from."""
        from spawn.api.aws.invoking import invoke
        from spawn.api.aws.writing import written

        try:
            return written(invoke("batch", operation, document, Caller(request_id=str(uuid4())), self._batch))
        except AwsError as error:
            raise _as_ours(error) from error

    def documents(self, documents: Sequence[Mapping[str, Any]], *, parameters: Mapping[str, str], dry_run: bool) -> tuple[Sequence[Job], Sequence[str]]:
        """Take job files, all of them or none."""
        from spawn.api.aws.batch.documents import submit_documents

        return submit_documents(self._door, documents, parameters=parameters, dry_run=dry_run)

    @cached_property
    def _batch(self) -> Mapping[str, Handler]:
        from spawn.api.aws.batch.operations import operations

        return operations(self._door)

    @cached_property
    def _logs(self) -> Mapping[str, Handler]:
        from spawn.api.aws.logs.operations import operations

        return operations(self._door)


def _as_ours(error: AwsError) -> SpawnError:
    """The failure of ours that an AwsError was made from, else the nearest, with its message."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SpawnError):
            return cause
        cause = cause.__cause__
    if error.status == 404:
        return NotFound(error.message)
    return SpawnError(error.message) if error.status >= 500 else UsageError(error.message)
