"""Enqueue → complete through the real pool, against task queues that keep their jobs in SQLite."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from tests.benchmarks import peer_apscheduler, peer_dbos, peer_huey
from tests.benchmarks.peer_disk import FILES
from tests.benchmarks.pool import in_flight, lines, working
from tests.benchmarks.rows import Better, Options, Row, Sides, fresh_folder, plain

if TYPE_CHECKING:
    from collections.abc import Generator

IN_FLIGHT = 100
OURS, HUEY, APSCHEDULER, DBOS = 50, 20, 20, 10
"""Jobs of each of the hundred callers: ours 5,000 in all, the slower ones fewer."""
FEW = 2
SINGLES, WARM = 500, 50
_ours = in_flight(IN_FLIGHT, OURS)


@contextlib.contextmanager
def _against_dbos(_options: Options) -> Generator[Sides]:
    notes: dict[str, float | int | str] = {}
    with peer_dbos.launched(IN_FLIGHT) as dbos:
        dbos.direct(IN_FLIGHT, FEW)
        yield (sides := Sides(_ours, lambda: dbos.direct(IN_FLIGHT, DBOS)))
        notes["one_at_a_time_per_s"] = round(dbos.direct(1, IN_FLIGHT))
    with peer_dbos.launched(IN_FLIGHT, queue=True) as dbos:
        notes["queue_per_s"] = round(dbos.queued(IN_FLIGHT, FEW))
    with peer_dbos.launched(IN_FLIGHT, wal=False) as dbos:
        notes["without_wal_per_s"] = round(dbos.direct(IN_FLIGHT, FEW))
    sides.notes.update({f"dbos_{key}": value for key, value in notes.items()})


@contextlib.contextmanager
def _against_huey(_options: Options) -> Generator[Sides]:
    yield (sides := Sides(_ours, peer_huey.tasks(IN_FLIGHT, HUEY)))
    sides.notes.update(
        huey_default_fsync_per_s=round(peer_huey.tasks(IN_FLIGHT, HUEY, fsync=None)()),
        huey_not_durable_per_s=round(peer_huey.tasks(IN_FLIGHT, HUEY, fsync=False)()),
        huey_without_results_per_s=round(peer_huey.tasks(IN_FLIGHT, HUEY, results=False)()),
    )


class Alone:
    """One task at a time, each followed by one write and sync of a line as long as the pool's.

    Both sides of the row come from the same run of both, so that each task has a sync of its own moment.
    """

    def __init__(self) -> None:
        self._next: dict[str, list[float]] = {"task": [], "sync": []}

    def side(self, name: str) -> float:
        """Median seconds of `name`: of a new run, or of the one that the other side has begun."""
        if not self._next[name]:
            with fresh_folder() as folder:
                task, sync = trio.run(_alone, folder)
            self._next["task"].append(task)
            self._next["sync"].append(sync)
        return self._next[name].pop() * 1e6


async def _alone(folder: Path) -> tuple[float, float]:
    tasks: list[float] = []
    syncs: list[float] = []
    fd = os.open(folder / "raw.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with working(folder / "home", 1) as work:
        for _ in range(WARM):
            await work.one()
        line = lines(folder / "home")[-1] + b"\n"
        for _ in range(SINGLES):
            started = time.perf_counter()
            await work.one()
            between = time.perf_counter()
            os.write(fd, line)
            FILES.fdatasync(fd)
            tasks.append(between - started)
            syncs.append(time.perf_counter() - between)
    os.close(fd)
    return statistics.median(tasks), statistics.median(syncs)


@contextlib.contextmanager
def _one_at_a_time(_options: Options) -> Generator[Sides]:
    alone = Alone()
    yield Sides(lambda: alone.side("task"), lambda: alone.side("sync"))


ROWS = (
    # Ours: the pool on disk, two journal lines a task, creation acknowledged when durable, the client
    # told when the end is durable. DBOS: a workflow's start and outcome, a commit each. Both are asked by a
    # hundred callers, and both prove by their files that every job succeeded.
    Row(
        "flow-dbos",
        "enqueue → complete, durable no-ops, 100 in flight",
        "DBOS on SQLite (WAL, FULL)",
        20,
        60,
        Better.HIGHER,
        "x",
        "/s",
        _against_dbos,
    ),
    # huey commits the task, its removal by a worker before it runs, and its result.
    Row(
        "flow-huey",
        "enqueue → complete, durable no-ops, 100 in flight",
        "huey on SQLite (WAL, FULL), results kept",
        3,
        10,
        Better.HIGHER,
        "x",
        "/s",
        _against_huey,
    ),
    # Nothing of APScheduler's is durable: how far an engine in memory is ahead, or not.
    Row(
        "flow-apscheduler",
        "enqueue → complete, ours durable, 100 in flight",
        "APScheduler 3 in memory, not durable",
        None,
        None,
        Better.HIGHER,
        "x",
        "/s",
        plain(_ours, peer_apscheduler.jobs(IN_FLIGHT, APSCHEDULER)),
    ),
    # Two lines, one after the other, each with a hop to the writer's thread and back.
    Row(
        "flow-alone",
        "enqueue → complete, durable no-op, one at a time, p50",
        "one write + fdatasync, in turn",
        12,
        7,
        Better.LOWER,
        "x",
        "us",
        _one_at_a_time,
    ),
)
