# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownParameterType=false, reportMissingParameterType=false
# huey has no types.
"""huey on SQLite: queue and worker threads in one process, in the fastest setting of its documentation.

What was tried (tasks a second on a busy two-core machine): 1, 2, 4, 8 worker threads 920, 950, 1050,
1080; polling each 0.1, 10, 100 ms 1110, 1010, 980; two worker processes 780. Instead of reading the
result by polling, the caller waits for huey's signal that the task is complete, which it sends after
the result is committed.

`fsync=None`, huey's default, leaves SQLite's `synchronous` at FULL, so every commit is on disk;
`fsync=True` asks for the same. `fsync=False` is three to four times as fast and is no peer: after a power
cut its tasks are gone. A task returns `True`, because huey stores no result for None, and without one the
end of a task is nowhere recorded.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

from huey import SqliteHuey
from huey.consumer import Consumer
from huey.signals import SIGNAL_COMPLETE

from tests.benchmarks.peer_pykka import expect
from tests.benchmarks.rows import fresh_folder
from tests.benchmarks.threads import Done, in_flight

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS = 8
POLL_S = 0.001
BUSY_S = 60.0


def tasks(callers: int, each: int, *, fsync: bool | None = True, results: bool = True) -> Callable[[], float]:
    """No-op tasks, each awaited by its caller; done means that its result is committed. Per second."""

    def run() -> float:
        with fresh_folder() as folder:
            file = folder / "huey.db"
            queue: Any = SqliteHuey(
                "benchmark", filename=str(file), fsync=fsync, results=results, timeout=BUSY_S
            )
            done = Done()

            @queue.task()
            def nothing() -> bool:
                return True

            @queue.signal(SIGNAL_COMPLETE)
            def complete(_signal: str, task: Any) -> None:
                done.tell(task.id)

            def job() -> None:
                task = nothing.s()
                queue.enqueue(task)
                done.wait(task.id)

            del complete
            consumer = Consumer(
                queue, workers=WORKERS, periodic=False, initial_delay=POLL_S, backoff=1.0, max_delay=POLL_S
            )
            consumer.start()
            try:
                rate = in_flight(callers, each, job)
            finally:
                consumer.stop(graceful=True)
            if results:
                with contextlib.closing(sqlite3.connect(file)) as database:
                    expect(callers * each, database.execute("select count(*) from kv").fetchone()[0])
            return rate

    return run
