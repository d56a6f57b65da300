from __future__ import annotations

from dataclasses import replace

import pytest

from spawn.domain.errors import Conflict, InvalidField, NotFound
from spawn.domain.queues import (
    Health,
    JobQueue,
    Switch,
    default_queue,
    find_queue,
    local_environment,
    may_attach,
    may_delete_environment,
    may_delete_queue,
    may_submit,
    name_of,
)

ENVIRONMENT = local_environment()
QUEUE = default_queue()


def test_the_default_queue_runs_on_this_machine_and_takes_jobs() -> None:
    assert (QUEUE.name, QUEUE.environments, QUEUE.policy) == ("default", ("local",), None)
    assert (ENVIRONMENT.name, ENVIRONMENT.provider, ENVIRONMENT.capacity) == ("local", "local", None)
    may_submit(QUEUE)
    may_attach(QUEUE, [ENVIRONMENT])


def test_healthy_queues_and_environments_say_so_in_the_words_of_aws() -> None:
    assert (QUEUE.reason, ENVIRONMENT.reason) == ("JobQueue Healthy", "ComputeEnvironment Healthy")


def test_a_disabled_queue_takes_no_jobs() -> None:
    with pytest.raises(Conflict, match="'default' is DISABLED"):
        may_submit(replace(QUEUE, state=Switch.DISABLED))


@pytest.mark.parametrize("status", [status for status in Health if status is not Health.VALID])
def test_a_queue_that_is_not_valid_takes_no_jobs(status: Health) -> None:
    with pytest.raises(Conflict, match=f"'default' is {status.value}: broken"):
        may_submit(replace(QUEUE, status=status, reason="broken"))


@pytest.mark.parametrize("reference", ["default", "arn:aws:batch:us-east-1:123456789012:job-queue/default"])
def test_a_queue_is_found_by_its_name_or_arn(reference: str) -> None:
    assert find_queue([QUEUE], reference) is QUEUE


@pytest.mark.parametrize("reference", ["other", "Default", "", "arn:aws:batch:us-east-1:123456789012:job-queue/other"])
def test_an_unknown_queue_is_not_found(reference: str) -> None:
    with pytest.raises(NotFound, match="no job queue"):
        find_queue([QUEUE], reference)


def test_a_compute_environment_is_named_by_its_arn() -> None:
    assert name_of("arn:aws-cn:batch:cn-north-1:123456789012:compute-environment/local") == "local"


@pytest.mark.parametrize("environments", [(), ("a", "b", "c", "d")])
def test_a_queue_has_one_to_three_compute_environments(environments: tuple[str, ...]) -> None:
    with pytest.raises(InvalidField, match="1 to 3"):
        JobQueue(name="q", environments=environments)


def test_a_queue_names_each_compute_environment_once() -> None:
    with pytest.raises(InvalidField, match="named twice"):
        JobQueue(name="q", environments=("a", "a"))


@pytest.mark.parametrize("name", ["", "-a", "_a", "a.b", "a b", "a" * 129])
def test_names_that_aws_would_not_take_are_refused(name: str) -> None:
    with pytest.raises(InvalidField, match="jobQueueName"):
        replace(QUEUE, name=name)
    with pytest.raises(InvalidField, match="computeEnvironmentName"):
        replace(ENVIRONMENT, name=name)


def test_a_priority_is_not_below_0() -> None:
    with pytest.raises(InvalidField, match="priority"):
        replace(QUEUE, priority=-1)


def test_a_queue_is_not_attached_to_what_is_missing_or_broken() -> None:
    with pytest.raises(NotFound, match="no compute environment 'local'"):
        may_attach(QUEUE, [])
    with pytest.raises(Conflict, match="'local' is INVALID"):
        may_attach(QUEUE, [replace(ENVIRONMENT, status=Health.INVALID)])


def test_a_queue_is_deleted_only_after_it_was_disabled() -> None:
    with pytest.raises(Conflict, match="disable it first"):
        may_delete_queue(QUEUE)
    may_delete_queue(replace(QUEUE, state=Switch.DISABLED))


def test_a_compute_environment_is_deleted_only_disabled_and_detached() -> None:
    with pytest.raises(Conflict, match="disable it first"):
        may_delete_environment(ENVIRONMENT, [])
    disabled = replace(ENVIRONMENT, state=Switch.DISABLED)
    with pytest.raises(Conflict, match="used by job queue default"):
        may_delete_environment(disabled, [QUEUE])
    may_delete_environment(disabled, [replace(QUEUE, status=Health.DELETED), replace(QUEUE, environments=("other",))])


def test_a_first_come_queue_cannot_get_a_policy_and_a_fair_one_cannot_lose_it() -> None:
    fair = replace(QUEUE, policy="halves")
    assert fair.with_policy("thirds").policy == "thirds"
    assert QUEUE.with_policy(None) == QUEUE
    with pytest.raises(Conflict, match="cannot get one"):
        QUEUE.with_policy("halves")
    with pytest.raises(Conflict, match="cannot lose"):
        fair.with_policy(None)
