"""`python -m spawn.testing.ec2lab`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab import Lab, LabPlan
from spawn.testing.ec2lab.boot.plan import BootPlan, ImageFile
from spawn.testing.ec2lab.plan import read_plan
from tests.ec2lab.asking import Asking


def test_the_command_says_where_it_is_and_ends_when_it_is_told(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"regions": ["eu-west-1"], "quotas": {"L-1216C47A": 12}}))
    command = [sys.executable, "-m", "spawn.testing.ec2lab", "--directory", str(tmp_path / "lab"), "--plan", str(plan), "--boot", "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        environment = said["environment"]
        assert environment["AWS_ENDPOINT_URL"] == said["endpoint"]
        assert environment["AWS_REGION"] == "eu-west-1"
        process.terminate()
        assert process.wait(20) == 0
    assert json.loads((tmp_path / "lab" / "lives.json").read_bytes())["instances"] == []


def test_a_region_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="us-nowhere-1"):
        Lab(LabPlan(regions=("us-east-1", "us-nowhere-1"))).start()


def test_a_laboratory_leaves_what_was_asked_and_what_it_cost(tmp_path: Path) -> None:
    with Lab(LabPlan(), clock=ManualClock(), directory=tmp_path) as lab:
        asking = Asking(lab)
        asking.run(2, InstanceType="c7i.large")
        lab.advance(3600)
    report = json.loads((tmp_path / "lives.json").read_bytes())
    assert [(one["type"], one["usd"]) for one in report["instances"]] == [("c7i.large", pytest.approx(0.08925))] * 2
    assert report["usd"] == pytest.approx(2 * 0.08925)
    assert [json.loads(line)["action"] for line in (tmp_path / "calls.jsonl").read_text().splitlines()] == ["GetParameter", "RunInstances"]


def test_a_plan_with_an_unknown_member_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text('{"qoutas": {}}')
    command = [sys.executable, "-m", "spawn.testing.ec2lab", "--directory", str(tmp_path / "lab"), "--plan", str(plan), "--boot", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "qoutas" in done.stderr


def test_a_plan_may_put_files_on_the_disks_of_images(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"boot": {"visible": ["/srv/data"], "files": {"*": {"/opt/tool": {"content": "IyEvYmluL3NoCg==", "mode": 493}}}}}')
    settings = BootPlan(**msgspec.structs.asdict(read_plan(path).boot))
    assert (settings.visible, dict(settings.files["*"])) == (("/srv/data",), {"/opt/tool": ImageFile(content=b"#!/bin/sh\n", mode=0o755)})
    path.write_text('{"boot": {"files": {"*": {"/opt/tool": {"mode": 493}}}}}')
    with pytest.raises(ValueError, match="either content or a source"):
        read_plan(path)
