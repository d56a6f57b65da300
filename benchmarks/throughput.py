"""10,000 × /bin/true, two at a time: spawn against xargs, GNU parallel and HyperQueue, in the same run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.engine import SPAWN, PrivateEngine
from benchmarks.figures import Figure, interleaved, median, timed

AT_ONCE = 2

SPAWN_TIME = "spawn, a status and a log for each child"
PRIVATE_TIME = "spawn, and a private /tmp for each child"
XARGS_TIME = "xargs, neither status nor log"
PARALLEL_TIME = "GNU parallel"
HYPERQUEUE_TIME = "HyperQueue, a log for each task"
HYPERQUEUE_BARE_TIME = "HyperQueue, no logs"


def measure(*, quick: bool, rounds: int) -> list[Figure]:
    """The medians of all contestants, and the ratios that the goals are about."""
    count = 1_000 if quick else 10_000
    with tempfile.TemporaryDirectory(prefix="spawn-bench.") as directory, PrivateEngine() as engine:
        numbers = Path(directory) / "numbers"
        numbers.write_text("".join(f"{number}\n" for number in range(count)))
        commands = {
            SPAWN_TIME: f"spawn launch --array {count} --max-concurrent {AT_ONCE} --wait -q -- /bin/true",
            PRIVATE_TIME: f"spawn launch --array {count} --max-concurrent {AT_ONCE} --private-tmp --wait -q -- /bin/true",
            XARGS_TIME: f"seq {count} | xargs -P{AT_ONCE} -n1 /bin/true",
            PARALLEL_TIME: f"seq {count} | parallel -j{AT_ONCE} /bin/true",
            HYPERQUEUE_TIME: f"LocalCluster, 1 worker of {AT_ONCE} cores, 1 job of {count} tasks",
            HYPERQUEUE_BARE_TIME: "the same, stdout=None, stderr=None",
        }
        contestants: dict[str, Callable[[], float]] = {
            SPAWN_TIME: lambda: _spawn(engine, count, []),
            PRIVATE_TIME: lambda: _spawn(engine, count, ["--private-tmp"]),
            XARGS_TIME: lambda: timed(["xargs", f"-P{AT_ONCE}", "-n1", "/bin/true"], stdin=numbers),
        }
        if shutil.which("parallel"):
            contestants[PARALLEL_TIME] = lambda: timed(["parallel", "--will-cite", f"-j{AT_ONCE}", "/bin/true"], stdin=numbers)
        if importlib.util.find_spec("hyperqueue"):
            contestants[HYPERQUEUE_TIME] = lambda: _hyperqueue(count, [])
            contestants[HYPERQUEUE_BARE_TIME] = lambda: _hyperqueue(count, ["--no-logs"])
        if engine.status()["features"]["private_tmp"] is not None:
            del contestants[PRIVATE_TIME]
        medians = {name: median(times) for name, times in interleaved(contestants, rounds).items()}
    lines = [_line(name, command, medians.get(name), count) for name, command in commands.items()]
    return lines + _ratios(medians)


def _line(name: str, command: str, seconds: float | None, count: int) -> Figure:
    value = "skipped: not to be had on this machine" if seconds is None else f"{seconds:.2f} s ({seconds / count * 1000:.2f} ms each)"
    return Figure(what=name, command=command, value=value)


def _ratios(medians: dict[str, float]) -> list[Figure]:
    """Each goal as a quotient of two medians; what was skipped has none."""
    at_most = [("spawn ÷ xargs", SPAWN_TIME, XARGS_TIME, 1.0), ("spawn with private /tmp ÷ xargs", PRIVATE_TIME, XARGS_TIME, 1.5)]
    at_least = [("HyperQueue ÷ spawn", HYPERQUEUE_TIME, SPAWN_TIME, 3.0), ("GNU parallel ÷ spawn", PARALLEL_TIME, SPAWN_TIME, 5.0)]
    found = []
    for goals, sign in ((at_most, "≤"), (at_least, "≥")):
        for what, above, below, goal in goals:
            if above in medians and below in medians:
                ratio = medians[above] / medians[below]
                met = ratio <= goal if sign == "≤" else ratio >= goal
                found.append(Figure(what=what, command="", value=f"{ratio:.2f}", goal=f"{sign} {goal:g}", met=met))
    return found


def _spawn(engine: PrivateEngine, count: int, flags: list[str]) -> float:
    """Seconds of one launch that waits; then a look whether it really did what it was timed for."""
    command = [SPAWN, "launch", "--array", str(count), "--max-concurrent", str(AT_ONCE), *flags, "--wait", "-q", "--", "/bin/true"]
    seconds = timed(command, env=engine.env, cwd=engine.directory)
    array = engine.array("last")
    logs = sum(1 for _ in Path(array["directory"]).rglob("*.log"))
    if array["counts"]["SUCCEEDED"] != count or logs != count:
        sys.exit(f"benchmark: {count} children, but {array['counts']['SUCCEEDED']} succeeded and {logs} have a log")
    engine.run("rm", array["array_id"], "--yes")
    return seconds


def _hyperqueue(count: int, flags: list[str]) -> float:
    """Seconds from submission to the last end, the server and its worker being up already (as spawn's engine is)."""
    command = [sys.executable, str(Path(__file__).with_name("hyperqueue_array.py")), str(count), str(AT_ONCE), *flags]
    # its worker leaves a directory in the place for temporary files
    with tempfile.TemporaryDirectory(prefix="spawn-bench-hq.") as place:
        run = subprocess.run(command, env={**os.environ, "TMPDIR": place}, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"benchmark: HyperQueue: {run.stderr.strip()[-2000:]}")
    return float(run.stdout.split()[-1])
