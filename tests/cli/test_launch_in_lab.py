"""Launching on EC2 and what it costs, with the real engine, in a laboratory in which no machine boots."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from canned import check
from running import Result, Run, command

from spawn.testing.ec2lab.lab import Lab
from spawn.testing.ec2lab.plan import LabPlan

SOURCE = str(Path(__file__).parents[2] / "src")
PRICE = 0.0104


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """An account in which 100 vCPUs of the standard types may run on demand."""
    with Lab(LabPlan(quotas={"L-1216C47A": 100})) as lab:
        yield lab


@pytest.fixture(scope="module")
def in_lab(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run `spawn` with the account's access and an engine of its own."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "COVERAGE_PROCESS_START")}
    environment = kept | {"HOME": str(home), "SPAWN_STATE_DIR": str(home / "state"), "PYTHONPATH": SOURCE, "SPAWN_PROVIDER": "ec2"} | lab.environment()

    def run(*words: str, **variables: str) -> Result:
        done = subprocess.run(command(*words), capture_output=True, text=True, env=environment | variables, cwd=home, timeout=60)
        return Result(done.returncode, done.stdout, done.stderr)

    yield run
    assert run("engine", "stop", "--terminate", "--yes").code == 0


def launches(lab: Lab) -> int:
    return sum(call.code != "DryRunOperation" for call in lab.calls.of("RunInstances"))


def test_a_dry_run_plans_everything_and_makes_nothing(lab: Lab, in_lab: Run) -> None:
    result = in_lab("launch", "--array", "150", "--instance-type", "t3.micro", "--ttl", "1h", "--dry-run", "-o", "json", "--", "x")
    assert result.code == 0, result.err
    plan = json.loads(result.out)
    check("plan", plan)
    assert (plan["instances"], plan["vcpus"], plan["quota"], plan["waves"]) == (150, 300, 100, 3)
    labels = [quote["label"] for quote in plan["quotes"]]
    assert labels[:2] == ["on-demand", "spot"]
    assert any("indexes" in label for label in labels)
    assert plan["quotes"][0]["price"]["source"] == "AWS Price List"
    assert plan["quotes"][0]["usd"] == pytest.approx(150 * PRICE + plan["quotes"][0]["volume_usd"] + plan["quotes"][0]["address_usd"])
    assert (launches(lab), lab.lives()) == (0, [])


def test_a_launch_is_one_call_and_its_costs_are_those_of_its_instances(lab: Lab, in_lab: Run) -> None:
    before = launches(lab)
    result = in_lab("launch", "--array", "5", "--instance-type", "t3.micro", "--ttl", "30m", "--", "x")
    assert (result.code, result.err) == (0, "")
    array = result.out.strip()
    shown = json.loads(in_lab("cost", array, "--by", "index", "-o", "json").out)
    for _ in range(100):
        if shown["instances"] == 5:
            break
        shown = json.loads(in_lab("cost", array, "--by", "index", "-o", "json").out)
    check("cost", shown)
    assert launches(lab) - before == 1
    assert (shown["provider"], shown["hypothetical"], shown["instances"]) == ("ec2", False, 5)
    assert [part["index"] for part in shown["parts"]] == [0, 1, 2, 3, 4]
    assert sum(part["usd"] for part in shown["parts"]) == pytest.approx(shown["usd"], abs=1e-5)
    assert shown["usd_at_most"] == pytest.approx(5 * 0.5 * (PRICE + 8 * 0.08 / 730 + 0.005), rel=1e-3)
    record = in_lab("cost", "--tag", f"array:id={array}").lines[0].split("\t")
    assert record[:4] == [array, "x", "ec2", "5"]


BAD = [
    (["--instance-type", "t9.micro"], {}, 2, "--instance-type: 't9.micro' is not an instance type"),
    (["--region", "us-nowhere-1"], {}, 2, "--region: 'us-nowhere-1' is not an AWS region"),
    (["--budget", "0.01"], {}, 2, "--budget: $0.01 is exceeded"),
    (["--memory", "8G"], {}, 2, "--memory: 8192 MiB is more than the 1024 MiB of t3.micro"),
    (["--instances", "9"], {}, 2, "--instances: 9 instances for 5 indexes"),
    (["--instance-type", "c7i.large", "--ttl", "100h"], {}, 2, "add --yes, or --dry-run to see the whole plan"),
    ([], {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 3, "no AWS credentials were found"),
    ([], {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN000000000"}, 3, ""),
]


@pytest.mark.parametrize(("words", "variables", "code", "sentence"), BAD)
def test_what_cannot_be_launched_is_one_sentence(lab: Lab, in_lab: Run, words: list[str], variables: dict[str, str], code: int, sentence: str) -> None:
    before = launches(lab)
    result = in_lab("launch", "--array", "5", "--ttl", "30m", *words, "--", "x", **variables)
    assert (result.code, result.out, result.err.count("\n")) == (code, "", 1), result.err
    assert result.err.startswith("error: ")
    assert sentence in result.err
    assert lab.environment()["AWS_SECRET_ACCESS_KEY"] not in result.err
    assert launches(lab) == before
