"""Who goes next and where: examples for each rule of dispatch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from spawn.domain.catalog import Catalog
from spawn.domain.consumables import ConsumableResource, Consumption
from spawn.domain.dispatching import Line, Placement, Round, dispatch, in_order
from spawn.domain.fairshare import Usage
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant
from spawn.domain.jobs import Demand
from spawn.domain.policies import SchedulingPolicy, Share
from spawn.domain.queues import ComputeEnvironment, Health, JobQueue, Switch
from spawn.domain.scheduling import MOST_AHEAD, Capacity, Load, Standing

HOST = Capacity(cpus=4000, memory=8192)


def environment(name: str, **facts: Any) -> ComputeEnvironment:
    return ComputeEnvironment(**({"name": name, "provider": "local"} | facts))


def queue(name: str = "q", environments: tuple[str, ...] = ("local",), **facts: Any) -> JobQueue:
    return JobQueue(name=name, environments=environments, **facts)


def array(number: int, runnable: int = 0, **facts: Any) -> Standing:
    """The array of this number, submitted at this number's millisecond; one vCPU a child unless said otherwise."""
    cpus = facts.pop("vcpus", 1)
    memory = facts.pop("memory", 0)
    placed = facts.get("placed", {})
    defaults = {"key": ArrayKey(f"{number:010x}"), "queue": "q", "created_at": Instant(number), "starting": 0, "running": sum(placed.values())}
    return Standing(
        **(defaults | {"runnable": runnable, "demand": Demand(cpus=round(cpus * 1000), memory=memory), "max_concurrent": None, "duration_s": None} | facts)
    )


def lines(*standings: Standing) -> list[Line]:
    kinds: dict[object, list[Standing]] = {}
    for one in standings:
        kinds.setdefault((one.queue, one.share, one.demand, str(one.consumables)), []).append(one)
    return [Line(queue=line[0].queue, share=line[0].share, standings=line) for line in kinds.values()]


def go(*waiting: Standing, catalog: Catalog, under_way: tuple[Standing, ...] = (), usage: Usage | None = None, host: Capacity = HOST) -> Round:
    return dispatch(lines(*waiting), (*under_way, *(one for one in waiting if one.placed)), host, catalog, usage)


def told(done: Round) -> list[tuple[int, int, str]]:
    """(number of the array, children, environment)"""
    return [(int(one.key, 16), one.count, one.environment) for one in done.placements]


ONE_QUEUE = Catalog.of([queue()])


def test_a_queue_is_served_in_the_order_of_submission() -> None:
    assert told(go(array(1, 3), array(2, 3), catalog=ONE_QUEUE)) == [(1, 3, "local"), (2, 1, "local")]


def test_what_waits_for_room_is_not_passed_by_by_what_is_smaller() -> None:
    running = array(9, placed={"local": 2})
    assert told(go(array(1, 1, vcpus=3), array(2, 1), catalog=ONE_QUEUE, under_way=(running,))) == []


def test_what_can_never_fit_is_passed_over() -> None:
    assert told(go(array(1, 1, vcpus=5), array(2, 1, memory=9000), array(3, 1), catalog=ONE_QUEUE)) == [(3, 1, "local")]


def test_an_array_at_its_own_limit_is_passed_over() -> None:
    assert told(go(array(1, 5, max_concurrent=1, placed={"local": 1}), array(2, 2), catalog=ONE_QUEUE)) == [(2, 2, "local")]


def test_memory_counts_as_vcpus_do() -> None:
    assert told(go(array(1, 4, memory=3000), catalog=ONE_QUEUE)) == [(1, 2, "local")]


def test_short_work_is_handed_over_ahead_and_work_of_unknown_length_is_not() -> None:
    known = go(array(1, 5000, duration_s=0.001), catalog=ONE_QUEUE)
    assert told(known) == [(1, 4 + 1000, "local")], "a quarter second of work for each of four vCPUs, and what runs"
    assert told(go(array(1, 5000, duration_s=1e-9), catalog=ONE_QUEUE))[0][1] == 4 + MOST_AHEAD
    assert told(go(array(1, 5000), catalog=ONE_QUEUE)) == [(1, 4, "local")]


def test_nothing_is_handed_over_ahead_where_an_environment_or_a_resource_is_the_limit() -> None:
    capped = Catalog.of([environment("small", max_cpus=1000), queue(environments=("small",))])
    assert told(go(array(1, 5000, duration_s=0.001), catalog=capped)) == [(1, 1, "small")]
    licences = Catalog.of([queue(), ConsumableResource(name="licence", total=100, created_at=Instant(0))])
    assert told(go(array(1, 5000, duration_s=0.001, consumables={"licence": 1}), catalog=licences)) == [(1, 4, "local")]


def test_the_first_environment_with_room_takes_the_job_and_one_array_may_be_spread() -> None:
    catalog = Catalog.of([environment("a", max_cpus=1000), environment("b", max_cpus=2000), queue(environments=("a", "b"))])
    assert told(go(array(1, 9), catalog=catalog)) == [(1, 1, "a"), (1, 2, "b")]
    assert told(go(array(1, 9, placed={"b": 1}), catalog=catalog)) == [(1, 1, "a"), (1, 1, "b")]


def test_all_environments_share_the_one_host() -> None:
    catalog = Catalog.of([environment("a", max_cpus=3000), environment("b", max_cpus=3000), queue(environments=("a", "b"))])
    assert told(go(array(1, 9), catalog=catalog)) == [(1, 3, "a"), (1, 1, "b")]


def test_a_disabled_or_invalid_environment_gets_no_new_attempts() -> None:
    closed = [environment("a", state=Switch.DISABLED), environment("b", status=Health.INVALID)]
    assert told(go(array(1, 9), catalog=Catalog.of([*closed, queue(environments=("a", "b", "local"))]))) == [(1, 4, "local")]
    assert told(go(array(1, 9), catalog=Catalog.of([*closed, queue(environments=("a", "b"))]))) == []


def test_a_disabled_queue_finishes_what_it_has() -> None:
    assert told(go(array(1, 1), catalog=Catalog.of([queue(state=Switch.DISABLED)]))) == [(1, 1, "local")]


def test_a_job_too_large_for_every_cap_of_its_environments_holds_up_nobody() -> None:
    catalog = Catalog.of([environment("a", max_cpus=2000), queue(environments=("a",))])
    assert told(go(array(1, 1, vcpus=3), array(2, 1), catalog=catalog)) == [(2, 1, "a")]


def test_queues_of_higher_priority_go_first_and_equal_ones_by_the_age_of_their_jobs() -> None:
    catalog = Catalog.of([queue("low", priority=1), queue("also", priority=1), queue("high", priority=9)])
    waiting = [array(1, 1, queue="low"), array(2, 1, queue="also"), array(3, 1, queue="low"), array(4, 1, queue="high")]
    assert [number for number, _, _ in told(go(*waiting, catalog=catalog))] == [4, 1, 2, 3]


def test_room_that_a_job_waits_for_is_kept_from_later_queues_in_its_environments_alone() -> None:
    environments = [environment("a", max_cpus=2000), environment("b", max_cpus=2000)]
    catalog = Catalog.of([*environments, queue("high", ("a",), priority=9), queue("low", ("a",)), queue("other", ("b",))])
    running = array(9, queue="low", placed={"a": 1})
    waiting = [array(1, 1, vcpus=2, queue="high"), array(2, 1, queue="low"), array(3, 1, queue="other")]
    assert told(go(*waiting, catalog=catalog, under_way=(running,))) == [(3, 1, "b")]


def test_a_head_that_its_environment_would_take_and_the_host_has_no_room_for_is_told_of() -> None:
    catalog = Catalog.of([environment("cloud", max_cpus=256_000), queue(environments=("cloud",)), queue("plain")])
    running = array(9, queue="plain", placed={"local": 4})
    assert go(array(1, 1), catalog=catalog, under_way=(running,)).short == {"q": array(1).key}
    busy = array(9, placed={"cloud": 4})
    assert go(array(1, 1, queue="plain"), catalog=catalog, under_way=(busy,)).short == {}, "the environment is the host: waiting is all there is to it"


def clouds(*names: str, vcpus: int = 256) -> list[ComputeEnvironment]:
    return [environment(name, max_cpus=vcpus * 1000) for name in names]


def test_every_queue_whose_head_only_the_host_has_no_room_for_is_told_of() -> None:
    queues = [queue("high", ("a",), priority=9), queue("low", ("b",), priority=1), queue("also", ("b",), priority=1), queue("plain")]
    catalog = Catalog.of([*clouds("a", "b"), *queues])
    running = array(9, queue="plain", placed={"local": 3})
    waiting = [array(1, 1, queue="high", vcpus=2), array(2, 1, queue="low"), array(3, 1, queue="also")]
    done = go(*waiting, catalog=catalog, under_way=(running,))
    assert done.short == {"high": array(1).key, "low": array(2).key, "also": array(3).key}
    assert done.placements == [], "what is left is kept for the first"


def test_who_waits_for_something_else_than_the_full_host_is_not_told_of() -> None:
    queues = [queue("first", ("a",), priority=9), queue("capped", ("b",), priority=2), queue("behind", ("b",)), queue("plain")]
    catalog = Catalog.of([*clouds("a"), *clouds("b", vcpus=2), *queues])
    running = array(9, queue="plain", placed={"local": 3, "b": 1})
    waiting = [array(1, 1, queue="first"), array(2, 1, queue="capped", vcpus=2), array(3, 1, queue="behind")]
    done = go(*waiting, catalog=catalog, under_way=(running,))
    assert done.short == {"first": array(1).key}, "capped waits for its environment, and behind for what is kept for capped"


def test_on_a_full_host_too_the_head_is_the_first_that_could_start_but_for_room() -> None:
    resource = ConsumableResource(name="licence", total=0, created_at=Instant(0))
    catalog = Catalog.of([*clouds("a"), queue("first", ("a",), priority=9), queue("second", ("a",)), queue("plain"), resource])
    running = array(9, queue="plain", placed={"local": 4})
    second = [array(2, 1, consumables={"licence": 1}), array(3, 1, vcpus=8), array(4, 2, max_concurrent=1, placed={"local": 1}), array(5, 1), array(6, 1)]
    done = go(array(1, 1, queue="first"), *(replace(one, queue="second") for one in second), catalog=catalog, under_way=(running,))
    assert done.short == {"first": array(1).key, "second": array(5).key}


def test_an_array_that_fills_the_host_by_itself_is_at_the_head_while_it_has_more() -> None:
    catalog = Catalog.of([*clouds("a"), queue(environments=("a",))])
    filling = array(1, 5, placed={"a": 4})
    assert go(filling, array(2, 1), catalog=catalog).short == {"q": array(1).key}
    assert go(replace(filling, max_concurrent=4), array(2, 1), catalog=catalog).short == {"q": array(2).key}, "its own limit is what it waits for"


# --- consumable resources ---------------------------------------------------------------------------------------------


def licences(total: int, **facts: Any) -> Catalog:
    return Catalog.of([queue(), ConsumableResource(name="licence", total=total, created_at=Instant(0), **facts)])


def test_children_start_only_while_there_is_enough_of_a_resource() -> None:
    assert told(go(array(1, 9, consumables={"licence": 2}), catalog=licences(5))) == [(1, 2, "local")]
    running = array(2, consumables={"licence": 2}, placed={"local": 1})
    assert told(go(array(1, 9, consumables={"licence": 2}), catalog=licences(5), under_way=(running,))) == [(1, 1, "local")]


def test_waiting_for_a_resource_holds_up_nobody() -> None:
    assert told(go(array(1, 9, consumables={"licence": 1}), array(2, 1), catalog=licences(0))) == [(2, 1, "local")]
    assert told(go(array(1, 9, consumables={"gone": 1}), array(2, 1), catalog=licences(1))) == [(2, 1, "local")]


def test_a_total_below_what_is_in_use_only_stops_new_starts() -> None:
    running = array(2, consumables={"licence": 1}, placed={"local": 3})
    assert told(go(array(1, 9, consumables={"licence": 1}), catalog=licences(2), under_way=(running,))) == []


def test_what_was_used_up_is_gone_and_what_runs_is_not_counted_again() -> None:
    running = array(2, consumables={"licence": 1}, placed={"local": 1})
    catalog = licences(3, used=1, consumption=Consumption.NON_REPLENISHABLE)
    assert told(go(array(1, 9, consumables={"licence": 1}), catalog=catalog, under_way=(running,))) == [(1, 2, "local")]


def test_two_arrays_do_not_take_the_same_unit_in_one_round() -> None:
    for consumption in Consumption:
        catalog = licences(3, consumption=consumption)
        assert told(go(array(1, 2, consumables={"licence": 1}), array(2, 2, consumables={"licence": 1}), catalog=catalog)) == [(1, 2, "local"), (2, 1, "local")]


# --- fair shares ------------------------------------------------------------------------------------------------------


def fair(*shares: Share, **facts: Any) -> Catalog:
    return Catalog.of([SchedulingPolicy(name="p", shares=shares, **facts), queue(policy="p")])


def by_share(done: Round, *standings: Standing) -> dict[str, int]:
    shares = {one.key: one.share for one in standings}
    found: dict[str, int] = {}
    for one in done.placements:
        found[shares[one.key]] = found.get(shares[one.key], 0) + one.count
    return found


def test_the_share_that_has_used_the_least_goes_first() -> None:
    waiting = [array(1, 9, share="a"), array(2, 9, share="b")]
    done = go(*waiting, catalog=fair(), usage=Usage(used_s={("q", "a"): 5000.0}))
    assert told(done) == [(2, 4, "local")]


def test_slots_that_come_free_together_go_to_equal_shares_in_turn() -> None:
    waiting = [array(1, 9, share="a"), array(2, 9, share="b")]
    assert by_share(go(*waiting, catalog=fair()), *waiting) == {"a": 2, "b": 2}


def test_a_lower_weight_gets_more_and_a_prefix_names_many_shares() -> None:
    waiting = [array(1, 90, share="team1"), array(2, 90, share="b")]
    host = Capacity(cpus=40_000, memory=0)
    assert by_share(go(*waiting, catalog=fair(Share(identifier="team*", weight=0.25)), host=host), *waiting) == {"team1": 32, "b": 8}


def test_within_a_share_lines_keep_their_order_and_index_order_is_kept() -> None:
    waiting = [array(2, 3, share="a"), array(1, 3, share="a")]
    assert told(go(*waiting, catalog=fair())) == [(2, 3, "local"), (1, 1, "local")]


def test_part_of_the_capacity_is_kept_for_shares_that_are_not_active_yet() -> None:
    half = fair(reservation=50)
    assert told(go(array(1, 9, share="a"), catalog=half)) == [(1, 2, "local")]
    both = [array(1, 9, share="a"), array(2, 9, share="b")]
    assert by_share(go(*both, catalog=half), *both) == {"a": 2, "b": 1}, "a quarter is kept when two are active"
    absent = Usage(active={"q": frozenset({"a", "b"})})
    assert told(go(array(1, 9, share="a"), catalog=half, usage=absent)) == [(1, 3, "local")]


def test_a_reservation_never_keeps_a_queue_from_running_anything() -> None:
    host = Capacity(cpus=1000, memory=0)
    assert told(go(array(1, 9, share="a"), catalog=fair(reservation=99), host=host)) == [(1, 1, "local")]


def test_a_reservation_is_part_of_what_the_environments_allow() -> None:
    catalog = Catalog.of([SchedulingPolicy(name="p", reservation=50), environment("e", max_cpus=2000), queue(environments=("e",), policy="p")])
    assert told(go(array(1, 9, share="a"), catalog=catalog)) == [(1, 1, "e")]


def test_the_order_of_a_queue_is_the_order_in_which_it_would_be_dispatched() -> None:
    waiting = [array(1, 2, share="a"), array(2, 3, share="b")]
    catalog = fair(Share(identifier="b", weight=0.5))
    order = in_order(lines(*waiting), catalog.queues["q"], catalog, Usage(used_s={("q", "a"): 0.2}), Load.of((), HOST))
    assert [int(key, 16) for key in order] == [2, 1, 2, 2, 1]
    assert Placement(array(1).key, 1, "local") in go(array(1, 1), catalog=ONE_QUEUE).placements
