"""`spawn connect` to an instance on EC2: stand-ins for ssh and ssh-keygen note what they are asked; AWS is a stand-in on loopback."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest
from canned import array, member
from fake_engine import FakeEngine, refuse
from moto.server import ThreadedMotoServer
from running import Result, Run

INSTANCE = "i-0123456789abcdef0"
OPEN, CLOSED = "198.51.100.7", "224.0.0.1"  # nobody can connect to a multicast address, and the kernel says so at once

SSH = """\
#!/bin/sh
n=$(ls "$NOTES" | grep -c '^ssh\\.')
for word in "$@"; do printf '%s\\0' "$word"; done > "$NOTES/ssh.$n"
while [ $# -gt 0 ]; do [ "$1" = -i ] && cat "$2" >> "$NOTES/keys"; shift; done
cat
exit $(sed -n "$((n + 1))p" "$NOTES/codes" 2>/dev/null || echo 0)
"""

# they share a server, whose state is that of the process
pytestmark = pytest.mark.xdist_group("connect")

PUBLIC = f"ssh-ed25519 {'A' * 68} spawn"

KEYGEN = f"""\
#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" = -f ] && file=$2; shift; done
echo private > "$file"
echo '{PUBLIC}' > "$file.pub"
"""


@dataclass
class Here:
    """Programs that stand in, and what they noted."""

    path: Path
    run: Run
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each run of ssh, in order."""
        files = sorted(self.path.glob("notes/ssh.*"), key=lambda file: int(file.suffix[1:]))
        return [file.read_text().split("\0")[:-1] for file in files]

    def codes(self, *codes: int) -> None:
        """What the runs of ssh end with."""
        (self.path / "notes" / "codes").write_text("".join(f"{code}\n" for code in codes))

    def program(self, name: str, text: str) -> None:
        """Put a program in PATH."""
        file = self.path / "bin" / name
        file.write_text(text)
        file.chmod(0o755)

    def connect(self, *words: str, stdin: str = "") -> Result:
        """`spawn connect my-array-3 …`."""
        result: Result = self.run("connect", "my-array-3", *words, stdin=stdin, **self.variables)
        return result


class Keys(ThreadingHTTPServer):
    """EC2 Instance Connect: notes the keys that it is sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.refusal: dict[str, str] | None = None
        super().__init__(("127.0.0.1", 0), _KeyHandler)


class _KeyHandler(BaseHTTPRequestHandler):
    server: Keys

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.sent.append(asked)
        answer = json.dumps(self.server.refusal or {"RequestId": "1", "Success": True}).encode()
        self.send_response(400 if self.server.refusal else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@pytest.fixture
def keys() -> Iterator[Keys]:
    server = Keys()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def here(tmp_path: Path, spawn: Run, keys: Keys) -> Here:
    for name in ("bin", "notes"):
        (tmp_path / name).mkdir()
    variables = {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "NOTES": str(tmp_path / "notes"),
        "AWS_ACCESS_KEY_ID": "AKIA" + "A" * 16,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{keys.server_port}",
    }
    here = Here(tmp_path, spawn, variables)
    here.program("ssh", SSH)
    here.program("ssh-keygen", KEYGEN)
    return here


def entrance(**changes: Any) -> dict[str, Any]:
    instance = {
        "instance_id": INSTANCE, "region": "us-east-1", "zone": "us-east-1a", "address": OPEN, "image": "ami-1", "default_image": True,
        "key_name": None, "checked_in": True,
    }  # fmt: skip
    return {
        "schema_version": 1, "spec": {}, "runner": "", "key": "0123456789", "position": 3, "index": 3, "attempt": 1, "state": "running",
        "compute_environment": "spawn-ec2", "instance": instance | changes,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def running(fake: FakeEngine) -> None:
    fake.arrays = [array(provider="ec2")]
    fake.members = [member(3)]
    fake.session = entrance()


def options(call: list[str]) -> dict[str, str]:
    """What ssh was given with -o."""
    return dict(value.partition("=")[::2] for flag, value in pairwise(call) if flag == "-o")


def test_a_key_made_for_this_minute_lets_the_user_in(here: Here, keys: Keys, state_dir: Path) -> None:
    result = here.connect(stdin="echo $TASK_ARRAY_INDEX\n")
    assert (result.code, result.out, result.err) == (0, "echo $TASK_ARRAY_INDEX\n", "")
    (call,) = here.calls
    assert call[-2:] == [f"ec2-user@{OPEN}", "sudo -n /opt/spored/spored shell 3"]
    assert "-t" not in call
    assert keys.sent == [{"InstanceId": INSTANCE, "InstanceOSUser": "ec2-user", "SSHPublicKey": PUBLIC, "AvailabilityZone": "us-east-1a"}]
    given = options(call)
    assert (given["HostKeyAlias"], given["StrictHostKeyChecking"], given["BatchMode"], given["IdentitiesOnly"]) == (INSTANCE, "accept-new", "yes", "yes")
    assert given["UserKnownHostsFile"] == f'"{state_dir}/ssh/known_hosts"'
    assert not Path(call[call.index("-i") + 1]).exists()
    assert (here.path / "notes" / "keys").read_text() == "private\n"


def test_a_command_is_quoted_for_the_other_side_and_its_exit_code_is_passed_on(here: Here) -> None:
    here.codes(42)
    result = here.connect("--", "sh", "-c", "cat '/tmp/a b'; exit 42")
    assert result.code == 42
    assert here.calls[0][-1] == """sudo -n /opt/spored/spored shell 3 -- sh -c 'cat '"'"'/tmp/a b'"'"'; exit 42'"""


def test_on_a_terminal_ssh_gets_one(here: Here, on_terminal: Run) -> None:
    result = on_terminal("connect", "my-array-3", typed="\x04", **here.variables)
    assert result.code == 0
    assert "-t" in here.calls[0]


def test_a_key_of_the_users_own_is_taken_and_none_is_sent(here: Here, keys: Keys, tmp_path: Path, home: Path, fake: FakeEngine) -> None:
    own = tmp_path / "own.pem"
    own.write_text("own\n")
    assert here.connect("--identity", str(own), "--user", "admin").code == 0
    fake.session = entrance(key_name="my-key")
    (home / ".ssh").mkdir()
    (home / ".ssh" / "my-key.pem").write_text("kept\n")
    assert here.connect().code == 0
    assert keys.sent == []
    assert here.calls[0][-2] == f"admin@{OPEN}"
    assert "BatchMode" not in options(here.calls[0])
    assert (here.path / "notes" / "keys").read_text() == "own\nkept\n"
    assert here.connect("--via", "instance-connect").code == 0
    assert len(keys.sent) == 1


def test_an_agent_that_never_checked_in_leaves_the_plain_instance(here: Here, fake: FakeEngine) -> None:
    fake.session = entrance(checked_in=False)
    result = here.connect("--", "tail", "-n", "5", "/var/log/cloud-init-output.log")
    assert here.calls[0][-1] == "tail -n 5 /var/log/cloud-init-output.log"
    assert "has not checked in" in result.err
    here.connect()
    assert here.calls[1][-1] == f"ec2-user@{OPEN}"


def test_credentials_that_may_not_send_a_key_are_told_what_is_missing(here: Here, keys: Keys) -> None:
    keys.refusal = {"__type": "AccessDeniedException", "Message": "no identity-based policy allows it"}
    result = here.connect()
    assert (result.code, here.calls) == (3, [])
    assert "may not send a key to i-0123456789abcdef0 (ec2-instance-connect:SendSSHPublicKey): no identity-based policy allows it" in result.err


def test_an_instance_that_is_gone_or_stopped_is_the_engines_sentence(here: Here, fake: FakeEngine) -> None:
    fake.session = refuse(409, "conflict", f"instance {INSTANCE} of my-array-3 has ended; its log: `spawn logs my-array:3`")  # type: ignore[assignment]
    result = here.connect()
    assert (result.code, here.calls) == (5, [])
    assert "its log: `spawn logs" in result.err


@pytest.mark.parametrize("words", [["--via", "ssm"], ["--user", "ubuntu"], ["--allow-from", "203.0.113.7/32"]])
def test_flags_for_instances_are_refused_for_what_runs_here(here: Here, fake: FakeEngine, words: list[str]) -> None:
    fake.session = entrance() | {"instance": None}
    result = here.connect(*words)
    assert result.code == 2
    assert f"{words[0]}: my-array-3 runs on this machine, which is entered without: leave it out" in result.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--allow-from", "0.0.0.0/0"], "lets 4294967296 addresses in"),
        (["--allow-from", "here"], "'here' is no range of addresses"),
        (["--user", "-oProxyCommand=x"], "is not a user"),
        (["--via", "telnet"], "unknown way 'telnet'"),
    ],
)
def test_what_cannot_be_meant_is_refused(here: Here, words: list[str], said: str) -> None:
    result = here.connect(*words)
    assert (result.code, here.calls) == (2, [])
    assert said in result.err


# --- Systems Manager ------------------------------------------------------------------------------------------------------


def test_by_systems_manager_ssh_goes_through_a_session_and_no_port_is_needed(here: Here, keys: Keys, fake: FakeEngine) -> None:
    fake.session = entrance(address=None)
    refused = here.connect()
    assert (refused.code, "--via ssm" in refused.err) == (5, True)
    here.program("aws", "#!/bin/sh\n")
    missing = here.connect("--via", "ssm")
    assert (missing.code, missing.err.count("session-manager-plugin is not in PATH")) == (3, 1)
    here.program("session-manager-plugin", "#!/bin/sh\n")
    here.codes(255)
    result = here.connect("--via", "ssm")
    assert result.code == 255
    assert "AmazonSSMManagedInstanceCore" in result.err
    (call,) = here.calls
    assert call[-2] == f"ec2-user@{INSTANCE}"
    start = f"aws ssm start-session --target {INSTANCE} --region us-east-1 --document-name AWS-StartSSHSession --parameters portNumber=%p"
    assert options(call)["ProxyCommand"] == start
    assert len(keys.sent) == 1


# --- a closed port --------------------------------------------------------------------------------------------------------


@dataclass
class Account:
    """An account with one instance in one security group."""

    url: str
    instance: str
    group: str
    rules: Callable[[], list[str]]


@dataclass(frozen=True, kw_only=True)
class Moto:
    """An EC2 of moto's, with the images that it knows."""

    url: str
    ec2: Any
    images: list[dict[str, Any]]


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    ec2 = boto3.client("ec2", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    # moto's own images are not there in a process in which a laboratory has been
    made = [ec2.register_image(Name=name, RootDeviceName="/dev/sda1")["ImageId"] for name in ("al2023-ami-2023", "ubuntu/images/noble")]
    yield Moto(url=url, ec2=ec2, images=ec2.describe_images(ImageIds=made)["Images"])
    ec2.close()
    server.stop()


def account(moto: Moto, *, own: bool) -> Account:
    ec2 = moto.ec2
    group = ec2.create_security_group(GroupName=f"spawn-{os.urandom(4).hex()}", Description="a test")["GroupId"]
    if own:
        ec2.create_tags(Resources=[group], Tags=[{"Key": "spawn:made", "Value": "1"}])
    instance = ec2.run_instances(ImageId=moto.images[0]["ImageId"], MinCount=1, MaxCount=1, SecurityGroupIds=[group])["Instances"][0]["InstanceId"]

    def rules() -> list[str]:
        found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
        return [f"{one['FromPort']}-{one['ToPort']} {entry['CidrIp']}" for one in found for entry in one["IpRanges"]]

    return Account(moto.url, instance, group, rules)


def use(here: Here, fake: FakeEngine, found: Account, **changes: Any) -> None:
    here.variables["AWS_ENDPOINT_URL_EC2"] = found.url
    fake.session = entrance(**({"instance_id": found.instance, "address": CLOSED} | changes))


def test_a_closed_port_is_opened_for_this_machine_alone_and_only_after_a_yes(here: Here, keys: Keys, fake: FakeEngine, moto: Moto) -> None:
    found = account(moto, own=True)
    use(here, fake, found)
    here.codes(255, 255, 0)
    refused = here.connect("--allow-from", "203.0.113.7/32")
    assert (refused.code, found.rules()) == (6, [])
    assert f"`spawn connect my-array-3 --yes` opens it for 203.0.113.7/32 in security group {found.group}, which spawn made; or use --via ssm" in refused.err
    result = here.connect("--allow-from", "203.0.113.7/32", "--yes")
    assert result.code == 0
    assert found.rules() == ["22-22 203.0.113.7/32"]
    assert f"port 22 is open for 203.0.113.7/32 in security group {found.group} from now on" in result.err
    assert len(here.calls) == 3
    assert len(keys.sent) == 3  # the last key had a minute, and opening may have taken longer


def test_a_no_leaves_the_security_group_as_it_is(here: Here, fake: FakeEngine, moto: Moto, on_terminal: Run) -> None:
    found = account(moto, own=True)
    use(here, fake, found)
    here.codes(255)
    result = on_terminal("connect", "my-array-3", "--allow-from", "203.0.113.7/32", typed="\x04n\n", **here.variables)
    assert (result.code, found.rules()) == (6, [])
    assert "was left as it is" in result.out


def test_a_security_group_of_others_is_never_changed(here: Here, fake: FakeEngine, moto: Moto) -> None:
    found = account(moto, own=False)
    use(here, fake, found)
    here.codes(255)
    result = here.connect("--yes", "--allow-from", "203.0.113.7/32")
    assert (result.code, found.rules()) == (6, [])
    assert f"none of its security groups ({found.group}) was made by spawn: let this machine in there (tcp 22)" in result.err


def test_a_rule_that_is_there_already_is_not_the_way_out(here: Here, fake: FakeEngine, moto: Moto) -> None:
    found = account(moto, own=True)
    use(here, fake, found)
    here.codes(255, 0, 255)
    here.connect("--yes", "--allow-from", "203.0.113.7/32")
    result = here.connect("--yes", "--allow-from", "203.0.113.7/32")
    assert result.code == 6
    assert "lets 203.0.113.7/32 in: its sshd may not be up yet" in result.err


def test_the_user_is_the_one_of_the_image(here: Here, fake: FakeEngine, moto: Moto) -> None:
    ubuntu = next(image["ImageId"] for image in moto.images if "ubuntu" in image["Name"])
    use(here, fake, Account(moto.url, INSTANCE, "", list), image=ubuntu, default_image=False, address=OPEN)
    assert here.connect().code == 0
    assert here.calls[0][-2] == f"ubuntu@{OPEN}"
