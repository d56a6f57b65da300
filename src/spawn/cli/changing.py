"""What `cancel`, `terminate`, `retry` and `extend` share: what is meant, asking, doing, saying."""

from __future__ import annotations

from collections.abc import Callable

from spawn.cli.confirming import confirmed
from spawn.cli.render import changes, talk
from spawn.cli.render.data import Output
from spawn.cli.targets import Target
from spawn.client.objects import Change

EXIT_CONFLICT = 5

Act = Callable[[bool], Change]
"""Does it; with True it only says what it would do."""


def all_named_left_alone(target: Target, change: Change) -> bool:
    """Whether indexes were named and none of them could be changed."""
    return target.indexes is not None and not target.indexes.startswith("@") and bool(change.skipped)


def carry_out(
    target: Target,
    act: Act,
    *,
    done: str,
    output: Output,
    dry_run: bool,
    question: str | None,
    yes: bool,
    is_conflict: Callable[[Target, Change], bool] = all_named_left_alone,
    why_nothing: str = "",
) -> int:
    """Do it, after a yes when there is a `question` (the verb, such as `Terminate`).

    When nothing was changed, the exit code is 5 if that `is_conflict`, and `why_nothing` is said unless the engine gave reasons.
    """
    if question is not None and not dry_run and not yes:
        expected = act(True)
        if expected.count and not confirmed(f"{question} {_what(target, expected)}?", yes=False):
            return 0
    change = act(dry_run)
    changes.show([change], done, output, dry_run=dry_run)
    if change.count:
        return 0
    if why_nothing and not change.skipped:
        talk.note(why_nothing)
    return EXIT_CONFLICT if is_conflict(target, change) else 0


def _what(target: Target, change: Change) -> str:
    of = f"{change.count} of {target.array.size} members of" if target.array.kind == "array" else "job"
    return f"{of} {target.array.title}" + (f" ({target.array.array_id})" if target.array.name else "")
