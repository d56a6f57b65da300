"""The stand-in for systemctl."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime

from spawn.testing.ec2lab.boot import ending, processes, services
from spawn.testing.ec2lab.boot.answers import Answer, Manager, Reply, journal_of, last_lines

_FLAGS = {"--now", "--no-block", "--quiet", "-q", "--no-pager", "--system", "-l", "--full", "--force", "-f", "--no-ask-password", "--value"}


def handle(manager: Manager, words: list[str], reply: Reply) -> None:
    """Do what it was called for, and reply once, perhaps later."""
    flags, properties, rest = set(), [], []
    pending = list(words)
    while pending:
        word = pending.pop(0)
        if word in {"-p", "--property"} and pending:
            properties.append(pending.pop(0))
        elif word.startswith(("--property=", "-p")) and word != "-p":
            properties.append(word.partition("=")[2] if "=" in word else word[2:])
        elif word.startswith("-"):
            flags.add(word)
        else:
            rest.append(word)
    unknown = flags - _FLAGS
    if unknown:
        reply(Answer(code=1, err=f"systemctl: unrecognized option '{min(unknown)}' (of the laboratory's stand-in)\n"))
        return
    verb, *names = rest or ["list-units"]
    names = [name if "." in name else f"{name}.service" for name in names]
    try:
        _act(manager, verb, names, flags, [name for part in properties for name in part.split(",")], reply)
    except (services.BadUnit, OSError) as error:
        missing = str(error).endswith("not found.")
        reply(Answer(code=5 if missing and verb in {"start", "stop", "restart"} else 4 if missing else 1, err=f"{error}\n"))


def _act(manager: Manager, verb: str, names: list[str], flags: set[str], properties: list[str], reply: Reply) -> None:
    if verb in {"daemon-reload", "daemon-reexec", "reset-failed"}:
        reply(Answer())
    elif verb in {"poweroff", "halt", "reboot"}:
        reply(ending.handle(manager, verb, []))
    elif verb == "is-system-running":
        failed = any(unit.state == "failed" for unit in manager.units.values())
        reply(Answer(code=int(failed), out="degraded\n" if failed else "running\n"))
    elif verb == "list-units":
        reply(Answer(out="".join(f"{name} loaded {unit.state} {unit.service.description}\n" for name, unit in sorted(manager.units.items()))))
    elif not names:
        reply(Answer(code=1, err="Too few arguments.\n"))
    elif verb in {"is-active", "is-failed", "is-enabled"}:
        reply(_asked(manager, verb, names, quiet=bool(flags & {"-q", "--quiet"})))
    elif verb in {"enable", "disable"}:
        _enable(manager, verb, names, flags, reply)
    elif verb in {"start", "stop", "restart", "try-restart", "reload-or-restart"}:
        _run(manager, verb, names, "--no-block" in flags, reply)
    elif verb in {"status", "show", "cat", "kill"}:
        reply(_told_of(manager, verb, names, properties, only_values="--value" in flags))
    else:
        reply(Answer(code=1, err=f"Unknown command verb {verb} (of the laboratory's stand-in for systemctl).\n"))


def _run(manager: Manager, verb: str, names: list[str], no_block: bool, reply: Reply) -> None:
    """Start or stop services one after the other; the answer comes when that is done, or at the first that fails."""
    if not names:
        reply(Answer())
        return
    unit = manager.units[names[0]] if verb == "stop" and names[0] in manager.units else manager.unit(names[0])

    def go_on() -> None:
        _run(manager, verb, names[1:], no_block, reply)

    def up(why_not: str | None) -> None:
        if no_block:
            return
        if why_not is None:
            go_on()
        else:
            reply(Answer(code=1, err=f'{why_not}\nSee "systemctl status {names[0]}" for details.\n'))

    if verb == "try-restart" and not unit.is_up:
        go_on()
        return
    if verb == "start":
        unit.start(up)
    elif verb == "stop":
        unit.stop(_nothing if no_block else go_on)
    else:
        unit.stop(lambda: manager.unit(names[0]).start(up))
    if no_block:
        go_on()


def _nothing() -> None:
    pass


def _enable(manager: Manager, verb: str, names: list[str], flags: set[str], reply: Reply) -> None:
    said = ""
    for name in names:
        link = f"{services.WANTS}/{name}"
        if verb == "enable":
            service = services.find(name)
            if service is None:
                raise services.BadUnit(f"Failed to enable unit: Unit file {name} does not exist.")
            if not service.wanted_by:
                said += f"The unit files have no installation config: {name} is not started at boot.\n"
            elif not os.path.lexists(link):
                os.makedirs(services.WANTS, exist_ok=True)
                os.symlink(f"/etc/systemd/system/{name}", link)
                said += f"Created symlink {link} → /etc/systemd/system/{name}.\n"
        elif os.path.lexists(link):
            os.unlink(link)
            said += f"Removed {link}.\n"
    if "--now" not in flags:
        reply(Answer(err=said))
        return

    def joined(answer: Answer) -> None:
        reply(Answer(code=answer.code, out=answer.out, err=said + answer.err))

    _run(manager, "start" if verb == "enable" else "stop", names, "--no-block" in flags, joined)


def _asked(manager: Manager, verb: str, names: list[str], *, quiet: bool) -> Answer:
    words = []
    for name in names:
        unit = manager.units.get(name)
        if verb == "is-enabled":
            words.append("enabled" if os.path.lexists(f"{services.WANTS}/{name}") else "disabled" if services.find(name) else "not-found")
        else:
            words.append(unit.state if unit is not None else "inactive")
    wanted = {"is-active": "active", "is-failed": "failed", "is-enabled": "enabled"}[verb]
    yes = any(word == wanted for word in words)
    no = {"is-active": 3, "is-failed": 1, "is-enabled": 1}[verb]
    return Answer(code=0 if yes else no, out="" if quiet else "".join(word + "\n" for word in words))


def _told_of(manager: Manager, verb: str, names: list[str], properties: list[str], *, only_values: bool) -> Answer:
    out, code = "", 0
    for name in names:
        unit = manager.units.get(name) or manager.unit(name)
        if verb == "kill":
            processes.send(unit.members(), signal.SIGTERM)
        elif verb == "cat":
            with open(next(f"{place}/{name}" for place in services.PLACES if os.path.exists(f"{place}/{name}")), encoding="utf-8") as file:
                out += file.read()
        elif verb == "show":
            facts = {"Id": name, "ActiveState": unit.state, "SubState": "running" if unit.main else "dead", "MainPID": unit.main or 0, "Result": unit.result}
            facts["NRestarts"] = unit.restarts
            chosen = {key: value for key, value in facts.items() if not properties or key in properties}
            out += "".join(f"{value}\n" if only_values else f"{key}={value}\n" for key, value in chosen.items())
        else:
            since = datetime.fromtimestamp(unit.since, UTC)
            out += f"{name} - {unit.service.description}\n     Active: {unit.state} since {since:%a %Y-%m-%d %H:%M:%S} UTC\n   Main PID: {unit.main or '-'}\n"
            out += last_lines(journal_of(name), 10)
            code = 0 if unit.is_up else 3
    return Answer(code=code, out=out)
