"""The cast's own `WorkerPoolActor` on disk, with a callable that does nothing."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import trio

from tests.benchmarks.peer_pykka import expect
from tests.benchmarks.rows import fresh_folder
from understudy import Actor, ActorSystem
from understudy.actors.workers import CallableExecutor, WorkerPoolActor, succeed
from understudy.protocols.notifications import TaskDone
from understudy.protocols.tasks import CreateTask, TaskSpec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from understudy import ActorRef

CREATE = CreateTask(spec=TaskSpec(title="no-op", executor="no-op"))


class Listener(Actor):
    """Hears from the pool how its tasks ended."""

    def __init__(self, done: dict[str, trio.Event]) -> None:
        super().__init__()
        self._done = done

    def task_done(self, message: TaskDone) -> None:
        """The task's last turn is durable. Its client may not have its id yet."""
        self._done.setdefault(message.result.task, trio.Event()).set()


class Work:
    """A pool that is asked for tasks, each awaited until its end is durable."""

    def __init__(self, pool: ActorRef[WorkerPoolActor], done: dict[str, trio.Event]) -> None:
        self._pool = pool
        self._done = done

    async def one(self) -> None:
        """Create a task, and wait for its end."""
        task = (await self._pool.ask_async(CREATE)).id
        await self._done.setdefault(task, trio.Event()).wait()
        del self._done[task]


@contextlib.asynccontextmanager
async def working(home: Path, limit: int) -> AsyncGenerator[Work]:
    """A system in `home` with a pool of `limit` places and a listener that hears of each end."""
    done: dict[str, trio.Event] = {}
    async with ActorSystem(home) as system:
        await system.spawn(Listener, name="listener", done=done)
        pool = await system.spawn(
            WorkerPoolActor,
            name="workers",
            limit=limit,
            executors={"no-op": CallableExecutor(succeed)},
            notify="listener",
        )
        yield Work(pool, done)


def in_flight(callers: int, each: int) -> Callable[[], float]:
    """`callers` clients create `each` tasks, one after the other. Tasks per second, all durable."""

    async def main(home: Path) -> float:
        async with working(home, callers) as work:

            async def client() -> None:
                for _ in range(each):
                    await work.one()

            started = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for _ in range(callers):
                    nursery.start_soon(client)
            return callers * each / (time.perf_counter() - started)

    def run() -> float:
        with fresh_folder() as home:
            rate = trio.run(main, home)
            expect(callers * each, succeeded(home))
            return rate

    return run


def lines(home: Path) -> list[bytes]:
    """The pool's journal, line by line; only right while nothing has been compacted."""
    return [line for path in sorted(home.rglob("workers/*.jsonl")) for line in path.read_bytes().splitlines()]


def succeeded(home: Path) -> int:
    """Tasks of which the pool's journal says that they succeeded."""
    return sum(
        event["type"] == "TaskFinished" and event["data"]["status"] == "succeeded"
        for line in lines(home)
        for event in orjson.loads(line).get("events", ())
    )
