"""The engine as an object: one method a call of docs/api.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from spawn.client import lock, wire
from spawn.client.endings import Ending
from spawn.client.objects import (
    SCHEMA_VERSION,
    Array,
    Change,
    Endpoint,
    Engine,
    FailureGroup,
    Launched,
    LogPiece,
    Member,
    MemberDetail,
    Opened,
    Opening,
    Reason,
    Session,
    SubmittedDocuments,
)
from spawn.client.paths import Query, array_path, batch_path, member_path, with_query
from spawn.client.refusals import UnknownCall, other_version, refusal_in
from spawn.client.submission import Submission
from spawn.config import SOCKET_NAME
from spawn.domain.errors import Conflict, SpawnError, Unavailable

_PATIENCE_S: Final = 30.0
"""How long one answer may take before the engine counts as stuck."""

SHORT_PATIENCE_S: Final = 5.0
"""The same for what looks after the engine itself, and for what a shell waits for while somebody types."""

_SLOW_S: Final = 3.0

_RESTARTS: Final = 3
"""How often one reading call brings a crashed engine back before it gives up."""

T = TypeVar("T")


class Client:
    """Calls the engine of one state directory. `restart` brings it back when it crashed between two reading calls; None: it is not brought back.

    `on_slow` is called once, when an answer takes longer than 3 s, and `on_trouble` once with why the engine can record nothing, when it cannot.
    """

    def __init__(
        self,
        state_dir: Path,
        restart: Callable[[], None] | None = None,
        *,
        patience_s: float = _PATIENCE_S,
        slow_s: float = _SLOW_S,
        on_slow: Callable[[], None] | None = None,
        on_trouble: Callable[[str], None] | None = None,
    ) -> None:
        self.state_dir = state_dir
        self.socket = state_dir / SOCKET_NAME
        self._restart = restart
        self._patience_s = patience_s
        self._slow_s = slow_s
        self._on_slow = on_slow
        self._on_trouble = on_trouble
        self._was_served = False

    # The engine

    def engine(self) -> Engine:
        """Who answers. Never restarts an engine."""
        return self._decode(wire.request(self.socket, "GET", "/v1/engine", None, self._patience(short=True)), Engine)

    def stop_engine(self, *, terminate: bool) -> Ending:
        """Ask the engine to end; it ends after the answer. `terminate`: what runs is stopped first, and the runner ends too; the answer comes after that."""
        body = msgspec.json.encode({"terminate": terminate})
        return self._decode(wire.request(self.socket, "POST", "/v1/engine/stop", body, self._patience(short=True)), Ending)

    # Arrays

    def submit(self, submission: Submission, *, children: bool = False, silent_s: float = 0.0, on_silence: Callable[[], None] | None = None) -> Launched:
        """Launch. The answer comes after it has been written down. `silent_s`: for how long the engine may look things up before that."""
        target = "/v1/arrays?children=true" if children else "/v1/arrays"
        return self.call("POST", target, msgspec.json.encode(submission), Launched, silent_s=silent_s, on_silence=on_silence)

    def submit_documents(self, documents: Sequence[dict[str, Any]], *, parameters: dict[str, str], dry_run: bool) -> SubmittedDocuments:
        """Submit what SubmitJob and RegisterJobDefinition take, in this order: all of it, or nothing."""
        return self._post("/v1/documents", {"documents": documents, "parameters": parameters, "dry_run": dry_run}, SubmittedDocuments)

    def arrays(self, *, status: Sequence[str] = (), name: Sequence[str] = (), tag: Sequence[str] = ()) -> list[Array]:
        """All arrays that match, newest first."""

        class Arrays(msgspec.Struct):
            arrays: list[Array]

        return self._get("/v1/arrays", {"status": status, "name": name, "tag": tag}, Arrays).arrays

    def array(self, ref: str) -> Array:
        """The array that `ref` names."""
        return self._get(array_path(ref), {}, Array)

    def settled(self, ref: str, timeout_s: float) -> Array:
        """The array as soon as it has settled, or as it is after `timeout_s` (at most 60)."""
        return self._decode(self._answer("GET", with_query(array_path(ref, "settled"), {"timeout_s": timeout_s}), None, silent_s=timeout_s), Array)

    def failures(self, ref: str) -> list[FailureGroup]:
        """Its failures, grouped by cause, largest group first."""

        class Failures(msgspec.Struct):
            groups: list[FailureGroup]

        return self._get(array_path(ref, "failures"), {}, Failures).groups

    def why(self, ref: str) -> list[Reason]:
        """Why those members that do not run do not run."""

        class Reasons(msgspec.Struct):
            reasons: list[Reason]

        return self._get(array_path(ref, "why"), {}, Reasons).reasons

    def cancel(self, ref: str, *, indexes: str | None, reason: str | None, dry_run: bool) -> Change:
        """Fail what has not started. Again: changes nothing."""
        return self._post(array_path(ref, "cancel"), {"indexes": indexes, "reason": reason, "dry_run": dry_run}, Change)

    def terminate(self, ref: str, *, indexes: str | None, reason: str | None, grace_s: float | None, dry_run: bool) -> Change:
        """Stop what runs too, and end instances that live on. Again: changes nothing."""
        body = {"indexes": indexes, "reason": reason, "grace_s": grace_s, "dry_run": dry_run}
        return self._post(array_path(ref, "terminate"), body, Change)

    def retry(self, ref: str, *, indexes: str | None, dry_run: bool) -> Change:
        """Run settled members once more, as their next attempt."""
        return self._post(array_path(ref, "retry"), {"indexes": indexes, "dry_run": dry_run}, Change)

    def extend(self, ref: str, *, indexes: str | None, ttl_s: float, dry_run: bool) -> Change:
        """Let instances end `ttl_s` from now."""
        return self._post(array_path(ref, "extend"), {"indexes": indexes, "ttl_s": ttl_s, "dry_run": dry_run}, Change)

    def limit(self, ref: str, max_concurrent: int | None) -> Array:
        """Change how many of it run at once; None: as many as there is room for."""
        return self._post(array_path(ref, "limit"), {"max_concurrent": max_concurrent}, Array)

    def remove(self, ref: str, *, dry_run: bool) -> Change:
        """Forget a settled array, with its files."""
        return self.call("DELETE", with_query(array_path(ref), {"dry_run": "true" if dry_run else None}), None, Change)

    # Members

    def member_lines(self, **filters: str | Sequence[str] | None) -> Iterator[bytes]:
        """The members that match, as blocks of whole NDJSON lines: `array`, `indexes`, `state`, `status`, `name`, `tag`."""
        answer = self._answer("GET", with_query("/v1/members", filters), None)
        if answer.status >= 400:
            raise self._refusal(answer)
        return answer.lines()

    def members(self, **filters: str | Sequence[str] | None) -> Iterator[Member]:
        """The members that match, arrays oldest first, indexes ascending."""
        decoder = msgspec.json.Decoder(Member)
        for block in self.member_lines(**filters):
            try:
                members = decoder.decode_lines(block)
            except msgspec.DecodeError as error:
                raise self._not_understood(error) from error
            if members and members[0].schema_version != SCHEMA_VERSION:
                raise self._other_version()
            yield from members

    def members_with_attempts(self, ref: str) -> Iterator[MemberDetail]:
        """All members of an array, each with its attempts, indexes ascending."""
        for block in self.member_lines(array=ref, attempts="true"):
            try:
                yield from msgspec.json.Decoder(MemberDetail).decode_lines(block)
            except msgspec.DecodeError as error:
                raise self._not_understood(error) from error

    def member(self, ref: str) -> MemberDetail:
        """One member, with its attempts."""
        return self._get(member_path(ref), {}, MemberDetail)

    def log(self, ref: str, *, attempt: int | None = None, offset: int | None = None, tail: int | None = None, here: bool = False) -> LogPiece:
        """Bytes of a log from `offset` (at most 1 MiB a call), or its last `tail` lines. `here`: of what was brought to this machine already."""
        target = with_query(member_path(ref, "log"), {"attempt": attempt, "offset": offset, "tail": tail, "here": "true" if here else None})
        answer = self._answer("GET", target, None)
        if answer.status >= 400:
            raise self._refusal(answer)
        headers = answer.headers
        content = answer.read()
        return LogPiece(
            content,
            int(headers.get("x-log-next", "0")),
            headers.get("x-log-complete") == "true",
            int(headers.get("x-log-attempt", "0")),
        )

    def session(self, ref: str) -> Session:
        """What `spored enter` needs to enter this member's view."""
        return self._get(member_path(ref, "session"), {}, Session)

    # The AWS door

    def endpoint(self) -> Endpoint:
        """The AWS endpoint that is open, or waits for its port; NotFound when there is none."""
        return self._get("/v1/endpoint", {}, Endpoint)

    def open_endpoint(self, opening: Opening) -> Opened:
        """Open the AWS endpoint. Again with the same settings: its keys are accepted too."""
        return self.call("PUT", "/v1/endpoint", msgspec.json.encode(opening), Opened)

    def close_endpoint(self) -> Endpoint:
        """Close the AWS endpoint, and let no later engine open it; NotFound when there is none."""
        return self.call("DELETE", "/v1/endpoint", None, Endpoint)

    def batch(self, operation: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to an operation of AWS Batch, such as `SubmitJob`; its refusal has the message that AWS clients get."""
        return self._post(batch_path(operation), document, dict[str, Any])

    # How

    def _get(self, path: str, query: Query, kind: type[T]) -> T:
        return self.call("GET", with_query(path, query), None, kind)

    def _post(self, path: str, body: object, kind: type[T]) -> T:
        return self.call("POST", path, msgspec.json.encode(body), kind)

    def call(self, method: str, target: str, body: bytes | None, kind: type[T], *, silent_s: float = 0.0, on_silence: Callable[[], None] | None = None) -> T:
        """One call of docs/api.md, its answer decoded. `silent_s`: for how long the engine may say nothing; `on_silence` is called when it does so for 3 s."""
        return self._decode(self._answer(method, target, body, silent_s=silent_s, on_silence=on_silence), kind)

    def _answer(self, method: str, target: str, body: bytes | None, *, silent_s: float = 0.0, on_silence: Callable[[], None] | None = None) -> wire.Answer:
        """Ask. A crashed engine is brought back when that cannot do anything twice; one that was stopped on purpose stays stopped, once it has answered."""
        for restarts_left in range(_RESTARTS, -1, -1):
            try:
                patience = self._patience(silent_s) if on_silence is None else wire.Patience(silent_s + self._patience_s, self._slow_s, on_silence)
                answer = wire.request(self.socket, method, target, body, patience)
                self._was_served = True
                self._heed(answer)
                return answer
            except (wire.CutOff, wire.NoAnswer) as error:
                if method != "GET":
                    raise type(error)(f"{error}: what you asked for may or may not have happened; look with `spawn status`") from error
                if isinstance(error, wire.NoAnswer):
                    raise
                self._bring_back(error, restarts_left)
            except wire.NotListening as error:
                self._bring_back(error, restarts_left)
        raise AssertionError("unreachable")

    def _patience(self, silent_s: float = 0.0, *, short: bool = False) -> wire.Patience:
        longest_s = min(self._patience_s, SHORT_PATIENCE_S) if short else self._patience_s
        return wire.Patience(silent_s + longest_s, silent_s + self._slow_s, self._say_slow if self._on_slow is not None else None)

    def _heed(self, answer: wire.Answer) -> None:
        """Pass on, once, what the engine says of itself beside its answer. A refusal says itself what is the matter."""
        if self._on_trouble is not None and answer.status < 400 and (why := answer.trouble) is not None:
            on_trouble, self._on_trouble = self._on_trouble, None
            on_trouble(why)

    def _say_slow(self) -> None:
        on_slow, self._on_slow = self._on_slow, None
        if on_slow is not None:
            on_slow()

    def _bring_back(self, error: Unavailable, restarts_left: int) -> None:
        if self._was_served and lock.left_on_purpose(self.state_dir):
            raise wire.NotListening(
                "the engine was stopped meanwhile; what runs goes on, and the next command starts the engine again", stopped=True
            ) from error
        if self._restart is None or not restarts_left:
            raise error
        self._restart()

    def _decode(self, answer: wire.Answer, kind: type[T]) -> T:
        if answer.status >= 400:
            raise self._refusal(answer)
        try:
            value = msgspec.json.decode(answer.read(), type=kind)
        except msgspec.DecodeError as error:
            raise self._not_understood(error) from error
        if getattr(value, "schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
            raise self._other_version()
        return value

    def _refusal(self, answer: wire.Answer) -> SpawnError:
        refusal = refusal_in(answer)
        other = self._other_version() if isinstance(refusal, UnknownCall) else None
        return other if isinstance(other, Conflict) else refusal

    def _not_understood(self, error: msgspec.DecodeError) -> SpawnError:
        other = self._other_version()
        return other if isinstance(other, Conflict) else SpawnError(f"the engine's answer could not be understood: {error}")

    def _other_version(self) -> SpawnError:
        return other_version(wire.request(self.socket, "GET", "/v1/engine", None, self._patience(short=True)))
