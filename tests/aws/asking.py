"""Operations asked of a served door: answers held against their shapes, refusals against their sentences."""

from __future__ import annotations

from typing import Any

import pytest

from spawn.api.aws.failures import AwsError
from tests.aws.serving import Served
from tests.aws.shapes import assert_shape

ARN = "arn:aws:batch:us-east-1:123456789012"


def ask(served: Served, operation: str, /, **members: Any) -> dict[str, Any]:
    """The answer of an operation, which has the shape that the service model says."""
    answer = served.call(operation, **members)
    assert_shape("batch", operation, answer)
    return answer


def refused(served: Served, operation: str, sentence: str, /, **members: Any) -> None:
    """The operation is refused as the caller's fault, in a sentence that contains this pattern."""
    with pytest.raises(AwsError, match=sentence) as refusal:
        served.call(operation, **members)
    assert (refusal.value.code, refusal.value.status) == ("ClientException", 400)
