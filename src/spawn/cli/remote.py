"""Entering an instance on EC2 with the user's own ssh: which key, which way, which command, and what is said when it cannot be had."""

from __future__ import annotations

import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from spawn.cli import aws
from spawn.cli.render import talk
from spawn.cli.render.terminal import is_terminal
from spawn.client.instances import Entrance
from spawn.domain.errors import ConfigurationError, Conflict, Unavailable, UsageError

AGENT: Final = "/opt/spored/spored"
"""The agent on an instance: `sudo` looks for programs where it is not."""

WAYS: Final = ("ssh", "instance-connect", "ssm")

_SSH_FAILED: Final = 255
_PROBE_S: Final = 5.0
_CONNECT_S: Final = 10


class How(NamedTuple):
    """What the flags of `spawn connect` ask for; None: what fits."""

    via: str | None
    identity: Path | None
    user: str | None
    allow_from: str | None
    yes: bool


class _Key(NamedTuple):
    """A private key for ssh; None: whatever ssh finds. `pushed`: it is let in for a minute."""

    path: Path | None
    pushed: bool


def enter(entrance: Entrance, index: int, name: str, words: Sequence[str], how: How, state_dir: Path) -> int:
    """A shell in the member's environment, or a command; its exit code. Unavailable, with the way out, when the instance cannot be reached."""
    program = shutil.which("ssh")
    if program is None:
        raise ConfigurationError("ssh is not in PATH, and instances are entered with it: install OpenSSH's client")
    if how.via == "ssm":
        _require_plugin()
    elif entrance.address is None:
        raise Conflict(f"instance {entrance.instance_id} of {name} has no address that could be reached: `spawn connect {name} --via ssm`")
    user = how.user or (aws.DEFAULT_USER if entrance.default_image else aws.login_user(entrance.image, entrance.region))
    remote = _remote_command(entrance, index, words)
    with _key(entrance, how, user) as key:
        command = [program, *_options(entrance, how, key, state_dir), f"{user}@{_host(entrance, how)}", *([remote] if remote else [])]
        code = _run(command)
        if code == _SSH_FAILED and how.via != "ssm" and not _is_open(entrance.address):
            _open_port(entrance, name, how)
            if key.pushed:
                _push(entrance, user, key)
            code = _run(command)
    if code == _SSH_FAILED:
        _explain(entrance, user, how)
    return code


def _remote_command(entrance: Entrance, index: int, words: Sequence[str]) -> str:
    """What ssh runs there; empty: a login shell."""
    if entrance.checked_in:
        return shlex.join(["sudo", "-n", AGENT, "shell", str(index), *(["--", *words] if words else [])])
    talk.note(f"the agent of {entrance.instance_id} has not checked in: this is the instance as it is, without the environment of the task")
    return shlex.join(words)


def _host(entrance: Entrance, how: How) -> str:
    return entrance.instance_id if how.via == "ssm" or entrance.address is None else entrance.address


def _options(entrance: Entrance, how: How, key: _Key, state_dir: Path) -> list[str]:
    """Host keys are kept by instance in a file of spawn's own: addresses are given out again, and the user's file is left alone."""
    known = state_dir / "ssh" / "known_hosts"
    known.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "HostKeyAlias": entrance.instance_id,
        "UserKnownHostsFile": '"{}"'.format(str(known).replace("%", "%%")),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "accept-new",
        "UpdateHostKeys": "no",
        "ConnectTimeout": str(_CONNECT_S),
        "ServerAliveInterval": "30",
        "LogLevel": "ERROR",
    }
    if key.pushed:
        options["BatchMode"] = "yes"
    if key.path is not None:
        options["IdentitiesOnly"] = "yes"
    if how.via == "ssm":
        start = f"aws ssm start-session --target {entrance.instance_id} --region {entrance.region}"
        options["ProxyCommand"] = f"{start} --document-name AWS-StartSSHSession --parameters portNumber=%p"
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    if key.path is not None:
        words += ["-i", str(key.path)]
    return [*words, "-t"] if is_terminal(sys.stdin) and is_terminal(sys.stdout) else words


# --- keys -----------------------------------------------------------------------------------------------------------------


@contextmanager
def _key(entrance: Entrance, how: How, user: str) -> Iterator[_Key]:
    """The key that was named, that of `--key-name` where users keep it, or else one made for this minute."""
    found = how.identity or (None if how.via == "instance-connect" else _kept_key(entrance.key_name))
    if found is not None or how.via == "ssh":
        yield _Key(found, pushed=False)
        return
    if shutil.which("ssh-keygen") is None:
        raise ConfigurationError("ssh-keygen is not in PATH, and makes the key for EC2 Instance Connect: install it, or name a key with --identity")
    with tempfile.TemporaryDirectory(prefix="spawn-key-") as directory:
        key = _Key(Path(directory) / "key", pushed=True)
        made = subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "spawn", "-f", str(key.path)], capture_output=True, text=True, check=False)
        if made.returncode:
            raise ConfigurationError(f"ssh-keygen could not make a key: {made.stderr.strip()[:300]}")
        _push(entrance, user, key)
        yield key


def _push(entrance: Entrance, user: str, key: _Key) -> None:
    assert key.path is not None
    public = key.path.with_suffix(".pub").read_text().strip()
    aws.push_key(instance_id=entrance.instance_id, zone=entrance.zone, region=entrance.region, user=user, public_key=public)


def _kept_key(name: str | None) -> Path | None:
    if name is None or "/" in name:
        return None
    directory = Path.home() / ".ssh"
    return next((path for path in (directory / f"{name}.pem", directory / name) if path.is_file()), None)


# --- running --------------------------------------------------------------------------------------------------------------


def _run(command: Sequence[str]) -> int:
    """Run ssh on this terminal. Ctrl-C is for it, and SIGTERM is passed on; its exit code, 128 and more after a signal."""
    sys.stdout.flush()
    process = subprocess.Popen(command)

    def pass_on(number: int, _: Any) -> None:
        process.send_signal(number)

    before = {signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None), signal.SIGTERM: signal.signal(signal.SIGTERM, pass_on)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _require_plugin() -> None:
    for program, what in (("aws", "the AWS CLI"), ("session-manager-plugin", "the Session Manager plugin of the AWS CLI")):
        if shutil.which(program) is None:
            raise ConfigurationError(f"{program} is not in PATH, and --via ssm needs it: install {what}, or leave --via ssm out")


# --- when it fails --------------------------------------------------------------------------------------------------------


def _is_open(address: str | None) -> bool:
    try:
        socket.create_connection((address or "", aws.SSH_PORT), timeout=_PROBE_S).close()
    except OSError:
        return False
    return True


def _open_port(entrance: Entrance, name: str, how: How) -> None:
    """Let this machine, and nobody else, in through the security group that spawn made, if its user wants that. Unavailable otherwise."""
    closed = f"port {aws.SSH_PORT} of {entrance.instance_id} ({entrance.address}) does not answer"
    if _is_private(entrance.address or "") and how.allow_from is None:
        raise Unavailable(f"{closed}: the address is private, and not reached from here; `spawn connect {name} --via ssm`, or a VPN into its subnet")
    groups = aws.groups_of(entrance.instance_id, entrance.region)
    if not groups.own:
        named = f"none of its security groups ({', '.join(groups.all)}) was made by spawn" if groups.all else "it has no security group"
        raise Unavailable(f"{closed}, and {named}: let this machine in there (tcp {aws.SSH_PORT}), or `spawn connect {name} --via ssm`")
    group = groups.own[0]
    addresses = how.allow_from or _alone(aws.address_here())
    if not how.yes:
        answer = talk.confirm(f"{closed}. Open it for {addresses} in security group {group}, which spawn made?")
        if answer is None:
            raise Unavailable(f"{closed}: `spawn connect {name} --yes` opens it for {addresses} in security group {group}, which spawn made; or use --via ssm")
        if not answer:
            raise Unavailable(f"{closed}, and security group {group} was left as it is: `spawn connect {name} --via ssm` needs no open port")
    if not aws.open_ssh(group, entrance.region, addresses):
        raise Unavailable(f"{closed}, though security group {group} lets {addresses} in: its sshd may not be up yet, so try again, or with --via ssm")
    talk.note(f"port {aws.SSH_PORT} is open for {addresses} in security group {group} from now on")


def _alone(address: str) -> str:
    return f"{address}/128" if ":" in address else f"{address}/32"


def _is_private(address: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(address).is_private
    except ValueError:
        return False


def _explain(entrance: Entrance, user: str, how: How) -> None:
    """Said when ssh ended with its own code for failure, after its own words."""
    if how.via == "ssm":
        policy = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
        talk.note(f"Systems Manager knows {entrance.instance_id} only if it was launched with --iam-policy {policy}")
    else:
        talk.note(f"if ssh was refused: another --user than {user}, the --identity of its --key-name, or --via ssm; Debian images lack EC2 Instance Connect")


def read_addresses(text: str) -> str:
    """Addresses that may be let in, as CIDR; UsageError for what is none, or lets too many in."""
    import ipaddress

    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"'{text[:60]}' is no range of addresses: write one such as 203.0.113.7/32") from error
    if network.prefixlen < (16 if network.version == 4 else 32):
        raise UsageError(f"'{text[:60]}' lets {network.num_addresses} addresses in: name the one of this machine, such as 203.0.113.7/32")
    return str(network)
