"""Services of machines, as systemd would have them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.testing.ec2lab.boot import services
from spawn.testing.ec2lab.boot.sandboxes import RealMachines
from spawn.testing.ec2lab.machines import Ending, Machine
from tests.ec2lab.boot.conftest import Recorder, a_machine

Boots = Callable[..., RealMachines]


def _unit(name: str, text: str) -> str:
    return f"cat > /etc/systemd/system/{name}.service <<'END'\n{text}\nEND\n"


def _run(boots: Boots, recorder: Recorder, script: str, **plan: object) -> str:
    machines = boots(**plan)
    machine = a_machine(f"#!/bin/bash\n{script}\nshutdown -h now\n")
    machines.boot(machine)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
    return machines.console(machine.instance_id).decode()


def test_a_service_that_fails_is_started_again_and_one_that_succeeds_is_not(boots: Boots, recorder: Recorder) -> None:
    # it fails twice and then succeeds, which ends the machine
    text = "[Service]\nExecStart=/bin/sh -c 'echo n >> /var/n; [ $(wc -l < /var/n) = 3 ] || exit 4; systemctl --no-block start last'\n"
    text += "Restart=on-failure\nRestartSec=10ms\n"
    last = "[Service]\nType=oneshot\nExecStartPre=/bin/sleep 0.2\nStandardOutput=journal+console\n"
    last += "ExecStart=/bin/sh -c 'wc -l < /var/n; systemctl show -p NRestarts work; shutdown -h now'\n"
    machines = boots()
    machine = a_machine("#!/bin/sh\n" + _unit("work", text) + _unit("last", last) + "systemctl start work\n")
    machines.boot(machine)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
    console = machines.console(machine.instance_id).decode()
    assert "3\nNRestarts=2\n" in console


def test_a_service_that_fails_again_and_again_is_given_up(boots: Boots, recorder: Recorder) -> None:
    text = "[Unit]\nStartLimitBurst=3\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=1ms\nExecStopPost=/bin/sh -c 'echo . >> /var/ends'\n"
    wait = "until [ $(systemctl show --value -p Result bad) = start-limit-hit ]; do :; done\n"
    wait += "systemctl is-failed bad; wc -l < /var/ends; systemctl start bad || echo refused"
    console = _run(boots, recorder, _unit("bad", text) + "systemctl start bad\n" + wait)
    assert "failed\n3\n" in console
    assert "refused" in console


def test_stopping_a_service_ends_all_of_it(boots: Boots, recorder: Recorder) -> None:
    text = "[Service]\nExecStart=/bin/bash -c '(trap \"\" TERM; sleep 1000) & setsid sleep 1000 & wait'\nTimeoutStopSec=0.2\n"
    console = _run(
        boots,
        recorder,
        _unit("many", text) + "systemctl start many; systemctl is-active many; systemctl stop many; systemctl is-active many; ps ax | grep -c '[s]leep'",
    )
    assert "active\ninactive\n0\n" in console


def test_a_service_may_leave_processes_behind_when_it_says_so(boots: Boots, recorder: Recorder) -> None:
    text = "[Service]\nExecStart=/bin/bash -c 'setsid sleep 1000 & exec sleep 1001'\nKillMode=process\n"
    console = _run(
        boots,
        recorder,
        _unit("main", text) + "systemctl start main; until ps ax | grep -q '[s]leep 1000'; do :; done; systemctl stop main; ps ax | grep '[s]leep'",
    )
    assert "sleep 1000" in console
    assert "sleep 1001" not in console


def test_a_service_has_its_environment_and_no_home(boots: Boots, recorder: Recorder) -> None:
    text = '[Service]\nType=oneshot\nEnvironment=A=1 "B=two words"\nEnvironmentFile=/etc/more\nEnvironmentFile=-/etc/none\nWorkingDirectory=/opt\nUMask=0077\n'
    text += "ExecStart=/bin/bash -c 'echo \"$A-$B-$C-${HOME:-homeless}-$PWD-$(umask)-$1-$2\" ' sh ${B} $C\nStandardOutput=journal+console\n"
    console = _run(boots, recorder, "echo C=3 > /etc/more\n" + _unit("env", text) + "systemctl start env; journalctl -u env -n 1")
    assert console.count("1-two words-3-homeless-/opt-0077-two words-3\n") == 2


def test_what_runs_is_asked_to_end_before_the_machine_does(boots: Boots, recorder: Recorder) -> None:
    machines = boots()
    text = "[Service]\nExecStart=/bin/bash -c 'trap \"sleep 0.2; echo recorded > /var/record; exit 0\" TERM; echo up > /var/up; while :; do sleep 0.05; done'\n"
    script = (
        "#!/bin/bash\n" + _unit("agent", text) + "systemctl enable --now agent\ntrap 'echo told > /var/told; exit' TERM\nuntil [ -e /var/up ]; do :; done\n"
    )
    machine = a_machine(script + "shutdown -h now; while :; do sleep 0.05; done\n")
    machines.boot(machine)
    assert recorder.wait_for_end(machine) is Ending.SHUTDOWN
    disk = machines.disk(machine.instance_id)
    assert (disk / "var/record").read_text() == "recorded\n"
    assert (disk / "var/told").read_text() == "told\n"


def test_pressing_the_button_ends_a_machine_that_does_not_heed_it(boots: Boots, recorder: Recorder) -> None:
    machines = boots(shutdown_s=0.3)
    text = "[Service]\nExecStart=/bin/bash -c 'trap \"\" TERM; while :; do sleep 1; done'\n"
    machine: Machine = a_machine("#!/bin/sh\n" + _unit("deaf", text) + "systemctl start deaf\n")
    machines.boot(machine)
    recorder.wait_for_start(machine)
    machines.shut_down(machine.instance_id, Ending.INTERRUPTED)
    machines.shut_down(machine.instance_id, Ending.API)
    assert recorder.wait_for_end(machine) is Ending.INTERRUPTED


def test_systemctl_answers_as_scripts_expect(boots: Boots, recorder: Recorder) -> None:
    script = _unit("x", "[Service]\nExecStart=/bin/sleep 100\n[Install]\nWantedBy=multi-user.target\n") + _unit(
        "forks", "[Service]\nType=forking\nExecStart=/bin/true\n"
    )
    for words in (
        "is-active x",
        "is-enabled x",
        "status nothere",
        "start nothere",
        "start forks",
        "frobnicate",
        "enable x",
        "is-enabled x",
        "start x",
        "status x",
        "disable --now x",
    ):
        script += f'systemctl {words} > /tmp/out 2>&1; echo "{words}: $?"\n'
    lines = _run(boots, recorder, script + "cat /tmp/out; systemctl start forks").splitlines()
    assert lines[:11] == [
        "is-active x: 3", "is-enabled x: 1", "status nothere: 4", "start nothere: 5", "start forks: 1", "frobnicate: 1", "enable x: 0", "is-enabled x: 0",
        "start x: 0", "status x: 0", "disable --now x: 0",
    ]  # fmt: skip
    assert any("Type=forking is not to be had in the laboratory" in line for line in lines)


def test_what_is_logged_is_kept(boots: Boots, recorder: Recorder) -> None:
    script = "logger -t mine one line; echo piped | logger -s; sed 's/^................//' /var/log/messages; logger -x; journalctl -f; journalctl -u none"
    console = _run(boots, recorder, script)
    assert "mine: one line\n" in console
    assert console.count("root: piped\n") == 2
    assert "logger: invalid option -- 'x'" in console
    assert "journalctl: '-f' is not to be had in the laboratory" in console
    assert "-- No entries --" in console


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[Service]\nRestart=always\n", "Service has no ExecStart= setting"),
        ("[Service]\nExecStart=a\nExecStart=b\n", "more than one ExecStart= setting"),
        ("[Service]\nExecStart\n", "Missing '=' in 'ExecStart'"),
        ("[Service]\nExecStart=a\nUser=ec2-user\n", "User=ec2-user is not to be had"),
        ("[Service]\nExecStart=a 'b\n", "is no command: No closing quotation"),
        ("[Service]\nExecStart=a\nRestartSec=soon\n", "Failed to parse time value 'soon'"),
    ],
)
def test_a_unit_file_that_cannot_be_acted_on_is_refused(text: str, says: str) -> None:
    with pytest.raises(services.BadUnit, match=says):
        services.parse("x.service", text)


def test_the_words_of_a_command_are_those_that_systemd_makes() -> None:
    service = services.parse("x.service", '[Service]\nExecStart=-/bin/a "two words" %n %%n $$A ${A}b $B\n')
    assert services.command(service.start[0], {"A": "1", "B": "x y"}) == (["/bin/a", "two words", "x.service", "%n", "$A", "1b", "x", "y"], False)


def test_a_later_setting_replaces_an_earlier_one_and_an_empty_one_takes_all_back() -> None:
    service = services.parse(
        "x.service", "[Service]\nExecStart=/bin/a\nExecStart=\nExecStart=/bin/b \\\n  c\nRestart=no\nRestart=always\nEnvironment=A=1\nEnvironment=\n# no\n"
    )
    assert service.start == ("/bin/b    c",)
    assert service.restart == "always"
    assert service.environment == {}
    assert services.parse("x.service", "[Service]\nExecStart=a\nCPUQuota=20%\n").not_understood == ("CPUQuota",)


@given(minutes=st.integers(0, 1000), seconds=st.integers(0, 1000), thousandths=st.integers(0, 1000))
def test_a_time_of_a_unit_file_is_the_sum_of_its_parts(minutes: int, seconds: int, thousandths: int) -> None:
    assert services.seconds(f"{minutes}min {seconds}s {thousandths}ms") == pytest.approx(minutes * 60 + seconds + thousandths / 1000)
