# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# APScheduler 3 has no types.
"""APScheduler 3 with its jobs in memory: nothing is durable, so nothing waits for a disk."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from tests.benchmarks.peer_pykka import expect
from tests.benchmarks.threads import Done, in_flight

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.benchmarks.times import Moment

THREADS = 10
"""APScheduler's default, and its fastest here: 2 threads are half, 100 a third as punctual."""


@contextlib.contextmanager
def scheduler(threads: int) -> Generator[Any]:
    """A running scheduler that drops no late job."""
    made: Any = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(threads)},
        job_defaults={"misfire_grace_time": None},
        timezone="UTC",
    )
    made.start()
    try:
        yield made
    finally:
        made.shutdown()


def jobs(callers: int, each: int) -> Callable[[], float]:
    """Jobs that are due at once, each awaited by its caller through an event listener. Per second."""

    def nothing() -> None:
        pass

    def run() -> float:
        done = Done()

        def executed(event: Any) -> None:
            done.tell(event.job_id)

        with scheduler(THREADS) as made:
            made.add_listener(executed, EVENT_JOB_EXECUTED)
            return in_flight(callers, each, lambda: done.wait(made.add_job(nothing).id))

    return run


def lateness(count: int, moment: Moment, threads: int = THREADS) -> float:
    """Milliseconds from the second in which `count` jobs are due to the start of the last one."""
    starts: list[float] = []
    with scheduler(threads) as made:
        due = datetime.fromtimestamp(moment.due, UTC)
        for _ in range(count):
            made.add_job(lambda: starts.append(time.time()), "date", run_date=due)
        moment.armed()
        deadline = moment.due + 30
        while len(starts) < count and time.time() < deadline:
            time.sleep(0.1)
    expect(count, len(starts))
    return moment.late_ms(starts)


def arming(expressions: list[str], zone: str) -> float:
    """Seconds to add a job for each expression to a running scheduler."""
    with scheduler(THREADS) as made:
        started = time.perf_counter()
        for expression in expressions:
            made.add_job(print, CronTrigger.from_crontab(expression, timezone=zone))
        took = time.perf_counter() - started
        expect(len(expressions), len(made.get_jobs()))
        return took
