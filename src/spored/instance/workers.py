"""A few threads for what waits on the network; what comes of it is told in the loop's own thread."""

from __future__ import annotations

import os
import queue
import threading
from typing import Any, Callable, TypeVar

from spored.loop import Loop

T = TypeVar("T")


class Workers:
    """Lanes of work, each with threads of its own, so that one does not wait for another. Threads are made when they are needed, and end with the program."""

    def __init__(self, loop: Loop, lanes: dict[str, int]) -> None:
        """`lanes`: how many threads each may have."""
        self._most = lanes
        self._threads = dict.fromkeys(lanes, 0)
        self._idle = dict.fromkeys(lanes, 0)
        self._jobs: dict[str, queue.SimpleQueue[Any]] = {lane: queue.SimpleQueue() for lane in lanes}
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        loop.watch(self._woken, self._tell)

    def do(self, lane: str, call: Callable[[], T], then: Callable[[T], None], failed: Callable[[Exception], None]) -> None:
        """Call in a thread, and then one of the two in the loop's."""
        self._jobs[lane].put((call, then, failed))
        with self._lock:
            if self._idle[lane] < self._jobs[lane].qsize() and self._threads[lane] < self._most[lane]:
                self._threads[lane] += 1
                threading.Thread(target=self._work, args=(lane,), name=f"spored-{lane}", daemon=True).start()

    def _work(self, lane: str) -> None:
        while True:
            with self._lock:
                self._idle[lane] += 1
            call, then, failed = self._jobs[lane].get()
            with self._lock:
                self._idle[lane] -= 1
            try:
                value = call()
            except Exception as error:
                self._finish(_bound(failed, error))
            else:
                self._finish(_bound(then, value))

    def _finish(self, call: Callable[[], None]) -> None:
        self._done.put(call)
        try:
            os.write(self._wake, b"x")
        except BlockingIOError:
            pass  # the loop is about to wake anyway

    def _tell(self, _events: int) -> None:
        try:
            os.read(self._woken, 4096)
        except BlockingIOError:
            pass
        while True:
            try:
                call = self._done.get_nowait()
            except queue.Empty:
                return
            call()


def _bound(call: Callable[[T], None], value: T) -> Callable[[], None]:
    return lambda: call(value)
