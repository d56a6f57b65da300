"""The scheduler at large: whatever the catalog and the jobs are, no limit is passed and nothing waits for ever."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spawn.domain.catalog import Catalog
from spawn.domain.consumables import ConsumableResource
from spawn.domain.dispatching import Line, dispatch
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant
from spawn.domain.jobs import Demand
from spawn.domain.placement import open_environments
from spawn.domain.policies import SchedulingPolicy, Share
from spawn.domain.queues import ComputeEnvironment, JobQueue, Switch
from spawn.domain.scheduling import Capacity, Standing

HOST = Capacity(cpus=4000, memory=4096)
NAMES = ("a", "b", "local")
QUEUES = ("one", "two", "shared")
RESOURCE = "licence"

environments = st.builds(
    ComputeEnvironment,
    name=st.just("a"),
    provider=st.just("local"),
    max_cpus=st.sampled_from([None, 1000, 2000, 8000]),
    state=st.sampled_from([Switch.ENABLED, Switch.ENABLED, Switch.DISABLED]),
)
orders = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True).map(tuple)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    policy = SchedulingPolicy(
        name="p", reservation=draw(st.sampled_from([0, 0, 50, 90])), shares=(Share(identifier="x", weight=draw(st.sampled_from([0.5, 1.0, 4.0]))),)
    )
    queues = [JobQueue(name=name, environments=draw(orders), priority=draw(st.integers(0, 1)), policy="p" if name == "shared" else None) for name in QUEUES]
    resource = ConsumableResource(name=RESOURCE, total=draw(st.integers(0, 3)), created_at=Instant(0))
    return Catalog.of([policy, resource, *(replace(draw(environments), name=name) for name in ("a", "b")), *queues])


@st.composite
def arrays(draw: st.DrawFn) -> list[Standing]:
    found = []
    for number in range(draw(st.integers(1, 8))):
        name = draw(st.sampled_from(QUEUES))
        found.append(
            Standing(
                key=ArrayKey(f"{number:010x}"),
                queue=name,
                share=draw(st.sampled_from(["x", "y"])) if name == "shared" else "",
                demand=Demand(cpus=draw(st.sampled_from([250, 1000, 3000, 5000])), memory=draw(st.sampled_from([0, 1024, 4096]))),
                consumables=draw(st.sampled_from([{}, {}, {RESOURCE: 1}, {RESOURCE: 2}])),
                created_at=Instant(number),
                runnable=draw(st.integers(1, 5)),
                starting=0,
                running=0,
                max_concurrent=draw(st.sampled_from([None, None, 1])),
                duration_s=draw(st.sampled_from([None, None, 0.01])),
            )
        )
    return found


def lines(standings: list[Standing]) -> list[Line]:
    kinds: dict[object, list[Standing]] = {}
    for one in standings:
        kinds.setdefault((one.queue, one.share, one.demand, str(one.consumables)), []).append(one)
    return [Line(queue=line[0].queue, share=line[0].share, standings=line) for line in kinds.values()]


def after(standings: list[Standing], catalog: Catalog) -> list[Standing]:
    """Where the arrays stand when what a round says has been handed over."""
    by_key = {one.key: one for one in standings}
    for placement in dispatch(lines(standings), [one for one in standings if one.placed], HOST, catalog).placements:
        one = by_key[placement.key]
        assert 0 < placement.count <= one.runnable
        assert placement.environment in [open_one.name for open_one in open_environments(catalog.queues[one.queue], catalog)]
        placed = {**one.placed, placement.environment: one.placed.get(placement.environment, 0) + placement.count}
        by_key[one.key] = replace(one, runnable=one.runnable - placement.count, starting=one.starting + placement.count, placed=placed)
    return list(by_key.values())


def is_within_limits(standings: list[Standing], catalog: Catalog) -> None:
    used: Counter[str] = Counter()
    for one in standings:
        for name, count in one.placed.items():
            used[name] += count * one.demand.cpus
    for name, cpus in used.items():
        cap = catalog.environments[name].max_cpus
        assert cap is None or cap >= HOST.cpus or cpus <= cap, f"{name} uses {cpus} of {cap}"
    assert sum(one.starting * one.consumables.get(RESOURCE, 0) for one in standings) <= catalog.consumables[RESOURCE].total
    if all(one.duration_s is None for one in standings):
        assert sum(used.values()) <= HOST.cpus
        assert sum(one.starting * one.demand.memory for one in standings) <= HOST.memory
        assert all(one.max_concurrent is None or one.starting <= one.max_concurrent for one in standings)


def can_run(one: Standing, catalog: Catalog) -> bool:
    open_ones = open_environments(catalog.queues[one.queue], catalog)
    fits = HOST.holds(one.demand) and any(env.max_cpus is None or one.demand.cpus <= env.max_cpus for env in open_ones)
    return fits and one.consumables.get(RESOURCE, 0) <= catalog.consumables[RESOURCE].total


@settings(max_examples=200, deadline=None)
@given(catalogs(), arrays())
def test_no_limit_is_ever_passed(catalog: Catalog, standings: list[Standing]) -> None:
    once = after(standings, catalog)
    is_within_limits(once, catalog)
    twice = after(once, catalog)
    is_within_limits(twice, catalog)
    if all(one.duration_s is None for one in standings) and not catalog.policies["p"].reservation:
        assert twice == once or any(one.queue == "shared" for one in standings), "a second round finds nothing that the first had left"


@settings(max_examples=150, deadline=None)
@given(catalogs(), arrays(), st.randoms(use_true_random=False))
def test_everything_that_can_run_runs_in_the_end(catalog: Catalog, standings: list[Standing], chance: object) -> None:
    total = sum(one.runnable for one in standings)
    for _ in range(3 * total + 3):
        standings = after(standings, catalog)
        is_within_limits(standings, catalog)
        busy = [one for one in standings if one.placed]
        if not busy:
            break
        ended = chance.choice(busy)  # type: ignore[attr-defined]
        name = chance.choice(sorted(ended.placed))  # type: ignore[attr-defined]
        placed = {env: count - (env == name) for env, count in ended.placed.items() if count - (env == name)}
        standings = [replace(one, starting=one.starting - 1, placed=placed) if one is ended else one for one in standings]
    assert not [one for one in standings if one.runnable and can_run(one, catalog)]


@settings(max_examples=50, deadline=None)
@given(catalogs(), arrays())
def test_the_same_question_has_the_same_answer(catalog: Catalog, standings: list[Standing]) -> None:
    assert after(standings, catalog) == after(list(standings), catalog)


@settings(max_examples=50, deadline=None)
@given(arrays(), st.integers(1, 4), st.integers(1, 4))
def test_a_large_job_is_not_passed_by_for_ever_by_small_ones(standings: list[Standing], small: int, rounds: int) -> None:
    """New small jobs keep coming, in the same queue and in one of equal priority: the large one starts as soon as those before it have ended."""
    assume(standings)
    large = replace(standings[0], key=ArrayKey("f" * 10), queue="one", share="", demand=Demand(cpus=4000, memory=0), consumables={}, runnable=1)
    large = replace(large, created_at=Instant(100), max_concurrent=None, duration_s=None)
    catalog = Catalog.of([JobQueue(name="one", environments=("local",)), JobQueue(name="two", environments=("local",))])
    running = replace(large, key=ArrayKey("e" * 10), demand=Demand(cpus=1000, memory=0), runnable=0, starting=2, placed={"local": 2})
    for number in range(rounds):
        came = replace(large, demand=running.demand, created_at=Instant(200 + number))
        new = [replace(came, key=ArrayKey(f"{200 + number * 10 + i:010x}"), queue=("one", "two")[i % 2]) for i in range(small)]
        assert after([running, large, *new], catalog) == [running, large, *new], "all wait behind it"
    assert after([large, *new], catalog)[0].starting == 1
