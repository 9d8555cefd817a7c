"""Schedules: how late the last of a thousand starts, and how long ten thousand take to arm."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import trio

from tests.benchmarks import peer_apscheduler
from tests.benchmarks.peer_pykka import expect
from tests.benchmarks.pool import succeeded
from tests.benchmarks.rows import Better, Options, Row, Sides, fresh_folder, plain
from tests.benchmarks.times import Moment
from understudy import ActorSystem
from understudy.actors.cron import CronActor
from understudy.actors.workers import CallableExecutor, WorkerPoolActor
from understudy.protocols.schedules import AddSchedule, ListSchedules, ScheduleSpec
from understudy.protocols.tasks import ListTasks

if TYPE_CHECKING:
    from collections.abc import Generator

    from understudy import ActorRef
    from understudy.actors.workers.executor import Attempt

DUE = 1_000
ARMED = 10_000
CALLERS = 100
OTHER_THREADS = (2, 50)
ZONE = "Europe/Zurich"
WAIT_S = 30.0
SOON_MIN, DAY_MIN = 60, 1440


def lateness() -> float:
    """Milliseconds from the second in which 1,000 schedules are due to the start of the last no-op.

    The real cron and the real pool on disk and on the machine's clock: a firing is durable before its
    task is made, the task is durable before it starts.
    """
    starts: list[float] = []

    async def main(home: Path) -> float:
        last = trio.Event()

        def start(_attempt: Attempt) -> None:
            starts.append(time.time())
            if len(starts) == DUE:
                last.set()

        async with ActorSystem(home) as system:
            pool = await system.spawn(
                WorkerPoolActor,
                name="workers",
                limit=DUE,
                executors={"shell": CallableExecutor(start)},
                notify=None,
            )
            cron = await system.spawn(CronActor, name="cron")
            moment = Moment()
            spec = ScheduleSpec(title="no-op", at=datetime.fromtimestamp(moment.due, UTC), command=("no-op",))
            await _arm(cron, [spec] * DUE)
            moment.armed()
            with trio.fail_after(moment.due - time.time() + WAIT_S):
                await last.wait()
                while (await pool.ask_async(ListTasks(limit=1))).running:
                    await trio.sleep(0.05)
            return moment.late_ms(starts)

    with fresh_folder() as home:
        late = trio.run(main, home)
        expect(DUE, len(starts))
        expect(DUE, succeeded(home))
        return late


def arming() -> float:
    """Seconds until 10,000 daily schedules, asked for by 100 callers, are all acknowledged as durable."""

    async def main(home: Path) -> float:
        specs = [
            ScheduleSpec(title="no-op", cron=cron, timezone=ZONE, command=("no-op",)) for cron in daily()
        ]
        async with ActorSystem(home) as system:
            cron = await system.spawn(CronActor, name="cron")
            started = time.perf_counter()
            await _arm(cron, specs)
            took = time.perf_counter() - started
            listed = await cron.ask_async(ListSchedules(next_runs=0))
            expect(ARMED, sum(one.status == "enabled" for one in listed.schedules))
            return took

    with fresh_folder() as home:
        return trio.run(main, home)


def daily() -> list[str]:
    """10,000 expressions of daily times, none of which is within the next hour or the last."""
    now = datetime.now(ZoneInfo(ZONE))
    minute = now.minute + 60 * now.hour
    spread = DAY_MIN - 2 * SOON_MIN
    times = [(minute + SOON_MIN + index % spread) % DAY_MIN for index in range(ARMED)]
    return [f"{due % 60} {due // 60} * * *" for due in times]


async def _arm(cron: ActorRef[CronActor], specs: list[ScheduleSpec]) -> None:
    async def caller(first: int) -> None:
        for spec in specs[first::CALLERS]:
            await cron.ask_async(AddSchedule(spec=spec))

    async with trio.open_nursery() as nursery:
        for first in range(CALLERS):
            nursery.start_soon(caller, first)


@contextlib.contextmanager
def _lateness(_options: Options) -> Generator[Sides]:
    yield (sides := Sides(lateness, lambda: peer_apscheduler.lateness(DUE, Moment())))
    for threads in OTHER_THREADS:
        late = peer_apscheduler.lateness(DUE, Moment(), threads)
        sides.notes[f"apscheduler_{threads}_threads_ms"] = round(late, 1)


ROWS = (
    # Ours: cron's journal, a durable send for each firing, the pool's journal. APScheduler: a list in
    # memory and ten threads. Single times on both sides, on the machine's clock.
    Row(
        "lateness",
        "1,000 schedules due in one second, durable: the last one's lateness",
        "APScheduler 3 in memory, not durable",
        3,
        1,
        Better.LOWER,
        "x",
        "ms",
        _lateness,
    ),
    # The result is ours; APScheduler's is for comparison.
    Row(
        "arming",
        "arming 10,000 daily schedules, durable",
        "APScheduler 3 in memory for comparison",
        2,
        1,
        Better.LOWER,
        "s",
        "s",
        plain(arming, lambda: peer_apscheduler.arming(daily(), ZONE)),
    ),
)
