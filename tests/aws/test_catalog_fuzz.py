"""Whatever is asked of the catalog: an answer of its shape or a refusal, and the store holds what the engine works with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from spawn.api.aws.batch import consumables, environments, policies, queues, tags
from spawn.api.aws.failures import AwsError
from tests.aws.asking import ARN, ask
from tests.aws.generating import inputs
from tests.aws.serving import Scripted
from tests.aws.shapes import service_model

NAMES: Final = st.sampled_from(["a", "b", "default", "local", "nobody"])
KINDS: Final = ("job-queue", "compute-environment", "scheduling-policy", "consumable-resource", "service-environment", "job-definition", "job")
ARNS: Final = st.one_of(st.builds(lambda kind, name: f"{ARN}:{kind}/{name}", st.sampled_from(KINDS), NAMES), st.just(f"{ARN}:job-queue/b/quota-share/a"))
FITTING: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    **dict.fromkeys(("name", "jobQueueName", "computeEnvironmentName", "consumableResourceName", "serviceEnvironmentName", "quotaShareName"), NAMES),
    **dict.fromkeys(("jobQueue", "computeEnvironment", "consumableResource", "serviceEnvironment"), NAMES | ARNS),
    **dict.fromkeys(("arn", "resourceArn", "quotaShareArn", "schedulingPolicyArn"), ARNS),
    **{name: st.lists(NAMES | ARNS, max_size=3) for name in ("jobQueues", "computeEnvironments", "serviceEnvironments")},
    "arns": st.lists(ARNS, max_size=3),
    "computeEnvironmentOrder": st.lists(st.fixed_dictionaries({"order": st.integers(0, 3), "computeEnvironment": NAMES}), max_size=3),
    "serviceEnvironmentOrder": st.lists(st.fixed_dictionaries({"order": st.integers(0, 3), "serviceEnvironment": NAMES}), max_size=1),
    "maxvCpus": st.integers(0, 9),
    "quantity": st.integers(-1, 9),
    "totalQuantity": st.integers(-1, 9),
    "operation": st.sampled_from(["SET", "ADD", "REMOVE"]),
    "capacityLimits": st.lists(st.fixed_dictionaries({"maxCapacity": st.integers(0, 3), "capacityUnit": NAMES}), min_size=1, max_size=2),
    "computeResources": st.fixed_dictionaries({"type": st.sampled_from(["EC2", "SPOT", "FARGATE"]), "maxvCpus": st.integers(0, 9)}),
    "priority": st.integers(-1, 9),
    "maxResults": st.integers(0, 3),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    served = Scripted(Path(tmp_path_factory.mktemp("fuzz")))
    yield served
    served.close()


def operations(served: Scripted) -> list[str]:
    """Those of the catalog."""
    return sorted(name for noun in (consumables, environments, policies, queues, tags) for name in noun.operations(served.door))


@given(data=st.data())
@settings(max_examples=400)
def test_every_input_is_answered_or_refused_and_what_is_stored_is_what_is_known(served: Scripted, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(operations(served)), label="operation")
    asked = data.draw(inputs("batch", operation))
    needed = service_model("batch").operation_model(operation).input_shape.required_members
    kept = {name: value for name, value in asked.items() if name in needed or not data.draw(st.integers(0, 2))}
    members = _fitted(kept, data)
    refusal: AwsError | None = None
    try:
        ask(served, operation, **members)
    except AwsError as error:
        refusal = error
    event(f"{operation}: {'answered' if refusal is None else 'refused'}")
    assert refusal is None or (refusal.code, refusal.status) == ("ClientException", 400)
    assert served.store.catalog() == served.engine.call(lambda state: state.catalog)


def _fitted(value: Any, data: st.DataObject) -> Any:
    """The same input with names that mean something in their places, mostly."""
    if isinstance(value, dict):
        return {name: data.draw(FITTING[name]) if name in FITTING and data.draw(st.integers(0, 9)) else _fitted(member, data) for name, member in value.items()}
    return [_fitted(member, data) for member in value] if isinstance(value, list) else value
