"""What a launch asks of EC2, and what its instances boot with."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.fleets import Fleet, Market
from spawn.domain.indexes import IndexSet
from spawn.domain.instances import Lifetime, OnComplete
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.providers.ec2.agent_archive import agent_archive
from spawn.providers.ec2.launches import launch_in, unrolled
from spawn.providers.ec2.requests import launch_document, run_parameters, runs_of, token_of
from spawn.providers.ec2.turn import Array
from spawn.providers.ec2.userdata import MOST_BYTES, STAGED, Fetched, Staged, embedded_or_none, staged
from tests.domain.making import make_fleet, make_job
from tests.providers.ec2.bench import fleet_of

AGENT = Fetched(url="https://bucket.s3.amazonaws.com/spored/1.pyz?X-Amz-Signature=5&X-Amz-Expires=9", sha256="a" * 64)
NOWHERE: dict[str, str | None] = {"s3": None, "sqs": None, "ec2": None}


def array_of(job: Job, **prepared: Any) -> Array:
    """An array that has been prepared."""
    return Array(
        job=job, account="1", access="{}", admitted=1, forgotten=False, prepared=prepared, launches=0, queue=None, max_concurrent=None, limit_due=False
    )


def request_of(job: Job, market: Market = Market.ON_DEMAND, count: int = 3, **prepared: Any) -> dict[str, Any]:
    """The parameters of a launch of a job."""
    assert job.fleet is not None
    return run_parameters(array_of(job, **prepared), job.fleet.offers[0], market, "token", count, b"#!/bin/sh\n", owner="arn:me", at=Instant(5_000))


def cloud_job(size: int = 3, **options: Any) -> Job:
    """A job for EC2."""
    return make_job(1, size, fleet=make_fleet(**options))


def unpacked(user_data: bytes) -> str:
    """The script itself."""
    return (gzip.decompress(user_data) if user_data[:2] == b"\x1f\x8b" else user_data).decode()


def test_one_call_tags_instances_and_volumes_so_that_no_other_call_has_to() -> None:
    asked = request_of(make_job(1, 3, fleet=make_fleet(), tags={"team": "blue"}))
    assert (asked["MinCount"], asked["MaxCount"], asked["ClientToken"]) == (1, 3, "token")
    kinds = {each["ResourceType"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in asked["TagSpecifications"]}
    assert set(kinds) == {"instance", "volume"}
    for tags in kinds.values():
        assert tags["Name"] == "job-1"
        assert (tags["spawn:array"], tags["spawn:key"], tags["spawn:token"], tags["spawn:owner"]) == ("job-1", "0000000001", "token", "arn:me")
        assert tags["team"] == "blue"


def test_an_instance_that_shuts_itself_down_is_gone_and_its_metadata_need_a_token() -> None:
    asked = request_of(cloud_job())
    assert asked["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert asked["MetadataOptions"]["HttpTokens"] == "required"
    assert asked["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is True


def test_a_spot_launch_bids_what_its_user_allows() -> None:
    asked = request_of(cloud_job(spot=True, spot_max_price=0.0123), Market.SPOT)
    assert asked["InstanceMarketOptions"]["SpotOptions"]["MaxPrice"] == "0.0123"
    assert "InstanceMarketOptions" not in request_of(cloud_job(spot=True, on_demand_fallback=True), Market.ON_DEMAND)


def test_the_groups_and_the_profile_made_for_it_are_used() -> None:
    asked = request_of(cloud_job(), profile="spawn-1", security_groups={"subnet-1": ["sg-9"]})
    assert asked["IamInstanceProfile"] == {"Name": "spawn-1"}
    assert asked["SecurityGroupIds"] == ["sg-9"]


def test_tokens_differ_by_array_number_and_members_and_fit_what_ec2_takes() -> None:
    members = [[(0, 1)], [(1, 1)]]
    tokens = {token_of("0" * 10, 1, members), token_of("0" * 10, 2, members), token_of("1" * 10, 1, members), token_of("0" * 10, 1, [[(0, 2)], [(1, 1)]])}
    assert len(tokens) == 4
    assert all(len(token) <= 64 and token.isascii() for token in tokens)
    assert token_of("0" * 10, 1, members) == token_of("0" * 10, 1, members)


@given(st.lists(st.tuples(st.integers(0, 199), st.integers(1, 3)), unique_by=lambda member: member[0]).map(sorted))
def test_runs_stand_for_exactly_the_attempts_that_they_were_made_of(members: list[tuple[int, int]]) -> None:
    job = make_job(1, 200, indexes=IndexSet.of([7, *range(20, 219)]))
    runs = runs_of(job, members)
    assert unrolled(runs) == members
    indexes = [index + nth * step for _, index, _, count, step in runs for nth in range(count)]
    assert indexes == [job.index_at(position) for position, _ in members]


def test_ten_thousand_attempts_of_an_instance_take_one_run() -> None:
    job = make_job(1, 10_000, indexes=IndexSet.parse("0-39999:4")[0])
    assert runs_of(job, [(position, 1) for position in range(10_000)]) == [[0, 0, 1, 10_000, 4]]


def launch_of(job: Job, **facts: Any) -> dict[str, Any]:
    """The configuration of a launch of the first three children."""
    return launch_document(array_of(job), facts.pop("market", Market.ON_DEMAND), "token", [[(0, 1)], [(1, 1)], [(2, 1)]], NOWHERE)


def test_the_launch_tells_each_instance_what_it_has_to_do_and_when_it_ends() -> None:
    job = make_job(1, 3, fleet=make_fleet(), lifetime=Lifetime(ttl=timedelta(hours=2), idle=timedelta(minutes=5), on_complete=OnComplete.STOP))
    launch = launch_of(job)
    assert launch["members"] == [[[0, 0, 1, 1, 1]], [[1, 1, 1, 1, 1]], [[2, 2, 1, 1, 1]]]
    assert (launch["ttl_s"], launch["idle_s"], launch["on_complete"], launch["slots"]) == (7200.0, 300.0, "stop", 1)
    assert (launch["spec"]["directory"], launch["spec"]["keep"], launch["spec"]["ttl_s"]) == ("/var/lib/spored/array", True, None)
    assert launch_of(make_job(1, 3, fleet=make_fleet(hibernate=True)))["on_complete"] == "hibernate"


def test_scripts_that_share_an_instance_have_a_tmp_each_and_one_alone_has_the_machines() -> None:
    alone, together = make_fleet(), make_fleet(instances=1, per_instance=4)
    work = make_job(1, 3).work
    script = type(work)(script="#!/bin/sh\n", command=None, environment={}, given=(), workdir="/", private_tmp=False, compat_env=True)
    assert launch_of(make_job(1, 3, fleet=alone, work=script))["spec"]["private_tmp"] is False
    shared = launch_of(make_job(1, 3, fleet=together, work=script))
    assert (shared["spec"]["private_tmp"], shared["slots"]) == (True, 4)


@pytest.mark.parametrize(("workdir", "told", "visible"), [("", None, []), ("/srv/data", "/srv/data", []), ("/tmp/data", "/tmp/data", ["/tmp/data"])])
def test_the_directory_of_the_instance_that_was_asked_for_is_where_it_runs(workdir: str, told: str | None, visible: list[str]) -> None:
    work = replace(make_job(1, 3).work, workdir=workdir)
    spec = launch_of(make_job(1, 3, fleet=make_fleet(), work=work))["spec"]
    assert (spec["workdir"], spec["visible"]) == (told, visible)


def test_user_data_schedule_the_end_before_anything_that_can_fail() -> None:
    script = unpacked(embedded_or_none(launch_of(cloud_job()), AGENT, 5401.0) or b"")
    lines = script.splitlines()
    assert lines[0] == "#!/bin/sh"
    guard = next(number for number, line in enumerate(lines) if line.startswith("shutdown -h +91 "))
    assert not any(word in line for line in lines[:guard] for word in ("fetch", "get", "python3", "exit"))


def test_an_instance_without_a_ttl_has_no_end_scheduled() -> None:
    assert "shutdown" not in unpacked(embedded_or_none(launch_of(cloud_job()), AGENT, None) or b"").split("# spored-launch-begin")[0]


def test_what_is_embedded_can_be_read_back_and_the_same_launch_has_the_same_bytes() -> None:
    launch = launch_of(cloud_job())
    made = embedded_or_none(launch, AGENT, 60.0)
    assert made is not None
    assert made == embedded_or_none(launch, AGENT, 60.0)
    assert launch_in(made) == json.loads(json.dumps(launch))


def test_what_does_not_fit_is_staged_and_read_by_the_agent_which_is_told_where_by_words_that_no_shell_changes(tmp_path: Path) -> None:
    launch = launch_of(cloud_job())
    launch["spec"]["script"] = "#!/bin/sh\n" + random.Random(1).randbytes(20_000).hex()
    assert embedded_or_none(launch, AGENT, 60.0) is None
    place = Staged(bucket="results", region="eu-west-1", key="a $(b)`c`;'d'\"e", sha256="b" * 64, endpoint="https://s3.example/it's?$HOME")
    made = staged(place, AGENT, 60.0)
    assert len(made) <= MOST_BYTES
    script = unpacked(made)
    assert script.splitlines()[3].startswith("shutdown -h +1 ")
    told = tmp_path / "python3"
    told.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 6\n")
    told.chmod(0o755)
    run = "\n".join([*(line for line in script.splitlines() if line.startswith("fail()")), 'say() { echo "$*"; }', script[script.index(STAGED) :]])
    done = subprocess.run(["sh"], input=run, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    flags = ["--bucket", place.bucket, "--region", place.region, "--key", place.key, "--sha256", place.sha256, "--endpoint", place.endpoint]
    failed = "the configuration of the launch could not be read, or the agent not be installed: this instance does nothing, and ends at its time"
    assert done.stdout.splitlines() == ["/opt/spored/spored.pyz", "instance", "install", *flags, failed]
    assert done.returncode == 1


def test_the_script_is_sh_and_unpacks_what_was_packed(tmp_path: Path) -> None:
    launch = launch_of(cloud_job())
    script = unpacked(embedded_or_none(launch, AGENT, 60.0) or b"")
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    file = tmp_path / "part-001"
    file.write_text(script)
    unpack = next(line for line in script.splitlines() if line.startswith("sed -n")).replace('"$0"', f'"{file}"').replace('"$part"', "/dev/stdout")
    unpack = unpack.removesuffix(" ||")
    assert json.loads(subprocess.run(["sh", "-c", unpack], capture_output=True, check=True).stdout) == json.loads(json.dumps(launch))


def test_the_agents_archive_has_the_same_bytes_each_time_and_runs(tmp_path: Path) -> None:
    archive = agent_archive()
    agent_archive.cache_clear()
    assert agent_archive() == archive
    file = tmp_path / "spored.pyz"
    file.write_bytes(archive.content)
    assert subprocess.run(["python3", str(file), "version"], capture_output=True, text=True, check=True).stdout.startswith("spored ")


def test_burstable_types_cost_their_price_and_no_more_where_there_is_a_budget() -> None:
    def fleet(kind: str, budget: float | None) -> Fleet:
        made = fleet_of(types=(kind,))
        return replace(made, options=replace(made.options, budget_usd=budget))

    assert "CreditSpecification" not in request_of(make_job(1, 3, fleet=fleet("t3.micro", None)))
    asked = {kind: request_of(make_job(1, 3, fleet=fleet(kind, 5.0))) for kind in ("t3.micro", "t4g.small", "c7i.large", "trn1.2xlarge")}
    assert {kind: request.get("CreditSpecification") for kind, request in asked.items()} == {
        "t3.micro": {"CpuCredits": "standard"}, "t4g.small": {"CpuCredits": "standard"}, "c7i.large": None, "trn1.2xlarge": None,
    }  # fmt: skip
