"""A few threads that run a list of blocking calls at the same time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class _Round:
    """One list of calls; whoever finishes last opens the gate."""

    __slots__ = ("_lock", "calls", "gate", "left")

    def __init__(self, calls: list[Callable[[], None]]) -> None:
        self.calls = deque(calls)
        self.left = len(calls)
        self.gate = threading.Lock()
        self.gate.acquire()
        self._lock = threading.Lock()

    def work(self) -> None:
        done = 0
        while (call := self._next()) is not None:
            call()
            done += 1
        with self._lock:
            self.left -= done
            if self.left == 0 and done:
                self.gate.release()

    def _next(self) -> Callable[[], None] | None:
        try:
            return self.calls.popleft()
        except IndexError:
            return None


class Pool:
    """Threads of the writer's own: trio's forty must not be able to starve an fdatasync (rule J1).

    Not a ThreadPoolExecutor: a future with its condition for each of 256 files costs more than the
    call. Here each thread is told once per list. The threads start with the first list; where one can't
    be started, the others and the caller do its work, and it is tried again with the next list.
    """

    def __init__(self, threads: int) -> None:
        self._wanted = threads
        self._threads: list[threading.Thread] = []
        self._rounds: SimpleQueue[_Round | None] = SimpleQueue()

    def run(self, calls: list[Callable[[], None]]) -> None:
        """Run all `calls`, which must not raise, and wait for them; the calling thread helps."""
        if len(self._threads) < self._wanted:
            self._start()
        work = _Round(calls)
        for _ in range(min(len(self._threads), len(calls) - 1)):
            self._rounds.put(work)
        work.work()
        work.gate.acquire()

    def close(self) -> None:
        """End the threads."""
        for _ in self._threads:
            self._rounds.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _start(self) -> None:
        for number in range(len(self._threads), self._wanted):
            thread = threading.Thread(target=self._run, name=f"journal-sync-{number}", daemon=True)
            try:
                thread.start()
            except (RuntimeError, MemoryError) as error:
                logger.debug(
                    "%d of %d threads sync the journals: %s", number, self._wanted, error,
                    extra={"action": "sync_threads_missing"},
                )  # fmt: skip
                return
            self._threads.append(thread)

    def _run(self) -> None:
        while (work := self._rounds.get()) is not None:
            work.work()
