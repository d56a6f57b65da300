"""Consumable resources through the door: how much there is, how much is in use, and which jobs take from them."""

from __future__ import annotations

from typing import Any

import pytest

from spawn.domain.ids import JobId
from spawn.domain.jobs import BatchJob, Job
from spawn.domain.states import Status
from tests.aws.asking import ARN, ask, refused
from tests.aws.serving import Scripted

LICENCE = f"{ARN}:consumable-resource/licence"
MOST = 2**63 - 1


def create(served: Scripted, name: str = "licence", total: int | None = 4, **members: Any) -> dict[str, Any]:
    return ask(served, "CreateConsumableResource", consumableResourceName=name, totalQuantity=total, **members)


def update(served: Scripted, operation: str, quantity: int, **members: Any) -> int:
    answer = ask(served, "UpdateConsumableResource", consumableResource="licence", operation=operation, quantity=quantity, **members)
    total: int = answer["totalQuantity"]
    return total


def quantities(served: Scripted, name: str = "licence") -> tuple[int, int, int]:
    one = ask(served, "DescribeConsumableResource", consumableResource=name)
    return one["totalQuantity"], one["inUseQuantity"], one["availableQuantity"]


def put(served: Scripted, size: int | None = None, *, quantity: int = 1, resource: str = "licence", **facts: Any) -> Job:
    return served.put(size, batch=BatchJob(definition="work:1", container={}, consumables={resource: quantity}), **facts)


def listed(served: Scripted, **members: Any) -> list[str]:
    return [one["jobArn"].rpartition("/")[2] for one in ask(served, "ListJobsByConsumableResource", consumableResource="licence", **members)["jobs"]]


def test_what_is_created_is_described(scripted: Scripted) -> None:
    assert create(scripted, tags={"a": "b"}) == {"consumableResourceName": "licence", "consumableResourceArn": LICENCE}
    assert ask(scripted, "DescribeConsumableResource", consumableResource=LICENCE) == {
        "consumableResourceName": "licence",
        "consumableResourceArn": LICENCE,
        "totalQuantity": 4,
        "inUseQuantity": 0,
        "availableQuantity": 4,
        "resourceType": "REPLENISHABLE",
        "createdAt": scripted.clock.now(),
        "tags": {"a": "b"},
    }


def test_a_resource_of_which_no_quantity_is_given_has_nothing(scripted: Scripted) -> None:
    create(scripted, total=None)
    assert quantities(scripted) == (0, 0, 0)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"consumableResourceName": "a/b"}, "'a/b' is not a name"),
        ({"consumableResourceName": "licence"}, "Object already exists: there is a consumable resource 'licence' already"),
        ({"totalQuantity": -1}, "totalQuantity: -1 is not between 0"),
        ({"resourceType": "RENEWABLE"}, "'RENEWABLE' is not one of REPLENISHABLE, NON_REPLENISHABLE"),
        ({"tags": {"spawn:a": ""}}, "reserved"),
    ],
)
def test_what_cannot_be_meant_is_refused(scripted: Scripted, members: dict[str, Any], sentence: str) -> None:
    create(scripted)
    refused(scripted, "CreateConsumableResource", sentence, **({"consumableResourceName": "mine"} | members))
    assert len(ask(scripted, "ListConsumableResources")["consumableResources"]) == 1


def test_a_quantity_is_set_added_to_and_taken_from(scripted: Scripted) -> None:
    create(scripted)
    assert [update(scripted, "SET", 10), update(scripted, "ADD", 5), update(scripted, "REMOVE", 12)] == [10, 15, 3]
    scripted.restart()
    assert quantities(scripted) == (3, 0, 3)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"consumableResource": "other"}, "no consumable resource 'other'"),
        ({"consumableResource": f"{ARN}:job-queue/licence"}, "is not the ARN of a consumable-resource"),
        ({"operation": "DOUBLE"}, "'DOUBLE' is not one of SET, ADD, REMOVE"),
        ({"quantity": None}, "quantity: is required"),
        ({"quantity": -1}, "quantity: -1 is below 0"),
        ({"operation": "REMOVE", "quantity": 5}, "REMOVE 5 to 4 would make -1"),
        ({"operation": "ADD", "quantity": MOST}, "it is 0 to 9223372036854775807"),
        ({"clientToken": ""}, "greater than or equal to 1"),
        ({"clientToken": "t" * 65}, "less than or equal to 64"),
    ],
)
def test_an_update_that_cannot_be_meant_changes_nothing(scripted: Scripted, members: dict[str, Any], sentence: str) -> None:
    create(scripted)
    refused(scripted, "UpdateConsumableResource", sentence, **({"consumableResource": "licence", "operation": "SET", "quantity": 1} | members))
    assert quantities(scripted) == (4, 0, 4)


def test_an_update_sent_again_with_its_token_is_made_once_for_eight_hours(scripted: Scripted) -> None:
    create(scripted)
    assert [update(scripted, "ADD", 1, clientToken="t") for _ in range(2)] == [5, 5]
    scripted.restart()
    assert update(scripted, "ADD", 1, clientToken="t") == 5
    assert update(scripted, "ADD", 2, clientToken="t") == 7
    assert update(scripted, "ADD", 1, clientToken="u") == 8
    scripted.clock.advance(8 * 3600)
    assert update(scripted, "ADD", 1, clientToken="t") == 9


def test_children_wait_for_what_there_is_not_enough_of(scripted: Scripted) -> None:
    create(scripted, total=3)
    job = put(scripted, 2, quantity=2)
    assert (len(scripted.running(job.key)), quantities(scripted)) == (1, (3, 2, 1))
    scripted.finish()
    assert (scripted.status(job.id), quantities(scripted)) == ("SUCCEEDED", (3, 0, 3))


def test_less_than_is_in_use_may_be_left_and_nothing_is_available_then(scripted: Scripted) -> None:
    create(scripted, total=2)
    put(scripted, 2)
    assert update(scripted, "SET", 1) == 1
    assert quantities(scripted) == (1, 2, 0)


def test_what_is_not_replenishable_is_used_up(scripted: Scripted) -> None:
    create(scripted, total=5, resourceType="NON_REPLENISHABLE")
    put(scripted, 2, quantity=2)
    scripted.finish()
    assert quantities(scripted) == (1, 0, 1)
    assert update(scripted, "SET", 4) == 4
    put(scripted, quantity=3)
    scripted.finish()
    scripted.restart()
    assert quantities(scripted) == (1, 0, 1)


def test_a_resource_is_deleted_at_any_time_and_jobs_wait_until_it_is_there_again(scripted: Scripted) -> None:
    create(scripted, total=1)
    job = put(scripted, 2)
    assert ask(scripted, "DeleteConsumableResource", consumableResource=LICENCE) == {}
    refused(scripted, "DeleteConsumableResource", "no consumable resource 'licence'", consumableResource="licence")
    refused(scripted, "DescribeConsumableResource", "no consumable resource 'licence'", consumableResource="licence")
    scripted.restart()
    scripted.finish()
    array = scripted.store.array(JobId(job.id))
    assert array is not None
    assert [array.status_of(position) for position in range(2)] == [Status.SUCCEEDED, Status.RUNNABLE]
    create(scripted, total=1)
    scripted.finish()
    assert scripted.status(job.id) == "SUCCEEDED"


def test_resources_are_listed_by_name_page_and_filter(scripted: Scripted) -> None:
    for name in ("Gpu-hours", "licence", "gpu", "disk"):
        create(scripted, name)

    def found(*values: str, **members: Any) -> list[str]:
        filters = [{"name": "CONSUMABLE_RESOURCE_NAME", "values": list(values)}] if values else []
        answer = ask(scripted, "ListConsumableResources", filters=filters, **members)
        return [one["consumableResourceName"] for one in answer["consumableResources"]]

    assert found() == ["Gpu-hours", "disk", "gpu", "licence"]
    assert (found("GPU*"), found("GPU"), found("gpu", "Disk"), found("nobody")) == (["Gpu-hours", "gpu"], ["gpu"], ["disk", "gpu"], [])
    token = ask(scripted, "ListConsumableResources", maxResults=3)["nextToken"]
    assert found(nextToken=token) == ["licence"]
    refused(scripted, "ListConsumableResources", "'NAME' is not one of CONSUMABLE_RESOURCE_NAME", filters=[{"name": "NAME", "values": ["x"]}])
    refused(scripted, "ListConsumableResources", "has no values", filters=[{"name": "CONSUMABLE_RESOURCE_NAME", "values": []}])


def test_the_jobs_that_take_from_a_resource_are_listed_the_oldest_first(scripted: Scripted) -> None:
    create(scripted, total=1)
    create(scripted, "licence-2")
    first = put(scripted, name="first")
    put(scripted, resource="licence-2", name="elsewhere")
    scripted.put(name="nothing")
    scripted.clock.advance(1)
    second = put(scripted, 3, quantity=7, name="second")
    assert listed(scripted) == [first.id, second.id]
    one, two = ask(scripted, "ListJobsByConsumableResource", consumableResource=LICENCE)["jobs"]
    assert (one["jobName"], one["jobStatus"], one["quantity"], one["createdAt"]) == ("first", "STARTING", 1, first.created_at)
    assert (two["jobName"], two["jobStatus"], two["quantity"], two["jobDefinitionArn"]) == ("second", "PENDING", 7, f"{ARN}:job-definition/work:1")
    assert two["consumableResourceProperties"] == {"consumableResourceList": [{"consumableResource": LICENCE, "quantity": 7}]}
    assert two["jobQueueArn"] == f"{ARN}:job-queue/default"


def test_jobs_are_filtered_by_status_and_name(scripted: Scripted) -> None:
    create(scripted)
    done = put(scripted, name="Sort-all")
    scripted.finish()
    waits = put(scripted, quantity=9, name="sort-some")

    def found(name: str, *values: str) -> list[str]:
        return listed(scripted, filters=[{"name": name, "values": list(values)}])

    assert (found("JOB_STATUS", "SUCCEEDED"), found("JOB_STATUS", "RUNNABLE", "FAILED")) == ([done.id], [waits.id])
    assert (found("JOB_NAME", "SORT-*"), found("JOB_NAME", "sort-ALL"), found("JOB_NAME", "sort")) == ([done.id, waits.id], [done.id], [])
    both = [{"name": "JOB_NAME", "values": ["sort*"]}, {"name": "JOB_STATUS", "values": ["SUCCEEDED"]}]
    assert listed(scripted, filters=both) == [done.id]
    refused(
        scripted, "ListJobsByConsumableResource", "'DONE' is not one of", consumableResource="licence", filters=[{"name": "JOB_STATUS", "values": ["DONE"]}]
    )
    refused(scripted, "ListJobsByConsumableResource", "'' is not one of JOB_STATUS, JOB_NAME", consumableResource="licence", filters=[{"values": ["x"]}])


def test_pages_of_jobs_go_on_where_they_ended_though_all_came_in_the_same_moment(scripted: Scripted) -> None:
    create(scripted)
    jobs = sorted((put(scripted) for _ in range(5)), key=lambda job: job.key)
    found, members = [], {}
    while True:
        page = ask(scripted, "ListJobsByConsumableResource", consumableResource="licence", maxResults=2, **members)
        found.append([one["jobArn"].rpartition("/")[2] for one in page["jobs"]])
        if "nextToken" not in page:
            break
        members = {"nextToken": page["nextToken"]}
        scripted.restart()
    assert found == [[jobs[0].id, jobs[1].id], [jobs[2].id, jobs[3].id], [jobs[4].id]]
    refused(scripted, "ListJobsByConsumableResource", "no token", consumableResource="licence", nextToken="x")
