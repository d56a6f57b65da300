"""What `cancel`, `terminate`, `retry` and `extend` share: what is meant, asking, doing, saying."""

from __future__ import annotations

from collections.abc import Callable

from spawn.cli.confirming import confirmed
from spawn.cli.render import changes
from spawn.cli.render.data import Output
from spawn.cli.targets import Target
from spawn.client.objects import Change

EXIT_CONFLICT = 5

Act = Callable[[bool], Change]
"""Does it; with True it only says what it would do."""


def carry_out(target: Target, act: Act, *, done: str, output: Output, dry_run: bool, question: str | None, yes: bool) -> int:
    """Do it, after a yes when there is a `question` (the verb, such as `Terminate`). Exit code 5 when named indexes were all left alone."""
    if question is not None and not dry_run and not yes:
        expected = act(True)
        if expected.count and not confirmed(f"{question} {_what(target, expected)}?", yes=False):
            return 0
    change = act(dry_run)
    changes.show([change], done, output, dry_run=dry_run)
    named = target.indexes is not None and not target.indexes.startswith("@")
    return EXIT_CONFLICT if named and not change.count and change.skipped else 0


def _what(target: Target, change: Change) -> str:
    of = f"{change.count} of {target.array.size} members of" if target.array.kind == "array" else "job"
    return f"{of} {target.array.title}" + (f" ({target.array.array_id})" if target.array.name else "")
