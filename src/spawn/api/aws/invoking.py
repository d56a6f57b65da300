"""One operation run: found, checked, handled; whatever goes wrong leaves as an AwsError."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any, Final

from spawn.api.aws.callers import Caller, Handler
from spawn.api.aws.checking import shown
from spawn.api.aws.failures import AwsError
from spawn.api.aws.model import BATCH, LOGS, Operation, service_api
from spawn.domain.errors import Conflict, IllegalMove, NotFound, SpawnError, Unavailable, UsageError

_log = logging.getLogger(__name__)

_EXECUTING: Final = "Error executing request, Exception : "
_INTERNAL: Final = "internal error"
_UNAVAILABLE_CODE: Final = {BATCH: "ClientException", LOGS: "InvalidOperationException"}
_BROKEN: Final = {BATCH: "ServerException", LOGS: "ServiceUnavailableException"}
_CODES: Final[Mapping[str, tuple[tuple[type[SpawnError], str], ...]]] = {
    BATCH: ((UsageError, "ClientException"), (NotFound, "ClientException"), (Conflict, "ClientException")),
    LOGS: ((UsageError, "InvalidParameterException"), (NotFound, "ResourceNotFoundException"), (Conflict, "InvalidOperationException")),
}


def invoke(service: str, operation: str, document: object, caller: Caller, handlers: Mapping[str, Handler]) -> Mapping[str, Any]:
    """The answer of `batch` or `logs` to an operation with this input. Raises AwsError only."""
    found = service_api(service).operation(operation)
    if found is None:
        raise AwsError("UnknownOperationException", f"there is no operation '{shown(operation)}' here", status=404)
    return run(found, document, caller, handlers)


def run(operation: Operation, document: object, caller: Caller, handlers: Mapping[str, Handler]) -> Mapping[str, Any]:
    """Check the input of an operation and have it handled. Raises AwsError only."""
    handler = handlers.get(operation.name)
    if handler is None:
        raise AwsError(_UNAVAILABLE_CODE[operation.service], _why_unavailable(operation, handlers))
    members = operation.check(document)
    try:
        return handler(caller, members)
    except AwsError as error:
        raise AwsError(error.code, _with_request(error.message, caller), status=error.status) from error
    except SpawnError as error:
        raise translated(error, operation.service, caller) from error
    except Exception as error:
        raise broken(error, service=operation.service, where=operation.name) from None


def translated(error: SpawnError, service: str, caller: Caller) -> AwsError:
    """A failure of ours in the words of a service."""
    if isinstance(error, IllegalMove):
        _log.error("a bug: %s", error)
        return AwsError(_BROKEN[service], _INTERNAL, status=500)
    message = _with_request(str(error), caller)
    for kind, code in _CODES[service]:
        if isinstance(error, kind):
            return AwsError(code, message)
    if not isinstance(error, Unavailable):
        _log.error("%s", error)
    return AwsError(_BROKEN[service], message, status=500)


def broken(error: Exception, *, service: str, where: str) -> AwsError:
    """What a client is told of a bug of ours; the log is told where it is."""
    # what the exception says may hold a secret of the request; where it was raised does not
    trace = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s.%s failed with %s\n%s", service, where, type(error).__name__, trace)
    return AwsError(_BROKEN[service], _INTERNAL, status=500)


def closing(service: str) -> AwsError:
    """What a client is told when the endpoint ends before its request began; it may send it again."""
    return AwsError(_BROKEN[service], "the endpoint is being closed: the request was not handled", status=500)


def _with_request(message: str, caller: Caller) -> str:
    return f"{message}, RequestId: {caller.request_id}" if message.startswith(_EXECUTING) and caller.request_id else message


def _why_unavailable(operation: Operation, handlers: Mapping[str, Handler]) -> str:
    if "ServiceJob" in operation.name:
        return f"{operation.name} is not available here: SageMaker service jobs do not run here; submit a job with SubmitJob"
    if operation.service == LOGS and handlers:
        return f"{operation.name} is not available here: the logs of jobs are written by the jobs, and read with {', '.join(sorted(handlers))}"
    return f"{operation.name} is not available here: this endpoint does not have it"
