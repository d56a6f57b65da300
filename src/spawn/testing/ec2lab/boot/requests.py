"""What the stand-ins of a machine ask of its first process, and the answers."""

from __future__ import annotations

import os
import shutil
import time

from spawn.testing.ec2lab.boot import ending, systemctl
from spawn.testing.ec2lab.boot.answers import JOURNALS, Answer, Manager, Reply, journal_of, last_lines
from spawn.testing.ec2lab.boot.disks import PATH

_MESSAGES = "/var/log/messages"
_PROGRAMS = {
    "awscli": "aws",
    "awscli-2": "aws",
    "aws-cli": "aws",
    "python": "python3",
    "coreutils": "ls",
    "procps-ng": "ps",
    "procps": "ps",
    "util-linux": "mount",
}
_NO_INSTALL = {"update", "upgrade", "makecache", "clean", "check-update", "autoremove", "dist-upgrade"}


def handle(manager: Manager, program: str, words: list[str], text: str, reply: Reply) -> None:
    """Do what a stand-in was called for, and reply once, perhaps later."""
    if program in {"shutdown", "poweroff", "halt", "reboot"}:
        reply(ending.handle(manager, program, words))
    elif program == "systemctl":
        systemctl.handle(manager, words, reply)
    elif program == "journalctl":
        reply(_journalctl(words))
    elif program == "logger":
        reply(_logger(words, text))
    elif program in {"yum", "dnf", "apt-get", "apt"}:
        reply(_install(program, words))
    else:
        reply(Answer(code=127, err=f"{program}: command not found\n"))


def _journalctl(words: list[str]) -> Answer:
    names, count = [], None
    pending = list(words)
    while pending:
        word = pending.pop(0)
        if word in {"-u", "--unit", "-n", "--lines"} and pending:
            value = pending.pop(0)
        elif word.startswith(("--unit=", "--lines=")):
            value = word.partition("=")[2]
        elif word in {"--no-pager", "-q", "--quiet", "-b", "-a", "-e", "-o", "cat", "short", "-xe", "-x"}:
            continue
        else:
            return Answer(code=1, err=f"journalctl: {word!r} is not to be had in the laboratory; -u UNIT and -n LINES are\n")
        if word == "-n" or word.startswith("--lines"):
            if not value.isdigit():
                return Answer(code=1, err=f"Failed to parse lines {value!r}\n")
            count = int(value)
        else:
            names.append(value if "." in value else f"{value}.service")
    paths = [journal_of(name) for name in names] or [f"{JOURNALS}/{name}" for name in sorted(os.listdir(JOURNALS))]
    text = "".join(last_lines(path, count) for path in paths)
    return Answer(out=text or "-- No entries --\n")


def _logger(words: list[str], text: str) -> Answer:
    tag, aloud = "root", False
    rest: list[str] = []
    pending = list(words)
    while pending:
        word = pending.pop(0)
        if word in {"-t", "--tag", "-p", "--priority", "-f"} and pending:
            value = pending.pop(0)
            tag = value if word in {"-t", "--tag"} else tag
        elif word in {"-s", "--stderr", "-i", "--"}:
            aloud = aloud or word in {"-s", "--stderr"}
        elif word.startswith("-") and not rest:
            return Answer(code=1, err=f"logger: invalid option -- {word.lstrip('-')!r}\n")
        else:
            rest.append(word)
    lines = [" ".join(rest)] if rest else text.splitlines()
    with open(_MESSAGES, "a", encoding="utf-8") as file:
        file.writelines(f"{time.strftime('%b %d %H:%M:%S')} {tag}: {line}\n" for line in lines)
    return Answer(err="".join(f"{tag}: {line}\n" for line in lines) if aloud else "")


def _install(program: str, words: list[str]) -> Answer:
    rest = [word for word in words if not word.startswith("-")]
    verb, *names = rest or ["help"]
    if verb in _NO_INSTALL:
        return Answer(out="Nothing to do.\n")
    if verb not in {"install", "reinstall"}:
        return Answer(code=1, err=f"{program}: {verb!r} is not to be had in the laboratory; install is\n")
    if not names:
        return Answer(code=1, err=f"{program}: install needs the names of packages\n")
    missing = [name for name in names if shutil.which(_PROGRAMS.get(name, name), path=PATH) is None]
    out = "".join(f"Package {name} is already installed.\n" for name in names if name not in missing)
    if missing:
        why = "the laboratory installs nothing: a program is there when this machine has it, or the image's files name it"
        return Answer(code=1, out=out, err=f"No match for argument: {', '.join(missing)} ({why})\n")
    return Answer(out=out + "Nothing to do.\nComplete!\n")
