"""Stories that take hours, or a disk that forgets: on a virtual clock (see test_stories.py)."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.unit.actors.stage import journal_events
from understudy import ActorSystem, UnderstudyError
from understudy.actors.cron import CronActor
from understudy.actors.workers import CallableExecutor, WorkerPoolActor, succeed
from understudy.protocols.schedules import AddSchedule, ScheduleSpec
from understudy.supervision.testing.clock import VirtualClock
from understudy.supervision.testing.files import FaultyFiles

LIVES, LIFE_S = 44, 20.0
EACH_MINUTE = AddSchedule(spec=ScheduleSpec(title="tick", cron="* * * * *", command=("tick",)))


@pytest.mark.req("CR-3")
@pytest.mark.rule("C2")
@pytest.mark.parametrize("end", ["in order", "by a power failure"])
async def test_restarts_that_come_more_often_than_a_schedule_is_due_neither_lose_nor_double_it(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    """A restart each 20 seconds, a schedule each minute: one firing and one task a minute."""
    del autojump_clock
    caplog.set_level("CRITICAL", logger="understudy")
    clock, files = VirtualClock(), FaultyFiles(tmp_path)
    begin = clock.time()
    for life in range(LIVES):
        with suppress(OSError, UnderstudyError):
            async with ActorSystem(tmp_path / "home", clock=clock, files=files, inline=True) as system:
                executors = {"shell": CallableExecutor(succeed)}
                await system.spawn(WorkerPoolActor, name="workers", notify=None, executors=executors)
                cron = await system.spawn(CronActor, name="cron")
                if life == 0:
                    await cron.ask_async(EACH_MINUTE)
                await trio.sleep(LIFE_S)
                if end == "by a power failure":
                    files.crash_at(len(files.operations) + 1)
        files.power_failure()
    minutes = int((LIVES * LIFE_S - 1) // 60)
    fired = [
        event["nominal_at"] for event in journal_events(tmp_path / "home", "cron") if "Fired" in event["type"]
    ]
    assert fired == [begin + 60 * number for number in range(1, minutes + 1)]
    made = Counter(
        event["spec"]["nominal_at"]
        for event in journal_events(tmp_path / "home", "workers")
        if event["type"] == "TaskCreated"
    )
    assert made == dict.fromkeys(fired, 1)
