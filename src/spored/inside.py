"""What a script may say and ask: `spored complete` and `spored status`. Imports little, because a script of milliseconds may call it."""

from __future__ import annotations

import os
import socket

from spored.address import socket_address
from spored.errors import NOT_HERE, UNAVAILABLE, USAGE, SporedError
from spored.options import parse

_PATIENCE = 5.0
"""Seconds to wait for the runner's answer."""
_STATUSES = ("success", "failure")
_FIELDS = ("index", "size", "array", "attempt", "name", "elapsed_s", "ttl_left_s", "deadline")


def complete(words: list[str]) -> int:
    """Record how the attempt went. 0 once it is in the journal; the same status again is 0 too, another one a conflict."""
    options, rest = parse(words, {"--status": True, "--message": True})
    status = options.get("--status")
    if rest:
        raise SporedError(f"complete takes no word {rest[0]!r}", USAGE)
    if status not in _STATUSES:
        raise SporedError("complete needs --status success or --status failure" + (f", not {status!r}" if status is not None else ""), USAGE)
    message = _quoted(options["--message"]) if "--message" in options else "null"
    answer = _ask("complete", f',"status":"{status}","message":{message}')
    if answer != b'{"op":"recorded"}':
        _declined(answer)
    return 0


def status(words: list[str]) -> int:
    """Print who this attempt is and how much time it has: a name, a tab and a value a line, or one JSON object."""
    if (not os.environ.get("SPAWN_ATTEMPT_ID") and os.path.isdir("/var/lib/spored")) or "--root" in words:
        from spored.instance.verbs import status as status_of_instance

        return status_of_instance(words)
    options, rest = parse(words, {"-o": True, "--output": True})
    form = options.get("-o", options.get("--output", "tsv"))
    if rest:
        raise SporedError(f"status takes no word {rest[0]!r}", USAGE)
    if form not in ("tsv", "json"):
        raise SporedError(f"status is printed as tsv or json, not {form!r}", USAGE)
    answer = _declined(_ask("status"))
    import json

    fields: tuple[str, ...] = _FIELDS
    if _is_on_instance():
        from spored.instance.verbs import beside_runner

        answer.update(beside_runner(answer))
        fields += ("last_upload", "unsent")
    if form == "json":
        print(json.dumps({"schema_version": 1, **{name: answer[name] for name in fields}}))
        return 0
    for name in fields:
        if answer[name] is not None:
            print(f"{name}\t{answer[name]}")
    return 0


def _is_on_instance() -> bool:
    """Whether the runner of this attempt is that of an instance on EC2, beside whose directory its agent listens."""
    return os.path.exists(os.path.join(os.path.dirname(os.environ["SPAWN_RUNNER"]), "agent.sock"))


def _ask(op: str, members: str = "") -> bytes:
    """The runner's answer to one line."""
    attempt, directory = os.environ.get("SPAWN_ATTEMPT_ID"), os.environ.get("SPAWN_RUNNER")
    if not attempt or not directory:
        raise SporedError(f"{op} only works in a script that spawn runs (SPAWN_ATTEMPT_ID is not set)", NOT_HERE)
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(_PATIENCE)
    answer = b""
    try:
        address, fd = socket_address(directory)
        peer.connect(address)
        if fd >= 0:
            os.close(fd)
        peer.sendall(f'{{"op":"{op}","a":{_quoted(attempt)}{members}}}\n'.encode("ascii"))
        while not answer.endswith(b"\n"):
            more = peer.recv(65536)
            if not more:
                raise SporedError("the runner of this attempt hung up; nothing is known to be recorded", UNAVAILABLE)
            answer += more
    except socket.timeout as error:
        raise SporedError(f"the runner of this attempt did not answer within {_PATIENCE:g} s; nothing is known to be recorded", UNAVAILABLE) from error
    except OSError as error:
        raise SporedError(f"the runner of this attempt cannot be reached: {error.strerror}", UNAVAILABLE) from error
    finally:
        peer.close()
    return answer.rstrip(b"\n")


def _declined(answer: bytes) -> dict[str, object]:
    """The answer, unless it is a refusal."""
    import json

    message: dict[str, object] = json.loads(answer)
    if message["op"] == "declined":
        raise SporedError(str(message["message"]), int(str(message["exit"])))
    if message["op"] == "error":
        raise SporedError(str(message["message"]), 1)
    return message


def _quoted(text: str) -> str:
    """`text` as a JSON string in ASCII. Importing json would take longer than all the rest."""
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    units = plain.encode("utf-16-be")
    codes = [units[at] << 8 | units[at + 1] for at in range(0, len(units), 2)]
    return '"' + "".join(chr(code) if 32 <= code < 127 and code not in (34, 92) else f"\\u{code:04x}" for code in codes) + '"'
