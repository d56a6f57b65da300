"""The one tree of failures of ours. A failed job is a value, never one of these."""

from __future__ import annotations


class SpawnError(Exception):
    """A failure with a sentence for the user, a code for programs and an exit code for the shell."""

    code = "unexpected"
    exit_code = 1


class UsageError(SpawnError):
    """What was asked cannot be meant."""

    code = "usage"
    exit_code = 2


class InvalidField(UsageError):
    """A value that its field does not take: the field, why, and what would do."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class ConfigurationError(SpawnError):
    """The machine, the state directory or the settings do not allow it."""

    code = "configuration"
    exit_code = 3


class NotFound(SpawnError):
    """Nothing has this name or id."""

    code = "not_found"
    exit_code = 4


class Conflict(SpawnError):
    """It exists, but its state does not allow what was asked."""

    code = "conflict"
    exit_code = 5


class IllegalMove(Conflict):
    """A child was asked to make a move that the table does not list. Always a bug of ours."""


class Unavailable(SpawnError):
    """The engine, the store or a provider cannot answer now."""

    code = "unavailable"
    exit_code = 6


class StoreUnavailable(Unavailable):
    """The store could not be read or written: nothing of the change was recorded."""


class ProviderUnavailable(Unavailable):
    """A provider did not answer; what it was asked may or may not have happened."""


ERRORS_BY_CODE: dict[str, type[SpawnError]] = {kind.code: kind for kind in (SpawnError, UsageError, ConfigurationError, NotFound, Conflict, Unavailable)}
"""The class for each `code` that travels over the native API."""
