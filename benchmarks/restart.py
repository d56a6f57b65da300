"""A restart over a full store: a hundred arrays that have settled, with a row for every child and attempt, and one half done."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time

from benchmarks.engine import SPAWN, PrivateEngine
from benchmarks.figures import Figure, milliseconds, note, timed

GOAL_MS = 1_000


def restart(*, size: int, arrays: int) -> list[Figure]:
    """One array is run and the others are copies of its rows; another one is half done when the engine is killed."""
    with PrivateEngine() as engine:
        settled = engine.run("launch", "--array", str(size), "--name", "settled", "--wait", "-q", "--", "/bin/true").strip()
        half_done = engine.run("launch", "--array", str(size), "--name", "half", "-q", "--", "/bin/true").strip()
        while engine.array(half_done)["counts"]["SUCCEEDED"] < size // 2:
            time.sleep(0.05)
        status = engine.status()
        os.kill(status["pid"], signal.SIGKILL)
        note(f"  copying the rows of {settled} {arrays - 1} times")
        copy_rows(status["store"], settled, arrays - 1)

        took = timed([SPAWN, "engine", "start"], env=engine.env)
        known = engine.status()["arrays"]["total"]
        engine.wait_until_settled(half_done)
        if known != arrays + 1 or engine.array(half_done)["counts"]["SUCCEEDED"] != size:
            sys.exit(f"benchmark: the restarted engine knows {known} arrays, or did not finish the one that was half done")
    what = f"restart after `kill -9` with {arrays} settled arrays of {size:,} and one half done, until it answers"
    return [Figure(what=what, command="spawn engine start", value=milliseconds(took), goal=f"≤ {GOAL_MS:,} ms", met=took * 1000 <= GOAL_MS)]


def copy_rows(store: str, job_id: str, copies: int) -> None:
    """Copy every row of one job under new keys and ids."""
    connection = sqlite3.connect(store)
    key, body = connection.execute("SELECT key, body FROM job WHERE id = ?", (job_id,)).fetchone()
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    with connection:
        for number in range(1, copies + 1):
            new_id = f"array-20000101-{number:06}"
            new_body = json.dumps(json.loads(body) | {"id": new_id, "key": f"{number:010x}"}).encode()
            for table in tables:
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                changed = {"key": number} | ({"id": new_id, "body": new_body} if table == "job" else {})
                if "key" not in columns:
                    continue
                values = ", ".join(f":{column}" if column in changed else column for column in columns)
                connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE key = :was", changed | {"was": key})
    connection.close()
