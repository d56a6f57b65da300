"""Memory limits for attempts."""

from __future__ import annotations


class MemoryLimits:
    def make(self, attempt: str, mebibytes: int) -> str:
        raise NotImplementedError


def processes(directory: str) -> list[int]:
    return []


def had_oom_kill(directory: str) -> bool:
    return False


def remove(directory: str) -> None:
    pass


def leftovers(home: str, attempts: set[str]) -> list[int]:
    return []
