"""What of an attempt could not be kept: read from its record, and kept in the ledger until it is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant
from spawn.engine.news import Ended, EndKind, Usage
from spawn.providers.ec2.stored import event_of, event_row
from spawn.providers.ec2.surveying import Ending

WHOLE = {"instance_id": "i-1", "started_at": 1.0, "ended_at": 2.0, "end": "ended", "code": 0}


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({}, None),
        ({"truncated": False, "outputs_failed": []}, None),
        ({"truncated": True}, "the end of its log"),
        ({"outputs_failed": ["a\nb"]}, "1 output (a\\nb)"),
        ({"truncated": True, "outputs_failed": ["1", "2", "3", "4"]}, "the end of its log and 4 outputs (1, 2, 3, …)"),
    ],
)
def test_a_record_says_what_is_missing(left: dict[str, Any], said: str | None) -> None:
    found = msgspec.convert(WHOLE | left, Ending).incomplete
    assert found == (None if said is None else f"not all that it left could be kept: {said} missing")


@pytest.mark.parametrize("incomplete", [None, "the end of its log is missing"])
def test_an_end_is_kept_in_the_ledger_with_it(incomplete: str | None) -> None:
    ended = Ended(AttemptId(ArrayKey("0123456789"), 3, 1), Instant(5), EndKind(0, None, None), Usage(1.5, 7), incomplete)
    assert event_of(*event_row(ended)) == ended
