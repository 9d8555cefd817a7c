"""A task in three durable turns, 100 in flight, against raw fdatasyncs."""

from __future__ import annotations

import time
from pathlib import Path

import trio

from tests.benchmarks import peer_disk
from tests.benchmarks.cast import Client, CreateJob, Executor, Pool
from tests.benchmarks.pool import in_flight
from tests.benchmarks.rows import Better, Row, fresh_folder, plain
from understudy import ActorSystem

IN_FLIGHT, JOBS = 100, 5_000
"""5,000 jobs: 100 clients, each waits for its job before it makes the next one."""


def small_pool() -> float:
    """Jobs per second: created, started, finished, each a durable turn, then the client wakes."""

    async def main(home: Path) -> float:
        waiting: dict[str, trio.Event] = {}
        async with ActorSystem(home) as system:
            pool = await system.spawn(Pool, name="pool")
            await system.spawn(Executor, name="executor")
            await system.spawn(Client, name="client", waiting=waiting)

            async def client(number: int) -> None:
                for index in range(JOBS // IN_FLIGHT):
                    job = f"{number}-{index}"
                    done = waiting[job] = trio.Event()
                    await pool.ask_async(CreateJob(job=job))
                    await done.wait()

            started = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for number in range(IN_FLIGHT):
                    nursery.start_soon(client, number)
            return JOBS / (time.perf_counter() - started)

    with fresh_folder() as home:
        return trio.run(main, home)


ROWS = (
    # Ours: three journal lines a task, the creation acknowledged when durable, sends between the
    # turns by the durable outbox, a no-op executor, the client told when the last line is durable.
    # Raw: one line written and synced a time, as many as the disk does; three would be a task.
    Row(
        "task-flow",
        "a task in three durable turns, 100 in flight: small pool on the public API",
        "raw fdatasyncs",
        1.2,
        3,
        Better.HIGHER,
        "x",
        "/s",
        plain(small_pool, peer_disk.raw_syncs),
    ),
    # The same with the pool of the cast: task specs, priorities, a background task and an output
    # file's bookkeeping for each attempt, the notice to whoever asked for it. A place is free when a
    # task comes, so created and started are one turn: two journal lines a task, not three.
    Row(
        "pool-flow",
        "the same through the real WorkerPoolActor, no-op callable (created and started in one turn)",
        "raw fdatasyncs",
        1.2,
        3,
        Better.HIGHER,
        "x",
        "/s",
        plain(in_flight(IN_FLIGHT, JOBS // IN_FLIGHT), peer_disk.raw_syncs),
    ),
)
