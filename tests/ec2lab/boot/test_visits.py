"""Machines seen from outside: ssh, other users, and what is left when everything ends."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spawn.testing.ec2lab.boot.sandboxes import RealMachines
from spawn.testing.ec2lab.boot.ssh import understand
from spawn.testing.ec2lab.machines import Ending, Machine
from tests.ec2lab.boot.conftest import Recorder, a_machine, processes_with, python

Boots = Callable[..., RealMachines]

_SCRIPT = """
import sys, tempfile
from pathlib import Path
from spawn.testing.ec2lab.boot.plan import BootPlan
from spawn.testing.ec2lab.boot.sandboxes import CannotBoot, RealMachines
from tests.ec2lab.boot.conftest import Recorder, a_machine
recorder = Recorder()
try:
    machines = RealMachines(recorder, plan=BootPlan(minute_s=60, shutdown_s=5), directory=Path({directory!r}))
except CannotBoot as error:
    print("cannot", error, flush=True)
    sys.exit()
machine = a_machine({user_data!r})
machines.boot(machine)
"""


def _ssh(machines: RealMachines, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(machines.ssh), *words], input=text, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def visited(boots: Boots, recorder: Recorder) -> tuple[RealMachines, Machine]:
    machines = boots()
    machine = a_machine("#!/bin/sh\necho mine > /tmp/file\n", public_ip="198.18.0.7")
    machines.boot(machine)
    recorder.wait_for_start(machine)
    assert _ssh(machines, machine.private_ip, "until [ -e /tmp/file ]; do :; done").returncode == 0
    return machines, machine


def test_ssh_runs_a_command_inside_and_ends_as_it_does(visited: tuple[RealMachines, Machine]) -> None:
    machines, machine = visited
    done = _ssh(
        machines,
        "-i",
        "key.pem",
        "-o",
        "StrictHostKeyChecking=no",
        "-tt",
        f"ec2-user@{machine.private_ip}",
        "cat",
        "/tmp/file; pwd; cat; exit 7",
        text="typed\n",
    )
    assert (done.returncode, done.stdout) == (7, "mine\n/root\ntyped\n")


def test_a_machine_is_reached_by_its_public_address_too(visited: tuple[RealMachines, Machine]) -> None:
    machines, machine = visited
    assert _ssh(machines, f"ec2-user@{machine.public_ip}", "cat", "/tmp/file").stdout == "mine\n"


def test_ssh_without_a_command_is_a_shell(visited: tuple[RealMachines, Machine]) -> None:
    machines, machine = visited
    done = _ssh(machines, machine.private_ip, text="hostname; echo $AWS_ENDPOINT_URL; ls /run/systemd/sessions | wc -l; exit 3\n")
    assert (done.returncode, done.stdout) == (3, f"ip-{machine.private_ip.replace('.', '-')}\nhttp://127.0.0.1:9\n1\n")
    assert _ssh(machines, machine.private_ip, "ls /run/systemd/sessions | wc -l").stdout == "1\n"


def test_ssh_to_a_machine_that_has_ended_is_refused(boots: Boots, recorder: Recorder) -> None:
    machines = boots()
    machine = a_machine("#!/bin/sh\nshutdown -h now\n")
    machines.boot(machine)
    recorder.wait_for_end(machine)
    assert _ssh(machines, machine.private_ip, "true").returncode == 255


def test_ssh_to_an_address_without_a_machine_is_refused(visited: tuple[RealMachines, Machine]) -> None:
    machines, _ = visited
    done = _ssh(machines, "root@10.99.99.99", "true")
    assert (done.returncode, done.stderr) == (255, "ssh: connect to host 10.99.99.99 port 22: Connection refused\n")
    assert _ssh(machines, "-V").returncode == 255


@pytest.mark.parametrize(
    ("line", "host", "command"),
    [
        ("-o A=b -p 22 u@h", "u@h", []),
        ("-tti key h ls -l", "h", ["ls", "-l"]),
        ("-pX -A h -- x", "h", ["--", "x"]),
        ("-- h x", "h", ["x"]),
        ("-v", None, []),
    ],
)
def test_an_ssh_line_is_understood_as_ssh_does(line: str, host: str | None, command: list[str]) -> None:
    assert understand(line.split()) == (host, command)


def test_a_user_who_is_not_root_has_machines_too(tmp_path: Path) -> None:
    try:
        subprocess.run(["unshare", "--user", "--map-user=1000", "--map-group=1000", "unshare", "--user", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system does not let users make namespaces")
    user_data = "#!/bin/sh\nid -u\ntouch /var/a\nls -l /var/a /usr/local/bin/.. > /dev/null && python3 -c 'print(1 + 1)'\nshutdown -h now\n"
    script = _SCRIPT.format(directory=str(tmp_path / "lab"), user_data=user_data)
    script += "print(recorder.wait_for_end(machine))\nprint(machines.console(machine.instance_id).decode())\nmachines.close()\n"
    with python(script, "unshare", "--user", "--map-user=1000", "--map-group=1000") as process:
        said, _ = process.communicate(timeout=120)
    assert said.startswith("Ending.SHUTDOWN\n0\n2\n")
    assert not (tmp_path / "lab").exists()


def test_where_no_namespaces_can_be_had_it_is_said(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give up its rights")
    rights = "-sys_admin,-setfcap,-setuid,-setgid"
    script = _SCRIPT.format(directory=str(tmp_path / "lab"), user_data="")
    with python(script, "setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}") as process:
        said, _ = process.communicate(timeout=60)
    assert said.startswith("cannot machines cannot boot here: ")
    assert said.strip().endswith("Operation not permitted")
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_machine_outlives_a_laboratory_that_is_killed(tmp_path: Path) -> None:
    mark = f"MARK_OF_THIS_TEST={tmp_path}"
    user_data = f"#!/bin/sh\nexport '{mark}'\nsetsid sleep 1000 &\ntrap '' TERM HUP\necho up > /dev/console\nwhile :; do sleep 100; done\n"
    script = _SCRIPT.format(directory=str(tmp_path / "lab"), user_data=user_data)
    script += "print(machines._host.pid, flush=True)\nsys.stdin.read()\n"
    with python(script) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        if first.startswith("cannot"):
            pytest.skip(first)
        host = int(first)
        console = next((tmp_path / "lab/machines").iterdir()) / "console"
        _until(lambda: console.exists() and b"up" in console.read_bytes() and processes_with(mark) != [])
        process.kill()
    _until(lambda: not Path(f"/proc/{host}").exists() or " Z" in Path(f"/proc/{host}/stat").read_text())
    assert processes_with(mark) == []


def _until(so: Callable[[], bool]) -> None:
    """Wait, for as long as it takes, for what other processes do."""
    while not so():
        pass


def test_closing_ends_everything(recorder: Recorder, boots: Boots, tmp_path: Path) -> None:
    from spawn.testing.ec2lab.boot.plan import BootPlan

    boots()  # or this is skipped
    machines = RealMachines(recorder, plan=BootPlan(), directory=tmp_path / "lab")
    machine = a_machine("#!/bin/sh\necho up > /dev/console\nexec sleep 1000\n")
    machines.boot(machine)
    recorder.wait_for_start(machine)
    machines.close()
    machines.close()
    assert list(tmp_path.iterdir()) == []
    assert processes_with(machines.metadata.endpoint(machine.instance_id)) == []
    machines.boot(a_machine("#!/bin/sh\n"))  # after the end nothing boots
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_is_discarded_leaves_no_disk(boots: Boots, recorder: Recorder) -> None:
    machines = boots()
    machine = a_machine("#!/bin/sh\nshutdown -h now\n")
    machines.boot(machine)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
    assert machines.disk(machine.instance_id).exists()
    machines.discard(machine.instance_id)
    assert not machines.disk(machine.instance_id).exists()
    with pytest.raises(KeyError):
        machines.console(machine.instance_id)
