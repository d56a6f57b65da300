"""Asking the agent of this instance, over its socket."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from spored.address import socket_address
from spored.environment import RUNNER_MARK
from spored.errors import NOT_HERE, UNAVAILABLE, SporedError
from spored.home import this_program
from spored.instance.desk import SOCKET
from spored.instance.places import Places

_PATIENCE_S = 10.0


def home_of(environ: Mapping[str, str], places: Places) -> str:
    """Where the agent is: beside the runner whose attempt this is, or, outside of an attempt, in its place."""
    runner = environ.get(RUNNER_MARK)
    beside = os.path.dirname(runner) if runner else ""
    return beside if beside and os.path.exists(os.path.join(beside, SOCKET)) else places.home


def become_root(words: list[str], home: str) -> None:
    """What the agent knows only root may: others ask sudo, which needs no password on images of EC2. As root, or where this user may look: nothing."""
    if os.geteuid() != 0 and os.path.isdir(home) and not os.access(home, os.X_OK):
        try:
            os.execvp("sudo", ["sudo", "-n", sys.executable, "-IS", this_program(), *words])
        except OSError as error:
            raise SporedError(f"only root may ask this; sudo cannot be run: {error.strerror}", NOT_HERE) from error


def ask(home: str, message: dict[str, Any]) -> dict[str, Any]:
    """The agent's answer. SporedError when it declines, or is not there."""
    path = os.path.join(home, SOCKET)
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(_PATIENCE_S)
    answer = b""
    try:
        address, fd = socket_address(home, SOCKET)
        try:
            peer.connect(address)
        finally:
            if fd >= 0:
                os.close(fd)
        peer.sendall(json.dumps(message).encode() + b"\n")
        while not answer.endswith(b"\n"):
            more = peer.recv(65536)
            if not more:
                raise SporedError("the agent of this instance hung up", UNAVAILABLE)
            answer += more
    except FileNotFoundError:
        raise SporedError(f"{message['op']} only works on an instance that spawn has launched (there is no {path})", NOT_HERE) from None
    except OSError as error:
        raise SporedError(f"the agent of this instance cannot be reached: {error.strerror or error}", UNAVAILABLE) from error
    finally:
        peer.close()
    found: dict[str, Any] = json.loads(answer)
    if found.get("op") == "declined":
        raise SporedError(str(found["message"]), int(found["exit"]))
    return found
