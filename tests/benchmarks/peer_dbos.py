"""DBOS on SQLite: a durable workflow for each job, in the fastest setting that its documentation has.

What was tried (workflows a second on a busy two-core machine): started directly, in threads 310 to 340;
the same as asyncio workflows 210 to 280; enqueued on a queue whose worker polls each millisecond 125 to
235. So workflows are started directly: their handle waits for a future (an event), a queue's polls the
database. More or fewer threads make no difference that can be told from noise, since SQLite has one writer.

The database file is in WAL mode, which DBOS does not ask for: it is a property of the file that SQLite
keeps, and brings half as many commits again. `synchronous` stays FULL, so each commit is on disk.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from dbos import DBOS, DBOSConfig

from tests.benchmarks.peer_pykka import expect
from tests.benchmarks.rows import fresh_folder
from tests.benchmarks.threads import in_flight

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

QUEUE = "benchmark"
POLL_S = 0.01
"""Of the queue and of who waits for a job of it. Polls a millisecond apart are in each other's way."""


@DBOS.workflow()
def nothing() -> None:
    """A job that does nothing: DBOS records its start and its outcome."""


class Dbos:
    """A launched DBOS on a database of its own.

    Args:
        database: the file.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._jobs = 0

    def direct(self, callers: int, each: int) -> float:
        """Workflows started directly, each awaited by its caller. Per second."""
        return self._run(callers, each, lambda: DBOS.start_workflow(nothing).get_result())

    def queued(self, callers: int, each: int) -> float:
        """Workflows through a queue. Per second."""
        return self._run(
            callers,
            each,
            lambda: DBOS.enqueue_workflow(QUEUE, nothing).get_result(polling_interval_sec=POLL_S),
        )

    def _run(self, callers: int, each: int, job: Callable[[], None]) -> float:
        rate = in_flight(callers, each, job)
        self._jobs += callers * each
        expect(self._jobs, self._succeeded())
        return rate

    def _succeeded(self) -> int:
        """Jobs whose success is in the database."""
        with contextlib.closing(sqlite3.connect(self._database)) as database:
            row = database.execute("select count(*) from workflow_status where status = 'SUCCESS'").fetchone()
        return int(row[0])


@contextlib.contextmanager
def launched(callers: int, *, wal: bool = True, queue: bool = False) -> Generator[Dbos]:
    """DBOS as it is used here, with a thread and a connection for each caller; ended afterwards."""
    with fresh_folder() as folder:
        database = folder / "dbos.sqlite"
        if wal:
            with contextlib.closing(sqlite3.connect(database)) as file:
                file.execute("pragma journal_mode = wal")
        config: DBOSConfig = {
            "name": "benchmark",
            "system_database_url": f"sqlite:///{database}",
            "log_level": "ERROR",
            "max_executor_threads": callers,
            "sys_db_pool_size": callers,
        }
        DBOS(config=config)
        try:
            DBOS.launch()
            if queue:
                DBOS.register_queue(QUEUE, worker_concurrency=callers, polling_interval_sec=POLL_S)
            yield Dbos(database)
        finally:
            DBOS.destroy()
