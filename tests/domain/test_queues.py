from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from spawn.domain.catalog import Catalog
from spawn.domain.errors import Conflict, InvalidField, NotFound
from spawn.domain.queues import (
    REASONS,
    RUNTIMES,
    SERVICE_REASONS,
    Health,
    JobQueue,
    Machines,
    Management,
    StateLimit,
    Switch,
    default_queue,
    local_environment,
    may_attach,
    may_delete_environment,
    may_delete_queue,
    may_submit,
)

ENVIRONMENT = local_environment()
QUEUE = default_queue()
OTHER = replace(ENVIRONMENT, name="other")
OTHER_QUEUE = JobQueue(name="q", environments=("other",))


def test_the_default_queue_runs_on_this_machine_and_takes_jobs() -> None:
    assert (QUEUE.name, QUEUE.environments, QUEUE.policy) == ("default", ("local",), None)
    assert (ENVIRONMENT.name, ENVIRONMENT.provider, ENVIRONMENT.max_cpus) == ("local", "local", None)
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
        may_delete_queue(OTHER_QUEUE)
    may_delete_queue(replace(OTHER_QUEUE, state=Switch.DISABLED))


def test_a_compute_environment_is_deleted_only_disabled_and_detached() -> None:
    with pytest.raises(Conflict, match="disable it first"):
        may_delete_environment(OTHER, [])
    disabled = replace(OTHER, state=Switch.DISABLED)
    with pytest.raises(Conflict, match="Cannot delete, found existing JobQueue relationship: 'other' is used by job queue q"):
        may_delete_environment(disabled, [OTHER_QUEUE])
    may_delete_environment(disabled, [replace(OTHER_QUEUE, status=Health.DELETED), QUEUE])


def test_what_is_always_there_is_never_deleted() -> None:
    with pytest.raises(Conflict, match="'default' is always there"):
        may_delete_queue(replace(QUEUE, state=Switch.DISABLED))
    with pytest.raises(Conflict, match="'local' is always there"):
        may_delete_environment(replace(ENVIRONMENT, state=Switch.DISABLED), [])


@pytest.mark.parametrize("machines", [None, *Machines])
def test_only_compute_environments_of_one_family_stand_in_one_queue(machines: Machines | None) -> None:
    both = replace(OTHER_QUEUE, environments=("local", "other"))
    other = replace(OTHER, machines=machines)
    if machines in (None, Machines.EC2, Machines.SPOT):
        may_attach(both, [ENVIRONMENT, other])
    else:
        with pytest.raises(InvalidField, match="cannot be mixed in one queue"):
            may_attach(both, [ENVIRONMENT, other])
    may_attach(OTHER_QUEUE, [other])


def test_who_has_no_machines_of_the_service_is_unmanaged() -> None:
    assert (ENVIRONMENT.management, replace(OTHER, machines=None).management) == (Management.MANAGED, Management.UNMANAGED)


@pytest.mark.parametrize(("orders", "taken"), [((), True), ((1, 2), True), ((0, 7), True), ((1, 1), False), ((2, 1), False)])
def test_order_numbers_say_which_environment_comes_first(orders: tuple[int, ...], taken: bool) -> None:
    if taken:
        assert JobQueue(name="q", environments=("a", "b"), orders=orders).orders == orders
    else:
        with pytest.raises(InvalidField, match="do not tell which comes first"):
            JobQueue(name="q", environments=("a", "b"), orders=orders)


@pytest.mark.parametrize("seconds", [599, 86_401])
def test_a_limit_of_waiting_is_ten_minutes_to_a_day(seconds: int) -> None:
    with pytest.raises(InvalidField, match=f"{seconds} is not between 600 and 86400"):
        StateLimit(reason=REASONS[0], limit=timedelta(seconds=seconds))


def test_a_queue_for_service_jobs_takes_no_others_and_has_reasons_of_its_own() -> None:
    service = JobQueue(name="q", service_environments=("s",), limits=(StateLimit(reason=SERVICE_REASONS[2], limit=timedelta(minutes=10)),))
    with pytest.raises(Conflict, match="takes service jobs only"):
        may_submit(service)
    with pytest.raises(InvalidField, match="is not one of"):
        replace(QUEUE, limits=service.limits)
    with pytest.raises(InvalidField, match="not both"):
        replace(service, environments=("local",))


def test_a_first_come_queue_cannot_get_a_policy_and_a_fair_one_cannot_lose_it() -> None:
    fair = replace(QUEUE, policy="halves")
    assert fair.with_policy("thirds").policy == "thirds"
    assert QUEUE.with_policy(None) == QUEUE
    with pytest.raises(Conflict, match="cannot get one"):
        QUEUE.with_policy("halves")
    with pytest.raises(Conflict, match="cannot lose"):
        fair.with_policy(None)


def test_how_attempts_run_in_an_environment_that_was_deleted_nobody_knows() -> None:
    assert Catalog().environment("was-podman").runtime not in RUNTIMES
