"""A measured figure, its goal, and the Markdown table they stand in."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of a table: what was measured, how, what came out, and what was hoped for."""

    what: str
    command: str
    value: str
    goal: str = ""
    met: bool | None = None


def table(title: str, figures: Iterable[Figure]) -> str:
    """A Markdown section with one line a figure."""
    marks = {True: "met", False: "**missed**", None: ""}
    lines = [f"### {title}", "", "| what | command | figure | goal | |", "|---|---|---|---|---|"]
    for figure in figures:
        # within a table a bar ends the cell, also in code
        command = "`" + figure.command.replace("|", r"\|") + "`" if figure.command else ""
        lines.append(f"| {figure.what} | {command} | {figure.value} | {figure.goal} | {marks[figure.met]} |")
    return "\n".join(lines) + "\n"


def machine() -> str:
    """One line: processors, memory, kernel, Python."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor() or platform.machine()
    )
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def note(text: str) -> None:
    """Talk on stderr; stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)


def timed(command: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: Path | None = None, cwd: Path | None = None) -> float:
    """Seconds a command takes. Its output is dropped; an exit status other than 0 ends the benchmark."""
    with open(stdin or os.devnull, "rb") as given:
        began = time.perf_counter()
        run = subprocess.run(command, env=env, stdin=given, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=cwd, check=False)
        took = time.perf_counter() - began
    if run.returncode != 0:
        sys.exit(f"benchmark: {' '.join(command)} ended with {run.returncode}: {run.stderr.decode(errors='replace').strip()[-2000:]}")
    return took


def interleaved(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every contestant once a round, so that a slow minute of the machine falls on all of them."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(1, rounds + 1):
        for name, run in contestants.items():
            times[name].append(run())
            if rounds <= 10:
                note(f"  round {number}/{rounds}: {name}: {times[name][-1]:.2f} s")
    return times


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
