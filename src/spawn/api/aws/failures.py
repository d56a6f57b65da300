"""What goes wrong in a call, with the code that AWS uses for it."""

from __future__ import annotations


class AwsError(Exception):
    """An answer that is an error: its code, its sentence and its HTTP status."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
