"""What a laboratory leaves behind: what was asked of it, what ran, and what that would have cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from spawn.testing.ec2lab.calls import Call
from spawn.testing.ec2lab.instances import Life


def write_report(directory: Path, calls: Iterable[Call], lives: Sequence[Life], *, until: float) -> None:
    """Write `calls.jsonl`, a call a line, and `lives.json`: each instance with its `usd` up to a moment, and the sum."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "calls.jsonl").open("wb") as file:
        for call in calls:
            file.write(msgspec.json.encode(call) + b"\n")
    shown = [{**msgspec.to_builtins(life), "usd": life.cost(until)} for life in lives]
    report = {"instances": shown, "usd": sum(life.cost(until) for life in lives), "until": until}
    (directory / "lives.json").write_bytes(msgspec.json.encode(report))
