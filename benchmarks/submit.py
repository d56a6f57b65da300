"""Submitting large arrays: the time in the engine, the time of the whole command, and the memory that the engine then has."""

from __future__ import annotations

from benchmarks.engine import SPAWN, PrivateEngine
from benchmarks.figures import Figure, median, milliseconds, timed

#: Children that outlast the measurement: two run, the rest are there.
COMMAND = ["sleep", "3600"]
MEMORY_GOAL_MIB = 300


def measure(*, quick: bool, rounds: int) -> list[Figure]:
    """Both sizes, on one engine; the larger array stays while its memory is read."""
    figures: list[Figure] = []
    sizes = ((1_000, 10), (100_000, 50)) if quick else ((10_000, 10), (1_000_000, 50))
    with PrivateEngine() as engine:
        figures.append(Figure(what="engine's memory before", command="", value=f"{engine.resident_mib():.0f} MiB"))
        for size, goal_ms in sizes:
            figures += _submissions(engine, size, goal_ms, rounds)
        engine.call("POST", "/v1/arrays", _submission(engine, sizes[-1][0]))
        figures.append(_memory(f"engine's memory with {sizes[-1][0]:,} children waiting", engine.resident_mib()))
        _end(engine)
        figures.append(_memory("engine's memory after they were terminated", engine.resident_mib()))
    return figures


def _submissions(engine: PrivateEngine, size: int, goal_ms: int, rounds: int) -> list[Figure]:
    in_engine, whole = [], []
    command = [SPAWN, "launch", "--array", str(size), "-q", "--", *COMMAND]
    for _ in range(rounds):
        seconds, _answer = engine.timed_call("POST", "/v1/arrays", _submission(engine, size))
        in_engine.append(seconds)
        _end(engine)
        whole.append(timed(command, env=engine.env, cwd=engine.directory))
        _end(engine)
    answer = median(in_engine)
    return [
        Figure(
            what=f"{size:,} children, in the engine (request to answer)",
            command="POST /v1/arrays",
            value=milliseconds(answer),
            goal=f"≤ {goal_ms} ms",
            met=answer * 1000 <= goal_ms,
        ),
        Figure(
            what=f"{size:,} children, the whole command", command=f"spawn launch --array {size} -q -- {' '.join(COMMAND)}", value=milliseconds(median(whole))
        ),
    ]


def _submission(engine: PrivateEngine, size: int) -> dict[str, object]:
    return {
        "name": "submit",
        "indexes": f"0-{size - 1}",
        "max_concurrent": None,
        "script": None,
        "command": COMMAND,
        "environment": {"PATH": "/usr/bin:/bin"},
        "env": {},
        "workdir": str(engine.directory),
        "ttl_s": None,
        "timeout_s": None,
        "on_complete": None,
        "retries": 0,
        "retry_on": [],
        "max_failures": None,
        "tags": {},
        "cpus": 1,
        "memory_mib": None,
        "private_tmp": None,
        "depends_on": [],
        "sequential": False,
        "cloud": {},
        "compat_env": True,
        "grace_s": 30,
        "dry_run": False,
    }


def _memory(what: str, mib: float) -> Figure:
    return Figure(what=what, command="", value=f"{mib:.0f} MiB", goal=f"< {MEMORY_GOAL_MIB} MiB", met=mib < MEMORY_GOAL_MIB)


def _end(engine: PrivateEngine) -> None:
    """Terminate the last array and forget it, so that the next submission meets an idle engine."""
    engine.run("terminate", "last", "--yes")
    engine.wait_until_settled("last")
    engine.run("rm", "last", "--yes")
