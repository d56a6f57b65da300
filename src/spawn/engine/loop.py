"""The loop: take commands and news, apply the rules, commit once, then act (design, section 5)."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from spawn.domain.errors import IllegalMove, SpawnError, StoreUnavailable
from spawn.domain.queues import LOCAL
from spawn.engine.ports import Clock, Provider, Store
from spawn.engine.state import EngineState

T = TypeVar("T")
_log = logging.getLogger(__name__)

RETRY_STORE_S = 1.0
"""After a commit that failed: wait so long before the next turn that nobody asked for."""

WATCH_PROVIDER_S = 5.0
"""Look at least so often whether the provider is still there."""


class Engine:
    """Owns all state, in one thread. Any other thread gets at it through `call`."""

    def __init__(self, *, store: Store, provider: Provider, clock: Clock, elsewhere: Mapping[str, Provider] | None = None) -> None:
        """`provider` is this machine's; those of other places go by their names."""
        self.store = store
        self.provider = provider
        self.providers: dict[str, Provider] = {LOCAL: provider, **(elsewhere or {})}
        self.clock = clock
        self.state = EngineState(store=store, providers=self.providers)
        self.trouble: str | None = None  #: why the last turn could not be recorded; None: it was
        self._commands: deque[tuple[Callable[[EngineState], Any], Future[Any]]] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._ended = False
        self._retired = False
        self._door = threading.Lock()

    def call(self, command: Callable[[EngineState], T]) -> T:
        """Run a command in the engine's thread; return its answer once everything it changed is committed, or raise what it raised."""
        future: Future[T] = Future()
        with self._door:
            if self._ended:
                raise StoreUnavailable("the engine has ended: try again")
            self._commands.append((command, future))
        self._wake.set()
        return future.result()

    def tell(self, command: Callable[[EngineState], object]) -> None:
        """Have a command run in the engine's thread, some time soon; what it answers or raises is nobody's. Nothing, when the engine has ended."""
        with self._door:
            if not self._ended:
                self._commands.append((command, Future()))
        self._wake.set()

    def retire_if(self, idle: Callable[[EngineState], bool]) -> bool:
        """Take no more commands, if `idle` says so in the engine's thread; whether it did. What was accepted before is never cut off."""

        def retire(state: EngineState) -> bool:
            self._retired = idle(state)
            return self._retired

        return self.call(retire)

    def wake(self) -> None:
        """There may be news. Safe from any thread, and cheap when repeated."""
        self._wake.set()

    def close(self) -> None:
        """Let the loop end after the turn it is in. What runs goes on without the engine."""
        self._closing = True
        self._wake.set()

    def run(self) -> None:
        """Turn until closed. Nothing that a turn raises ends the loop: what it had changed in memory is read back from the store."""
        pause: float | None = 0.0
        while not self._closing:
            self._wake.wait(pause)
            self._wake.clear()
            pause = self.turn()
        with self._door:
            self._ended = True
        self._refuse_waiting(StoreUnavailable("the engine is stopping: try again"))

    def turn(self) -> float | None:
        """Take what has come, apply it, commit once, then act. Safe to call again after a crash at any line. Seconds to wait at most."""
        answers: list[tuple[Future[Any], Any, SpawnError | None]] = []
        state = self.state
        try:
            now = self.clock.now()
            state.begin(now)
            more = state.take_news()
            self._run_commands(state, answers)
            state.end_due_instances()
            state.hand_over()
            state.commit()
            self.trouble = None
        except Exception as error:
            _log.exception("a turn failed; the state is read back from the store")
            self._fail(answers, error)
            return RETRY_STORE_S
        for future, answer, refusal in answers:
            future.set_exception(refusal) if refusal is not None else future.set_result(answer)
        try:
            state.act(self.wake)
        except Exception:
            # what was not handed over is handed over again when the provider is back
            _log.exception("the provider did not take what it was told")
            return RETRY_STORE_S
        if more or self._commands:
            return 0.0
        return state.seconds_to_next_end(now, at_most=WATCH_PROVIDER_S)

    def _run_commands(self, state: EngineState, answers: list[tuple[Future[Any], Any, SpawnError | None]]) -> None:
        while self._commands:
            command, future = self._commands.popleft()
            answers.append((future, None, StoreUnavailable("the engine could not finish this: nothing was recorded")))
            try:
                if self._retired:
                    raise StoreUnavailable("the engine is ending, because it had nothing to do: try again")
                answers[-1] = (future, command(state), None)
            except IllegalMove:
                raise  # a bug of ours may have changed memory already: the turn fails, and memory is read back
            except SpawnError as refusal:
                answers[-1] = (future, None, refusal)

    def _fail(self, answers: list[tuple[Future[Any], Any, SpawnError | None]], error: Exception) -> None:
        """Answer with the reason everything that this turn would have recorded, and everything that waits behind it."""
        reason = error if isinstance(error, SpawnError) else StoreUnavailable(f"the engine failed ({error}); nothing was recorded")
        for future, _, refusal in answers:
            future.set_exception(refusal if refusal is not None and not isinstance(refusal, StoreUnavailable) else reason)
        self.trouble = str(reason)
        self._refuse_waiting(reason)
        self.state = EngineState(store=self.store, providers=self.providers)

    def _refuse_waiting(self, reason: SpawnError) -> None:
        while self._commands:
            self._commands.popleft()[1].set_exception(reason)
