"""What arrays have cost, as the native API tells it: by the lives of instances, or by attempts on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spawn.api.native.costs import Costs, ListPrices
from spawn.domain.costs import Price
from spawn.domain.errors import NotFound, UsageError
from spawn.domain.fleets import Life, Market
from spawn.domain.ids import JobId
from spawn.domain.instants import Instant, iso
from spawn.domain.states import InstanceState
from tests.cli.canned import check
from tests.native.calling import Calling, at, real_id

TABLE = {"t3.micro": 0.01, "c7i.large": 0.09}
HOUR = 3600.0


@pytest.fixture
def api(tmp_path: Path) -> Calling:
    return Calling(tmp_path)


def costs(api: Calling, *refs: str, by: str | None = None, tags: dict[str, str] | None = None) -> list[Any]:
    """The answers, each held to its schema."""

    def of_type(name: str) -> Price | None:
        return Price(usd=TABLE[name], source="table shipped with spawn", as_of="2026-01-01") if name in TABLE else None

    prices = ListPrices(region="us-east-1", of_type=of_type, of_volumes=lambda: 0.0, volume_gib=8)
    answer = Costs(records=api.store, clock=api.clock, fleets=api.fleets, prices=prices).costs(refs=refs, tags=tags or {}, by=by)
    for one in answer["arrays"]:
        check("cost", one)
    arrays: list[Any] = answer["arrays"]
    return arrays


def lived(api: Calling, job: JobId, *lives: tuple[int, float, float | None]) -> None:
    """Instances of these children, from and to so many hours after the array was made; None: they live."""
    start = api.row(job).job.created_at

    def life(position: int, began: float, ended: float | None) -> Life:
        return Life(
            instance_id=real_id(position + 100),
            region="us-east-1",
            zone="us-east-1a",
            type="t3.micro",
            market=Market.SPOT,
            began=at(start, began * HOUR),
            ended=None if ended is None else at(start, ended * HOUR),
            usd_per_hour=Price(usd=0.004, source="spot price history", as_of="2026-01-01"),
            positions=(position,),
            volume_gib=0,
            volume_usd_gib_month=0.0,
        )

    api.fleets.history[api.key(job)] = tuple(life(*one) for one in lives)


def pass_hours(api: Calling, hours: float) -> Instant:
    api.clock.advance(hours * HOUR)
    return api.clock.now()


def test_so_far_is_the_sum_of_all_lives_terminated_ones_too(api: Calling) -> None:
    job = api.launch(2, on_complete="terminate", ttl_s=4 * HOUR)
    lived(api, job, (0, 0.0, 1.0), (1, 0.0, None))
    pass_hours(api, 2.0)
    (answer,) = costs(api, job)
    assert (answer["provider"], answer["hypothetical"], answer["instances"], answer["running"]) == ("ec2", False, 2, 1)
    assert (answer["hours"], answer["usd"]) == (3.0, pytest.approx(0.012))
    assert answer["prices"] == [
        {"type": "t3.micro", "market": "spot", "region": "us-east-1", "instances": 2, "usd": 0.004, "source": "spot price history", "as_of": "2026-01-01"}
    ]


def test_what_is_still_to_be_launched_is_part_of_what_is_to_come(api: Calling) -> None:
    job = api.launch(10, on_complete="terminate", ttl_s=4 * HOUR, max_concurrent=1)
    api.boot(job, 0)
    lived(api, job, (0, 0.0, None))
    (answer,) = costs(api, job)
    volumes = 8 * 0.08 / 730
    assert answer["usd_at_most"] == pytest.approx(4 * 0.004 + 9 * 4 * (0.0104 + volumes), rel=1e-3)


def test_of_shared_instances_only_those_that_are_missing_are_to_come(api: Calling) -> None:
    job = api.launch(10, options={"instances": 2}, on_complete="terminate", ttl_s=4 * HOUR)
    lived(api, job, (0, 0.0, None))
    (answer,) = costs(api, job)
    assert answer["usd_at_most"] == pytest.approx(4 * 0.004 + 4 * (0.0104 + 8 * 0.08 / 730), rel=1e-3)


def test_an_instance_that_lives_on_after_its_work_is_none_of_those_to_come(api: Calling) -> None:
    job = api.launch(2, on_complete="none", ttl_s=4 * HOUR, max_concurrent=1)
    api.boot(job, 0)
    lived(api, job, (0, 0.0, None))
    before = costs(api, job)[0]["usd_at_most"]
    api.over(job, 0)
    assert costs(api, job)[0]["usd_at_most"] == before == pytest.approx(4 * 0.004 + 4 * (0.0104 + 8 * 0.08 / 730), rel=1e-3)


def test_after_the_end_it_stays_what_it_was(api: Calling) -> None:
    job = api.launch(1, on_complete="terminate", ttl_s=4 * HOUR)
    api.boot(job, 0)
    api.over(job, 0)
    lived(api, job, (0, 0.0, 1.0))
    pass_hours(api, 100)
    (answer,) = costs(api, "last")
    assert (answer["usd"], answer["usd_expected"], answer["usd_at_most"], answer["status"]) == (0.004, 0.004, 0.004, "SUCCEEDED")


def test_an_instance_that_is_stopped_does_not_run_and_is_not_another_one(api: Calling) -> None:
    job = api.launch(2, on_complete="stop", ttl_s=4 * HOUR)
    lived(api, job, (0, 0.0, 1.0), (0, 1.0, None), (1, 0.0, None))
    first, pause, other = api.fleets.history[api.key(job)]
    free = Price(usd=0.0, source="a stopped instance is not charged", as_of="2026-01-01")
    api.fleets.history[api.key(job)] = (first, replace(pause, stopped=True, usd_per_hour=free), other)
    pass_hours(api, 3.0)
    (answer,) = costs(api, job)
    assert (answer["instances"], answer["running"], answer["hours"], answer["usd"]) == (2, 1, 4.0, pytest.approx(0.016))
    assert [(price["instances"], price["usd"]) for price in answer["prices"]] == [(2, 0.004)]


def test_instances_that_had_ended_elsewhere_are_named_as_not_counted(api: Calling) -> None:
    job = api.launch(2, on_complete="terminate", ttl_s=4 * HOUR)
    api.boot(job, 0, 1)
    api.over(job, 0)
    api.over(job, 1)
    lived(api, job, (1, 0.0, 1.0))
    note = "not counted: 1 instance whose life was not seen here: it ended before the array was adopted, or was launched elsewhere, where `spawn cost` knows it"
    assert costs(api, job)[0]["notes"] == [note]
    lived(api, job, (0, 0.0, 1.0), (1, 0.0, 1.0))
    assert costs(api, job)[0]["notes"] == []


def test_an_instance_that_is_known_and_whose_life_is_not_is_named_as_not_counted(api: Calling) -> None:
    job = api.launch(2, on_complete="terminate", ttl_s=4 * HOUR)
    lived(api, job, (1, 0.0, 1.0))
    api.fleets.idle[api.key(job)] = {InstanceState.TERMINATED: 3}
    (note,) = costs(api, job)[0]["notes"]
    assert note.startswith("not counted: 2 instances whose lives were not seen here: they ended before")


def test_what_nobody_has_looked_at_is_counted_up_to_the_last_look_and_that_is_said(api: Calling) -> None:
    job = api.launch(2, on_complete="terminate", ttl_s=4 * HOUR)
    lived(api, job, (0, 0.0, 1.0), (1, 0.0, None))
    first, second = api.fleets.history[api.key(job)]
    seen = at(second.began, 1.5 * HOUR)
    api.fleets.history[api.key(job)] = (first, replace(second, known_to=seen))
    pass_hours(api, 1.5)
    assert (costs(api, job)[0]["hours"], costs(api, job)[0]["notes"]) == (2.5, [])
    pass_hours(api, 1.0)
    (answer,) = costs(api, job)
    assert (answer["hours"], answer["running"], answer["usd"]) == (2.5, 1, pytest.approx(0.01))
    assert answer["notes"] == [f"not counted: what 1 instance costs since {iso(seen)}, when EC2 last said how it stands; the engine goes on asking"]


def test_prices_that_differ_by_less_than_is_shown_are_one(api: Calling) -> None:
    job = api.launch(2, ttl_s=4 * HOUR)
    lived(api, job, (0, 0.0, 1.0), (1, 0.0, 1.0))
    first, second = api.fleets.history[api.key(job)]
    averaged = replace(second.usd_per_hour, usd=0.0035999999999999995)
    api.fleets.history[api.key(job)] = (replace(first, usd_per_hour=replace(averaged, usd=0.0036)), replace(second, usd_per_hour=averaged))
    (price,) = costs(api, job)[0]["prices"]
    assert (price["instances"], price["usd"]) == (2, 0.0036)


def test_costs_are_told_apart_by_index_day_and_type(api: Calling) -> None:
    job = api.launch(2, indexes="3,7", ttl_s=4 * HOUR)
    lived(api, job, (0, 0.0, 1.0), (1, 0.0, 2.0))
    by_index = costs(api, job, by="index")[0]["parts"]
    assert [(part["index"], part["usd"]) for part in by_index] == [(3, 0.004), (7, 0.008)]
    for by in ("day", "type"):
        parts = costs(api, job, by=by)[0]["parts"]
        assert sum(part["usd"] for part in parts) == pytest.approx(0.012)
        assert all(part[by] is not None for part in parts)


def test_an_array_on_this_machine_shows_what_it_would_have_cost(api: Calling) -> None:
    job = api.submit(indexes="2", cloud={"instance_types": ["c7i.large"]})
    for attempt in list(api.provider.started):
        api.begin(attempt)
    pass_hours(api, 1.0)
    (answer,) = costs(api, job)
    assert (answer["provider"], answer["hypothetical"], answer["instances"], answer["usd"]) == ("local", True, 2, pytest.approx(0.18))
    assert "cost nothing" in answer["notes"][0]


@pytest.mark.parametrize("cloud", [{}, {"instance_types": ["x9.unheard"]}])
def test_a_type_that_is_not_in_the_table_is_stood_for_and_that_is_said(api: Calling, cloud: dict[str, Any]) -> None:
    job = api.submit(indexes="1", cloud=cloud)
    api.begin(api.provider.started[0])
    pass_hours(api, 1.0)
    (answer,) = costs(api, job)
    assert answer["usd"] == pytest.approx(0.01)
    assert any("does not have x9.unheard: t3.micro stands for it" in note for note in answer["notes"]) == bool(cloud)


def test_without_a_name_all_arrays_are_told_newest_first(api: Calling) -> None:
    first = api.submit(tags={"project": "films"})
    pass_hours(api, 1.0)
    second = api.launch(1)
    assert [answer["array_id"] for answer in costs(api)] == [second, first]
    assert [answer["array_id"] for answer in costs(api, tags={"project": "films"})] == [first]


def test_what_is_asked_wrongly_is_refused(api: Calling) -> None:
    with pytest.raises(NotFound, match="nobody"):
        costs(api, "nobody")
    with pytest.raises(UsageError, match="'week' is not a way to tell costs apart: use one of index, day, type"):
        costs(api, by="week")
