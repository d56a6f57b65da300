"""What can go wrong, as one sentence for a person and a number for a program."""

from __future__ import annotations

USAGE = 2
NOT_HERE = 3
NOT_FOUND = 4
CONFLICT = 5
UNAVAILABLE = 6


CONTAINER_ERRORS = ("CannotPullContainerError: ", "CannotCreateContainerError: ", "CannotStartContainerError: ")
"""What the reason of an attempt that never ran begins with."""


class SporedError(Exception):
    """Ends the program: the sentence goes to stderr, `exit_code` to the caller."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class BadMessage(Exception):
    """A line from the socket that could not be understood; nothing of it was acted on."""


class Refused(Exception):
    """An attempt's process cannot be made; the message says why, for the user."""


class NoRoom(Exception):
    """There is no room on the disk (or no right to write there now): try again later, nothing was started."""
