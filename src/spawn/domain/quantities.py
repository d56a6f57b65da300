"""Quantities as people write them: vCPUs, memory, and how many failures an array bears."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Final

from spawn.domain.errors import InvalidField

MAX_CPUS: Final = 100_000
"""Most vCPUs of one child; a larger number is a slip of the finger."""

MAX_MEMORY_MIB: Final = 1 << 30
"""Most memory of one child in MiB: one pebibyte."""

_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_CPUS = re.compile(_NUMBER)
_MEMORY = re.compile(rf"({_NUMBER})\s?(?:([KMGT])(?:i?B)?)?", re.IGNORECASE | re.ASCII)
_SHARE = re.compile(rf"([0-9]{{1,12}})|({_NUMBER})%")
_KIB: Final = {"K": 1, "M": 1 << 10, "G": 1 << 20, "T": 1 << 30}


def parse_cpus(text: str, *, field: str = "--cpus") -> int:
    """Read vCPUs, `2` or `0.25`, as thousandths: 2000 or 250. From 0.001 to 100,000; InvalidField else."""
    text = text.strip()
    milli = Decimal(text) * 1000 if _CPUS.fullmatch(text) else None
    if milli is None:
        raise InvalidField(field, f"'{text[:60]}' is not a number of vCPUs: write one such as 2 or 0.25")
    if not 0 < milli <= MAX_CPUS * 1000 or milli != int(milli):
        raise InvalidField(field, f"'{text}' vCPUs cannot be had: from 0.001 to {MAX_CPUS}, in steps of 0.001")
    return int(milli)


def parse_memory(text: str, *, field: str = "--memory") -> int:
    """Read memory as MiB, rounded up: `512`, `512M` and `512MiB` are 512; `1.5GiB` is 1536. InvalidField else.

    A number alone is MiB, as in AWS Batch and Slurm. K, M, G, T are powers of 1024, also with `B`, as in Slurm and Docker.
    """
    text = text.strip()
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise InvalidField(field, f"'{text[:60]}' is not an amount of memory: write MiB such as 512, or 512M, 2G, 1.5GiB")
    mib = ceil(Decimal(match[1]) * _KIB[(match[2] or "M").upper()] / 1024)
    if Decimal(match[1]) == 0 or mib > MAX_MEMORY_MIB:
        raise InvalidField(field, f"'{text}' of memory cannot be had: from 1 MiB to {MAX_MEMORY_MIB} MiB")
    return mib


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxFailures:
    """How many children may fail before the rest is stopped: a number, or a percentage of the array's size."""

    amount: Decimal
    is_percentage: bool = False

    def exceeded(self, failed: int, size: int) -> bool:
        """Whether `failed` children are more than the limit: strictly more than N, or than N% of the array's whole size.

        So `3` and, of 30 children, `10%` are exceeded by the fourth failure; `0` by the first; `100%` never.
        """
        return failed * 100 > self.amount * size if self.is_percentage else failed > self.amount

    def __str__(self) -> str:
        return f"{self.amount}%" if self.is_percentage else f"{self.amount}"


def parse_share(text: str, *, field: str = "--max-failures") -> MaxFailures:
    """Read `3` or `10%` (also `0.5%`); a percentage is at most 100. InvalidField else."""
    text = text.strip()
    match = _SHARE.fullmatch(text)
    if match is None:
        raise InvalidField(field, f"'{text[:60]}' is not a number of failures: write one such as 3 or 10%")
    if match[1]:
        return MaxFailures(amount=Decimal(match[1]))
    percentage = Decimal(match[2])
    if percentage > 100:
        raise InvalidField(field, f"'{text}' is more than all: write at most 100%")
    return MaxFailures(amount=percentage, is_percentage=True)
