"""Callers of the peers that work in threads."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOST_S = 120.0
"""A job that is not done by then is lost."""


def in_flight(callers: int, each: int, job: Callable[[], object]) -> float:
    """`callers` threads do `job` `each` times. Jobs per second, from when all threads are there.

    Raises:
        RuntimeError: threads failed; its cause is the first one's error.
        TimeoutError: a thread is not done after two minutes.
    """
    failed: list[BaseException] = []
    start = threading.Barrier(callers + 1)

    def caller() -> None:
        start.wait()
        try:
            for _ in range(each):
                job()
        except BaseException as error:  # noqa: BLE001 - told below, in the thread that measures
            failed.append(error)

    threads = [threading.Thread(target=caller, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    start.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join(max(0.0, started + LOST_S - time.perf_counter()))
    took = time.perf_counter() - started
    if failed:
        raise RuntimeError(f"{len(failed)} of {callers} callers failed") from failed[0]
    if waiting := sum(thread.is_alive() for thread in threads):
        raise TimeoutError(f"expected {callers} callers to be done, got {waiting} that still wait")
    return callers * each / took


class Done:
    """Wakes whoever waits for a job, from the thread that hears of its end."""

    def __init__(self) -> None:
        self._events: dict[str, threading.Event] = {}

    def tell(self, job: str) -> None:
        """The job is done. Its caller may not have its id yet."""
        self._events.setdefault(job, threading.Event()).set()

    def wait(self, job: str) -> None:
        """Wait for it.

        Raises:
            TimeoutError: it is not done after two minutes.
        """
        if not self._events.setdefault(job, threading.Event()).wait(LOST_S):
            raise TimeoutError(f"expected the end of job {job}, got nothing")
        del self._events[job]
