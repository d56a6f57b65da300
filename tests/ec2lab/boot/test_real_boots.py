"""User data that really run."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from spawn.testing.ec2lab.boot.plan import BootPlan, ImageFile
from spawn.testing.ec2lab.boot.sandboxes import RealMachines
from spawn.testing.ec2lab.machines import Ending
from tests.ec2lab.boot.conftest import Recorder, a_machine, processes_with

Boots = Callable[..., RealMachines]


def _run(boots: Boots, recorder: Recorder, script: str, **plan: object) -> tuple[RealMachines, str, Path]:
    """Boot a machine that runs this and ends; what its console says, and its disk."""
    machines = boots(**plan)
    machine = a_machine(f"#!/bin/sh\n{script}\nshutdown -h now\n")
    machines.boot(machine)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
    return machines, machines.console(machine.instance_id).decode(), machines.disk(machine.instance_id)


def test_user_data_run_as_root_from_the_root_with_nothing_to_read_and_are_kept_on_the_console(boots: Boots, recorder: Recorder) -> None:
    machines = boots()
    script = '#!/bin/bash\necho "$(id -u) $PWD [$(cat)] $(hostname)"\necho loud >&2\necho aside > /dev/console\nshutdown -h now\n'
    machine = a_machine(gzip.compress(script.encode()), private_ip="10.1.2.3")
    machines.boot(machine)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
    console = machines.console(machine.instance_id).decode().splitlines()
    assert console[:2] == ["0 / [] ip-10-1-2-3", "loud"]
    assert "aside" in console
    log = (machines.disk(machine.instance_id) / "var/log/cloud-init-output.log").read_text()
    assert log == "0 / [] ip-10-1-2-3\nloud\n"


def test_user_data_that_are_no_script_are_said_to_be_none(boots: Boots, recorder: Recorder) -> None:
    machines = boots()
    machine = a_machine("#cloud-config\npackages: [blender]\n")
    machines.boot(machine)
    recorder.wait_for_start(machine)
    machines.shut_down(machine.instance_id, Ending.API)
    assert recorder.wait_for_end(machine) is Ending.API
    assert b"Unhandled non-multipart (text/x-not-multipart) userdata" in machines.console(machine.instance_id)


def test_a_script_that_fails_leaves_the_machine_up_and_says_so(boots: Boots, recorder: Recorder) -> None:
    machines = boots()
    machine = a_machine("#!/bin/sh\nshutdown -h +1\nexit 3\n")
    machines.boot(machine)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
    assert b"part-001 of the user data ended with 3" in machines.console(machine.instance_id)


def test_machines_have_places_of_their_own_and_none_of_this_machines(boots: Boots, recorder: Recorder, tmp_path: Path) -> None:
    machines = boots()
    script = "#!/bin/sh\nfor d in /tmp /var/tmp /etc /root /home /opt /run /usr/local/bin /data\n"
    script += "do mkdir -p $d; ls $d | grep ^trace; touch $d/trace-$(hostname); done\n"
    script += f"ls -d {tmp_path} {Path(__file__)}\ntouch /usr/trace\nshutdown -h now\n"
    both = [a_machine(script), a_machine(script)]
    for machine in both:
        machines.boot(machine)
    for machine in both:
        assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
        console = machines.console(machine.instance_id).decode()
        assert "trace-" not in console
        assert console.count("No such file or directory") == 2
        assert "Read-only file system" in console
    assert not Path("/usr/trace").exists()
    assert not list(Path("/etc").glob("trace-*"))


def test_what_instances_have_is_there(boots: Boots, recorder: Recorder) -> None:
    script = "getent passwd ec2-user\npython3 -c 'import sys, ssl; print(sys.version_info >= (3, 9))'\n"
    script += "yum install -y python3 && echo installed\nls -ld /proc/self/fd /dev/shm\npython3 --version"
    machines, console, _ = _run(boots, recorder, script)
    assert "ec2-user:x:1000:1000:EC2 Default User:/home/ec2-user" in console
    assert "True\n" in console
    assert "Package python3 is already installed." in console
    assert "installed\n" in console
    assert "No such file" not in console
    assert (machines.note is None) == ("Python 3.9." in console)


def test_a_package_that_is_not_there_is_not_said_to_be_installed(boots: Boots, recorder: Recorder) -> None:
    _, console, _ = _run(boots, recorder, "dnf install -y blender; echo ended with $?; apt-get update; echo then $?")
    assert "No match for argument: blender (the laboratory installs nothing" in console
    assert "ended with 1" in console
    assert "then 0" in console


def test_an_image_has_its_files_and_no_other_images(boots: Boots, recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "simulate.py").write_text("print('simulated')")
    blender = ImageFile(content=b"#!/bin/sh\necho rendered $*\n", mode=0o755)
    files = {
        "ami-al2023": {"/usr/local/bin/blender": blender, "/home/ec2-user/simulate.py": ImageFile(source=str(tmp_path / "simulate.py"))},
        "ami-other": {"/opt/other": ImageFile(content=b"")},
        "*": {"/etc/motd": ImageFile(content=b"welcome\n")},
    }
    _, console, _ = _run(boots, recorder, "blender -b x; python3 /home/ec2-user/simulate.py; cat /etc/motd; ls /opt", files=files)
    assert console.startswith("rendered -b x\nsimulated\nwelcome\n")
    assert "other" not in console


def test_a_shutdown_that_is_taken_back_does_not_happen(boots: Boots, recorder: Recorder) -> None:
    machines = boots(minute_s=600.0)
    script = "#!/bin/sh\nshutdown -h +10\nshutdown --show\nshutdown -c\nshutdown --show || echo none\nls /run/systemd/shutdown\nshutdown -P now\n"
    machine = a_machine(script)
    machines.boot(machine)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
    lines = machines.console(machine.instance_id).decode().splitlines()
    assert lines[0].startswith("Shutdown scheduled for ")
    assert lines[1] == lines[0]
    assert lines[2:4] == ["No scheduled shutdown.", "none"]


def test_the_guard_ends_a_machine_whatever_it_does(boots: Boots, recorder: Recorder) -> None:
    machines = boots(shutdown_s=0.3)
    machine = a_machine("#!/bin/sh\nshutdown -h +2\ntrap '' TERM\nwhile :; do sleep 1; done\n")
    machines.boot(machine)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN


def test_a_cut_leaves_no_process(boots: Boots, recorder: Recorder) -> None:
    machines = boots(shutdown_s=0.3)
    mark = f"MARK_OF_THIS_TEST={id(machines)}"
    script = f"#!/bin/sh\nexport {mark}\nsetsid sleep 1000 &\n(trap '' TERM HUP; sleep 1000) &\necho up > /dev/console\n"
    machine = a_machine(script + "exec sleep 1000\n")
    other = a_machine(script + "shutdown -h +1\n")  # ends long after the first has begun
    machines.boot(machine)
    recorder.wait_for_start(machine)
    machines.boot(other)
    recorder.wait_for_end(other)
    assert processes_with(mark)
    machines.cut(machine.instance_id)
    assert recorder.wait_for_end(machine) is Ending.DIED
    assert processes_with(mark) == []


def test_a_stopped_machine_comes_back_with_its_disk_and_does_not_run_its_user_data_again(boots: Boots, recorder: Recorder) -> None:
    machines = boots()
    unit = (
        "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo boot >> /var/lib/boots; ls /tmp /run/here; systemctl poweroff'\nStandardOutput=journal+console\n"
    )
    unit += "[Install]\nWantedBy=multi-user.target\n"
    script = "#!/bin/sh\necho first >> /var/lib/boots\ntouch /tmp/gone /run/here\ncat > /etc/systemd/system/boots.service <<'END'\n" + unit + "END\n"
    script += "systemctl daemon-reload && systemctl enable boots\nshutdown -h now\n"
    machine = a_machine(script, shutdown_behavior="stop")
    for times in (1, 2, 3):
        machines.boot(machine)
        assert recorder.wait_for_end(machine, times) is Ending.SHUTDOWN
    assert (machines.disk(machine.instance_id) / "var/lib/boots").read_text() == "first\nboot\nboot\n"
    console = machines.console(machine.instance_id).decode()
    assert "gone" not in console
    assert "Created symlink" in console


def test_a_machine_sees_its_own_metadata_and_the_notice_of_its_end(boots: Boots, recorder: Recorder) -> None:
    machines = boots()
    ask = 'imds=${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest\ntoken=$(curl -sf -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" ${imds}/api/token)\n'
    ask += 'get() { curl -sf -H "X-aws-ec2-metadata-token: $token" ${imds}/meta-data/$1; echo; }\n'
    script = f"#!/bin/sh\n{ask}get instance-id\nget spot/instance-action || echo none\necho asked > /dev/console\n"
    machine = a_machine(script + "until curl -sf -o /tmp/notice -H \"X-aws-ec2-metadata-token: $token\" ${imds}/meta-data/spot/instance-action; do :; done\n"
                        "cat /tmp/notice; shutdown -h now\n", spot=True)  # fmt: skip
    machines.boot(machine)
    recorder.wait_for_start(machine)
    machines.notice(machine.instance_id, "terminate", 1_800_000_000)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
    console = machines.console(machine.instance_id).decode()
    assert console.startswith(f"{machine.instance_id}\n")
    assert '{"action": "terminate", "time": "2027-01-15T08:00:00Z"}' in console


def test_a_reboot_is_no_end(boots: Boots, recorder: Recorder) -> None:
    machines = boots()
    unit = "[Service]\nExecStart=/bin/sh -c 'echo again; shutdown -h now; sleep 100'\nStandardOutput=journal+console\n[Install]\nWantedBy=multi-user.target\n"
    machine = a_machine(f"#!/bin/sh\ncat > /etc/systemd/system/again.service <<'END'\n{unit}END\nsystemctl enable again\nreboot\n")
    machines.boot(machine)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
    assert [ending for name, ending in recorder.events if name == machine.instance_id] == [None, Ending.SHUTDOWN]
    assert b"again\n" in machines.console(machine.instance_id)


def test_at_most_so_many_boot_at_once(boots: Boots, recorder: Recorder) -> None:
    machines = boots(at_once=1)
    first, second = a_machine("#!/bin/sh\necho half\nsleep 0.3\necho whole\n"), a_machine("#!/bin/sh\nshutdown -h now\n")
    seen = []
    recorder.at_running = lambda name: seen.append(machines.console(first.instance_id)) if name == second.instance_id else None
    machines.boot(first)
    machines.boot(second)
    recorder.wait_for_end(second)
    recorder.at_running = lambda _: None
    assert seen == [b"half\nwhole\n"]


def test_a_machine_that_waits_for_its_boot_can_be_ended(boots: Boots, recorder: Recorder) -> None:
    machines = boots(boot_s=1000.0)
    stopped, cut = a_machine("#!/bin/sh\n"), a_machine("#!/bin/sh\n")
    machines.boot(stopped)
    machines.boot(cut)
    machines.shut_down(stopped.instance_id, Ending.API)
    machines.cut(cut.instance_id)
    assert recorder.wait_for_end(stopped) is Ending.API
    assert recorder.wait_for_end(cut) is Ending.DIED
    assert machines.console(stopped.instance_id) == b""


def test_a_machine_can_be_powered_on_while_it_ends(boots: Boots, recorder: Recorder) -> None:
    machines = boots()
    unit = "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n"
    machine = a_machine(f"#!/bin/sh\ncat > /etc/systemd/system/x.service <<'END'\n{unit}END\nsystemctl enable --now x\n")
    machines.boot(machine)
    recorder.wait_for_start(machine)
    machines.shut_down(machine.instance_id, Ending.API)
    machines.boot(machine)
    recorder.wait_for_start(machine, 2)
    assert recorder.ends(machine.instance_id) == []  # of the first life it is no use to hear
    machines.shut_down(machine.instance_id, Ending.API)
    assert recorder.wait_for_end(machine) is Ending.API


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"minute_s": 0}, "minute_s must be more than 0 seconds, not 0"),
        ({"at_once": 0}, "at_once must be at least 1, not 0"),
        ({"boot_s": -1}, "boot_s must not be less than 0 seconds, not -1"),
        ({"files": {"*": {"etc/motd": ImageFile(content=b"")}}}, "'etc/motd' must be an absolute path"),
        ({"visible": ("/a/../b",)}, "'/a/../b' must be an absolute path"),
        ({"files": {"*": {"/usr/bin/blender": ImageFile(content=b"")}}}, "'/usr/bin/blender' cannot be on a disk of its own: /usr/local can"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        BootPlan(**wrong)  # type: ignore[arg-type]


def test_a_python_that_is_none_is_refused(recorder: Recorder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'/bin/true' is no Python of at least 3\.9"):
        RealMachines(recorder, plan=BootPlan(python="/bin/true"), directory=tmp_path / "lab")


def test_a_plan_can_be_read_from_json() -> None:
    text = '{"minute_s": 0.5, "files": {"*": {"/opt/a": {"content": "YWJj"}, "/opt/b": {"source": "/etc/passwd", "mode": 448}}}, "visible": ["/mnt"]}'
    plan = msgspec.json.decode(text, type=BootPlan)
    assert plan.files == {"*": {"/opt/a": ImageFile(content=b"abc"), "/opt/b": ImageFile(source="/etc/passwd", mode=0o700)}}
    with pytest.raises(msgspec.ValidationError, match="at_once must be at least 1"):
        msgspec.json.decode('{"at_once": 0}', type=BootPlan)


def test_a_directory_with_something_in_it_is_left_alone(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ValueError, match="is not empty: machines need a directory of their own"):
        RealMachines(recorder, plan=BootPlan(), directory=tmp_path)
    with pytest.raises(ValueError, match="'/nowhere', of an image, is no file of this machine"):
        RealMachines(recorder, plan=BootPlan(files={"*": {"/opt/a": ImageFile(source="/nowhere")}}), directory=tmp_path / "lab")
    with pytest.raises(ValueError, match="'/nowhere/aws' is no program"):
        RealMachines(recorder, plan=BootPlan(aws="/nowhere/aws"), directory=tmp_path / "lab")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
