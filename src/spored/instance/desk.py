"""What people on the instance, and scripts, may ask the agent: `spored status`, `extend` and `config`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from spored.errors import CONFLICT, BadMessage, SporedError
from spored.loop import Loop
from spored.messages import Message, parse
from spored.server import Connection, Server
from spored.specs import member, seconds

if TYPE_CHECKING:
    from spored.instance.agent import Agent

SOCKET = "agent.sock"


class Desk:
    """Answers lines on the agent's socket, which only its owner may open."""

    def __init__(self, loop: Loop, directory: str, agent: Agent) -> None:
        self._agent = agent
        Server(loop, directory, self._hear, name=SOCKET)

    def _hear(self, connection: Connection, line: bytes) -> None:
        try:
            message = parse(line)
            op = {"status": self._status, "extend": self._extend, "config": self._config}.get(message["op"])
            if op is None:
                raise BadMessage(f"unknown op {message['op'][:60]!r}")
            connection.send({"op": message["op"], **op(message)})
        except BadMessage as error:
            connection.send({"op": "declined", "exit": 2, "message": str(error)})
        except SporedError as error:
            connection.send({"op": "declined", "exit": error.exit_code, "message": str(error)})

    def _status(self, _: Message) -> dict[str, Any]:
        return self._agent.report()

    def _extend(self, message: Message) -> dict[str, Any]:
        ending, now = self._agent.ending, time.time()
        if ending.lifetime.ends_at is None:
            raise SporedError("this instance has no end that could be moved (--no-ttl)", CONFLICT)
        if ending.why is not None:
            raise SporedError(f"this instance is about to end: {ending.why}", CONFLICT)
        ending.move(ending.lifetime.extended(now + seconds(message, "by_s")))
        return {"deadline": ending.lifetime.ends_at}

    def _config(self, message: Message) -> dict[str, Any]:
        if message.get("key") is not None:
            self._agent.configure(member(message, "key", str), member(message, "value", str))
        return {"settings": self._agent.ending.settings.shown()}
