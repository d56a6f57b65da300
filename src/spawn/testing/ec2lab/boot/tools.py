"""The programs of a machine that stand in for real ones, or lead to those of this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from spawn.testing.ec2lab.boot import client, fetching
from spawn.testing.ec2lab.boot.plan import BootPlan, Interpreter
from spawn.testing.ec2lab.boot.views import LAB

ASKED = ("shutdown", "poweroff", "halt", "reboot", "systemctl", "journalctl", "logger", "yum", "dnf", "apt-get", "apt")
_SUDO = """\
#!/bin/sh
# Everything here runs as root already.
while [ $# -gt 0 ]; do
    case $1 in
        -u|-g|-p|-C|-D|-r|-t) shift 2 ;;
        --) shift; break ;;
        -*) shift ;;
        *=*) export "$1"; shift ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || { echo 'sudo: a command is needed' >&2; exit 1; }
exec "$@"
"""


def make(directory: Path, plan: BootPlan, interpreter: Interpreter) -> tuple[str, ...]:
    """Write them into `directory`, and return the places of this machine that they need to see."""
    directory.mkdir(parents=True)
    head = f"#!{interpreter.path} -IS\n"
    _write(directory / "shutdown", head + Path(client.__file__).read_text(encoding="utf-8"))
    for name in ASKED[1:]:
        os.link(directory / "shutdown", directory / name)
    _write(directory / "sudo", _SUDO)
    (directory / "python3").symlink_to(interpreter.path)
    if not interpreter.path.startswith("/usr/"):  # where it would lead to itself
        (directory / f"python3.{interpreter.version[1]}").symlink_to(interpreter.path)
    if shutil.which("curl", path="/usr/bin:/bin:/usr/local/bin") is None:
        _write(directory / "curl", head + Path(fetching.__file__).read_text(encoding="utf-8"))
    return (*_prefixes(interpreter.path), *_make_aws(directory, plan))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def _prefixes(program: str) -> tuple[str, ...]:
    """What a program below some bin/ needs: the directory above, as it is called and as it really is."""
    found = {os.path.dirname(os.path.dirname(path)) for path in (os.path.abspath(program), os.path.realpath(program))}
    return tuple(sorted(path for path in found if path != "/" and path != "/usr" and not path.startswith("/usr/")))


def find_aws(plan: BootPlan) -> str | None:
    """The AWS CLI that machines have; None when there is none here. ValueError when the wanted one is not there."""
    if plan.aws is not None:
        if not os.access(plan.aws, os.X_OK):
            raise ValueError(f"{plan.aws!r} is no program: name another one as BootPlan.aws")
        return plan.aws
    beside = os.path.join(os.path.dirname(sys.executable), "aws")
    found = beside if os.access(beside, os.X_OK) else shutil.which("aws")
    if found is None or os.path.basename(os.path.dirname(found)) != "shims":
        return found
    try:  # a shim needs all of pyenv; what it leads to does not
        return subprocess.run(["pyenv", "which", "aws"], capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _make_aws(directory: Path, plan: BootPlan) -> tuple[str, ...]:
    """A program `aws` that runs this machine's AWS CLI with the Python it was installed for."""
    program = find_aws(plan)
    if program is None:
        return ()
    with open(program, "rb") as file:
        first = file.readline(4096)
    if not first.startswith(b"#!"):
        real = os.path.realpath(program)
        _write(directory / "aws", f'#!/bin/sh\nexec {shlex.quote(real)} "$@"\n')
        return () if real.startswith("/usr/") else (os.path.dirname(real),)
    interpreter = os.fsdecode(first[2:]).split()
    # The stand-in takes the name, so the script goes by another; and its Python by its own, because `python3` is the machine's.
    shutil.copyfile(program, directory / "aws.script")
    if interpreter[0].startswith("/usr/bin/") and len(interpreter) == 1:
        interpreter[0] = os.path.realpath(interpreter[0])
    words = " ".join(shlex.quote(word) for word in interpreter)
    _write(directory / "aws", f'#!/bin/sh\nexec {words} {LAB}/bin/aws.script "$@"\n')
    return _prefixes(interpreter[0])
