"""What one command costs: status and list of a large array, the start of both programs, and a restart over a full store."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.engine import SPAWN, PrivateEngine
from benchmarks.figures import Figure, interleaved, median, milliseconds, timed
from benchmarks.restart import restart

#: Fails at one index in a hundred, so that there are failures to group.
COMMAND = ["sh", "-c", "exit $((TASK_ARRAY_INDEX % 100 == 7))"]

#: Runs in a job, since only there `spored complete` has someone to tell.
PROBE = """#!{python}
import json, os, subprocess, sys, time

def seconds(command):
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began

bare, complete = [], []
for _ in range({runs}):
    bare.append(seconds([sys.executable, "-c", "pass"]))
    complete.append(seconds(["spored", "complete", "--status", "success"]))
with open({result!r} + ".part", "w") as file:
    json.dump([bare, complete], file)
os.replace({result!r} + ".part", {result!r})
"""


def measure(*, quick: bool, rounds: int) -> list[Figure]:
    """Medians of many runs of each command; the restart once a round."""
    size = 1_000 if quick else 10_000
    runs = 5 * rounds
    with PrivateEngine() as engine:
        engine.run("launch", "--array", str(size), "--wait", "-q", "--", *COMMAND, expect=7)
        figures = _commands(engine, size, runs) + _starts(engine, runs) + [_complete(engine, runs)]
    return figures + restart(size=size, arrays=10 if quick else 100)


def _commands(engine: PrivateEngine, size: int, runs: int) -> list[Figure]:
    commands = {
        f"status of an array of {size:,}": (["status", "last"], 200),
        f"list of {size:,} members, piped": (["list", "--array", "last"], 500),
    }
    lines = len(engine.run("list", "--array", "last").splitlines())
    if lines != size:
        sys.exit(f"benchmark: spawn list printed {lines} lines for {size} members")
    figures = []
    for what, (arguments, goal_ms) in commands.items():
        took = median([timed([SPAWN, *arguments], env=engine.env, cwd=engine.directory) for _ in range(runs)])
        figures.append(Figure(what=what, command=f"spawn {' '.join(arguments)}", value=milliseconds(took), goal=f"≤ {goal_ms} ms", met=took * 1000 <= goal_ms))
    return figures


def _starts(engine: PrivateEngine, runs: int) -> list[Figure]:
    contestants: dict[str, Callable[[], float]] = {
        "bare": lambda: timed([sys.executable, "-c", "pass"]),
        "version": lambda: timed([SPAWN, "--version"], env=engine.env),
    }
    times = interleaved(contestants, max(runs, 11))
    bare, version = median(times["bare"]), median(times["version"])
    return [
        Figure(what="a bare Python", command="python -c pass", value=milliseconds(bare)),
        _above("spawn's start", "spawn --version", version - bare, 60),
    ]


def _above(what: str, command: str, seconds: float, goal_ms: int) -> Figure:
    return Figure(what=what, command=command, value=f"{milliseconds(seconds)} above it", goal=f"≤ {goal_ms} ms above it", met=seconds * 1000 <= goal_ms)


def _complete(engine: PrivateEngine, runs: int) -> Figure:
    result = engine.directory / "complete.json"
    probe = PROBE.format(python=sys.executable, runs=max(runs, 11), result=str(result))
    script = Path(engine.directory) / "probe.py"
    script.write_text(probe, encoding="utf-8")
    engine.run("launch", "--user-data", f"@{script}", "--on-complete", "none", "--no-private-tmp", "--wait", "-q")
    bare, complete = _written(result)
    return _above("telling that a child is done", "spored complete --status success", median(complete) - median(bare), 40)


def _written(result: Path) -> tuple[list[float], list[float]]:
    """The probe's figures. Its first call settled the job; the script itself goes on for a moment, at most a minute."""
    for _ in range(600):
        if result.exists():
            bare, complete = json.loads(result.read_text(encoding="utf-8"))
            return bare, complete
        time.sleep(0.1)
    sys.exit("benchmark: the probe of `spored complete` wrote nothing in a minute")
