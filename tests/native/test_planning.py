"""Plans for EC2 and launches there: everything is checked, and nothing is made before it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spawn.domain.costs import Layout, Price, estimate
from spawn.domain.errors import ConfigurationError, InvalidField, NotFound, SpawnError, UsageError
from spawn.domain.fleets import Plan
from spawn.engine.submission import Submission
from tests.cli.canned import check
from tests.domain.making import make_fleet
from tests.native.calling import Calling

PRICE = Price(usd=0.0104, source="a test", as_of="2026-01-01")


@pytest.fixture
def api(tmp_path: Path) -> Calling:
    calling = Calling(tmp_path)
    layout = Layout(children=5, instances=5, vcpus=2, per_call=100, ttl=None, volume_gib=8, volume_usd_gib_month=0.08, zones=("us-east-1a",))
    estimated = estimate(layout, on_demand=PRICE, spot=None, wants_spot=False)
    calling.fleets.plans = Plan(fleet=make_fleet(), estimate=estimated, notes=("a note of the plan",))
    return calling


def asked(**changes: Any) -> Submission:
    defaults: dict[str, Any] = {"provider": "ec2", "name": "my-array", "indexes": "5", "command": ("./run.sh",), "access": {"AWS_PROFILE": "lab"}}
    return Submission(**defaults | changes)


def test_a_plan_keeps_to_its_schema_and_nothing_is_kept_of_it(api: Calling) -> None:
    answer = api.ask(lambda: api.service.planning.plan(asked(ttl_s=1800)))
    check("plan", answer)
    assert (answer["name"], answer["instances"], answer["usd"], answer["ttl_s"]) == ("my-array", 5, pytest.approx(0.056384), 1800)
    assert answer["notes"] == ["a note of the plan"]
    assert answer["offers"][0]["on_demand"] == {"usd": 0.0104, "source": "a test", "as_of": "2026-01-01"}
    assert api.fleets.asked == [("plan", "my-array")]
    assert list(api.store.all_jobs({})) == []


def test_without_a_word_about_it_there_is_a_ttl(api: Calling) -> None:
    assert api.ask(lambda: api.service.planning.plan(asked()))["ttl_s"] == 4 * 3600
    endless = api.ask(lambda: api.service.planning.plan(asked(no_ttl=True)))
    check("plan", endless)
    assert (endless["ttl_s"], endless["usd"], endless["usd_per_hour"]) == (None, None, pytest.approx(0.056384))


def test_a_launch_is_planned_again_admitted_and_taken_in_that_order(api: Calling) -> None:
    answer = api.ask(lambda: api.service.submit(asked(), children=True))
    check("launch", answer)
    assert [words[0] for words in api.fleets.asked] == ["plan", "admit"]
    assert api.fleets.asked[1] == ("admit", answer["array_id"])
    assert (answer["provider"], answer["notes"]) == ("ec2", ["a note of the plan"])
    assert [child["instance_id"] for child in answer["children"]] == [None] * 5
    assert api.row(answer["array_id"]).job.fleet == make_fleet()
    assert "lab" not in str(api.row(answer["array_id"]))


def test_what_runs_here_is_not_planned(api: Calling) -> None:
    answer = api.ask(lambda: api.service.submit(asked(provider="local", access={}, workdir="/"), children=False))
    assert (answer["provider"], api.fleets.asked) == ("local", [])


def test_a_dry_run_checks_and_takes_nothing(api: Calling) -> None:
    answer = api.ask(lambda: api.service.submit(asked(dry_run=True), children=False))
    assert (answer["array_id"], answer["size"]) == ("", 5)
    assert [words[0] for words in api.fleets.asked] == ["plan"]
    assert list(api.store.all_jobs({})) == []


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"provider": "slurm"}, UsageError, "--provider: 'slurm' is not part of this version: use one of local, ec2"),
        ({"cpus": 4.0}, InvalidField, "--cpus: 4 is more than the 2 vCPUs of t3.micro: name a larger --instance-type"),
        ({"memory_mib": 2048}, InvalidField, "--memory: 2048 MiB is more than the 1024 MiB of t3.micro"),
        ({"access": {"LD_PRELOAD": "x"}}, InvalidField, "access: 'LD_PRELOAD' is not one of AWS_PROFILE"),
        ({"cloud": {"colour": "red"}}, InvalidField, "'colour' is not known"),
        ({"cloud": {"spot": "yes"}}, InvalidField, "cloud: "),
        ({"cloud": {"spot_max_price": 0.1}}, InvalidField, "add --spot"),
        ({"cloud": {"spot_retries": 5}}, InvalidField, "--spot-retries: it counts losses to the spot market: add --spot"),
        ({"cloud": {"spot": True}, "on_complete": "stop"}, InvalidField, "--on-complete: a spot instance is launched once and cannot be stopped"),
        ({"cloud": {"spot": True, "on_demand_fallback": True}, "on_complete": "hibernate"}, InvalidField, "cannot be hibernated"),
        ({"no_ttl": True, "ttl_s": 5.0}, UsageError, "--ttl and --no-ttl"),
        ({"depends_on": ({"id": "nobody", "type": None},)}, NotFound, "nobody"),
        ({"indexes": "5-2"}, UsageError, "reversed"),
        ({"name": "a b"}, UsageError, "a b"),
    ],
)
def test_what_cannot_be_launched_is_refused_by_plan_and_launch_alike(api: Calling, changes: dict[str, Any], error: type[SpawnError], sentence: str) -> None:
    for call in (lambda: api.service.planning.plan(asked(**changes)), lambda: api.service.submit(asked(**changes), children=False)):
        with pytest.raises(error) as refused:
            api.ask(call)
        assert sentence in str(refused.value)
    assert list(api.store.all_jobs({})) == []
    assert "admit" not in [words[0] for words in api.fleets.asked]


def test_a_plan_is_for_ec2(api: Calling) -> None:
    with pytest.raises(InvalidField, match="what runs on this machine costs nothing"):
        api.ask(lambda: api.service.planning.plan(asked(provider="local")))


def test_an_engine_without_ec2_says_so(api: Calling) -> None:
    api.fleets = None  # type: ignore[assignment]
    api.serve()
    with pytest.raises(ConfigurationError, match="cannot launch on EC2"):
        api.ask(lambda: api.service.submit(asked(), children=False))
