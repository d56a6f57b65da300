"""From the zipapp that user data fetches to an attempt that is recorded, with the oldest Python that is promised."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spored.driver import PROGRAM
from tests.spored.instance.cloud import BUCKET, Cloud
from tests.spored.instance.machine import PREFIX, Instance, wait
from tests.spored.test_cli import find_python

_SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$0.log"
[ "$1" != start ] || [ ! -e "$0.broken" ] || { echo "no bus" >&2; exit 4; }
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The agent as one file, as python -m zipapp makes it."""
    source = tmp_path / "source"
    shutil.copytree(PROGRAM.parent, source / "spored", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "spored.pyz"
    subprocess.run([find_python("3.9"), "-m", "zipapp", str(source), "-m", "spored.cli:main", "-c", "-o", str(path)], check=True)
    return path


@pytest.fixture
def installed(make_instance: Callable[..., Instance], archive: Path) -> Instance:
    """An instance with the zipapp and a stand-in for systemctl."""
    instance = make_instance(python=find_python("3.9"), program=archive)
    systemctl = instance.root / "bin/systemctl"
    systemctl.write_text(_SYSTEMCTL)
    systemctl.chmod(0o755)
    return instance


def unit_command(instance: Instance) -> list[str]:
    """What the unit starts."""
    unit = (instance.root / "etc/systemd/system/spored.service").read_text()
    return shlex.split(next(line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart=")))


def stage(instance: Instance, cloud: Cloud) -> list[str]:
    """Move its launch into the bucket; the words that tell where."""
    file = instance.root / "etc/spored/launch.json"
    content = file.read_bytes()
    file.unlink()
    cloud.objects[f"{PREFIX}launch/token.json"] = content
    place = ["--bucket", BUCKET, "--region", "eu-central-1", "--key", f"{PREFIX}launch/token.json", "--endpoint", f"{cloud.url}/s3"]
    return [*place, "--sha256", hashlib.sha256(content).hexdigest()]


def test_a_launch_that_is_staged_is_read_by_the_role_and_its_agent_runs_from_where_its_zipapp_was_unpacked(installed: Instance, cloud: Cloud) -> None:
    installed.launch("spored status; spored complete --status success --message fine; echo $TASK_ARRAY_INDEX > result; spored nonsense")
    done = installed.call("instance", "install", *stage(installed, cloud))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    launch = installed.root / "etc/spored/launch.json"
    assert (launch.read_bytes(), launch.stat().st_mode & 0o777) == (cloud.objects[f"{PREFIX}launch/token.json"], 0o600)
    assert [path.name for path in launch.parent.iterdir()] == ["launch.json"]
    calls = (installed.root / "bin/systemctl.log").read_text().splitlines()
    assert calls == ["daemon-reload", "enable spored.service", "start --no-block spored.service"]
    unit = (installed.root / "etc/systemd/system/spored.service").read_text()
    (place,) = (installed.root / "opt/spored").glob("spored-????????")
    program = place / "spored/__main__.py"
    assert unit_command(installed) == [installed.python, "-IS", str(program), "instance", "run", "--root", str(installed.root)]
    assert (program.stat().st_mode & 0o777, place.stat().st_mode & 0o777) == (0o644, 0o755)
    assert list((place / "spored").glob("__pycache__/cli.*.pyc")), "what Python compiled is kept"
    assert {"Restart=always", "After=network-online.target", "OOMPolicy=continue", "KillMode=process"} < set(unit.splitlines())
    installed.program = program
    installed.start()
    installed.ended()
    outcome = installed.outcome()
    assert (outcome["code"], outcome["completed"]["message"]) == (2, "fine"), installed.output()
    assert "spored: unknown command 'nonsense'" in installed.output()
    assert "index\t0" in installed.output()
    assert any(key.endswith("/output/result") for key in cloud.objects)


def test_an_agent_that_cannot_be_unpacked_runs_from_its_zipapp(installed: Instance) -> None:
    installed.launch("true")
    place = installed.root / f"opt/spored/spored-{zlib.crc32(installed.program.read_bytes()):08x}.new"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("in the way")
    assert installed.call("instance", "install").returncode == 0
    assert unit_command(installed)[2] == str(installed.program)


def test_those_who_log_in_have_a_spored(installed: Instance) -> None:
    installed.launch("exec sleep 300")
    assert installed.call("instance", "install").returncode == 0
    command = installed.root / "opt/spored/spored"
    profile = installed.root / "etc/profile.d/spored.sh"
    done = subprocess.run(["sh", "-c", f". {profile}; spored version"], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"})
    assert done.stdout.startswith("spored ")
    assert command.stat().st_mode & 0o777 == 0o755


def test_a_systemd_that_does_not_obey_is_one_sentence(installed: Instance) -> None:
    installed.launch("true")
    (installed.root / "bin/systemctl.broken").touch()
    done = installed.call("instance", "install")
    assert (done.returncode, done.stderr) == (6, "spored: systemctl start --no-block spored.service failed with exit code 4: no bus\n")


def test_nothing_is_installed_for_a_launch_that_is_not_understood(installed: Instance) -> None:
    done = installed.call("instance", "install")
    assert done.returncode == 6
    assert done.stderr == f"spored: {installed.root}/etc/spored/launch.json cannot be read: No such file or directory\n"
    assert not (installed.root / "etc/systemd").exists()


def test_an_agent_from_a_zipapp_outlives_a_kill(installed: Instance) -> None:
    installed.launch("echo begun; exec sleep 300", on_complete="none", ttl_s=None)
    installed.start()
    wait(lambda: installed.output() == "begun\n")
    installed.kill()
    installed.start()
    wait(lambda: installed.log().count("launch index 0") == 2)
    installed.terminate()
    assert installed.outcome()["why"] == "stopped"
