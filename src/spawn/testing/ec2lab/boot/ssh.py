"""A stand-in for ssh that leads into machines of a laboratory.

The file runs by itself, where users type `ssh`; `make` puts it there.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import NoReturn

_WITH_VALUE = "BbcDEeFIiJLlmOopQRSWw"
_DIRECTORY = ""  # filled in by `make`
# As long as it lasts, the session is among those that systemd-logind would list.
_SESSION = """\
mkdir -p /run/systemd/sessions; note=/run/systemd/sessions/$$
printf 'UID=0\\nCLASS=user\\nSTATE=active\\nTYPE=tty\\n' > $note
trap 'rm -f $note' EXIT; trap 'exit 129' HUP; trap 'exit 143' TERM; trap : INT
cd; {}
"""


def make(directory: Path) -> Path:
    """Write the program that finds its machines in `directory`, and return its path."""
    path = directory / "bin" / "ssh"
    path.parent.mkdir()
    text = Path(__file__).read_text(encoding="utf-8").replace('_DIRECTORY = ""', f"_DIRECTORY = {str(directory)!r}", 1)
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return path


def understand(words: list[str]) -> tuple[str | None, list[str]]:
    """The host and the command of an ssh command line."""
    host = None
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--" and host is None:
            continue
        if word.startswith("-") and len(word) > 1 and host is None:
            letters = word[1:]
            for place, letter in enumerate(letters):
                if letter in _WITH_VALUE:
                    if place == len(letters) - 1 and rest:
                        rest.pop(0)
                    break
            continue
        if host is None:
            host = word
            continue
        return host, [word, *rest]
    return host, []


def _environment(root: str) -> dict[str, str]:
    environment = {"HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh", "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb")}
    environment["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment["SSH_CONNECTION"] = "127.0.0.1 22 127.0.0.1 22"
    with open(f"{root}/etc/environment", encoding="utf-8") as file:
        for line in file:
            name, equals, value = line.rstrip("\n").partition("=")
            if equals:
                environment[name] = value
    return environment


def _refuse(text: str) -> NoReturn:
    sys.stderr.write(text)
    sys.exit(255)


def main() -> None:
    """Become the command, or a shell, inside the machine. 255 when there is no such machine, as ssh does when it cannot connect."""
    host, command = understand(sys.argv[1:])
    if host is None:
        _refuse("usage: ssh [options] [user@]address [command]\n")
    address = host.rpartition("@")[2]
    try:
        with open(os.path.join(_DIRECTORY, "addresses", os.path.basename(address)), encoding="utf-8") as file:
            machine = json.load(file)
        environment = _environment(os.path.join(_DIRECTORY, "machines", machine["instance_id"], "disk"))
    except (OSError, ValueError):
        _refuse(f"ssh: connect to host {address} port 22: Connection refused\n")
    flags = ["-m", "-u", "-i", "-p"]
    if machine["user_namespace"]:
        flags = ["-U", "--preserve-credentials", *flags]
    shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    # sshd hands all words to the shell as one text
    inner = f"{shell} " + (f"-c {shlex.quote(' '.join(command))}" if command else "-l")
    os.execvpe("nsenter", ["nsenter", "-t", str(machine["pid"]), *flags, "--", "/bin/sh", "-c", _SESSION.format(inner)], {**environment, "SHELL": shell})


if __name__ == "__main__":
    main()
