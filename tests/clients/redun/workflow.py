"""A redun workflow: several jobs of one task, which redun submits as an array job; one job of another; and one that fails."""

import os

from redun import task

redun_namespace = "spawn_clients"


@task(executor="batch", version="1")  # type: ignore[untyped-decorator]
def square(x: int) -> dict[str, str | int]:
    """What is computed, and where."""
    return {"x": x, "square": x * x, "job": os.environ["AWS_BATCH_JOB_ID"], "index": os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX", "")}


@task(executor="batch", version="1", memory=2)  # type: ignore[untyped-decorator]
def total(squares: list[dict[str, int]]) -> dict[str, str | int]:
    """The sum of the squares, from a job of its own."""
    return {"total": sum(each["square"] for each in squares), "job": os.environ["AWS_BATCH_JOB_ID"]}


@task(version="1")  # type: ignore[untyped-decorator]
def main(n: int) -> dict[str, object]:
    """Squares of 0..n-1 and their sum."""
    squares = [square(x) for x in range(n)]
    return {"squares": squares, "total": total(squares)}


@task(executor="batch", version="1")  # type: ignore[untyped-decorator]
def broken(path: str) -> str:
    """Fails, as a task that cannot read its input does."""
    print("looking for", path)  # noqa: T201 - the job's log
    with open(path, encoding="utf-8") as file:
        return file.read()
