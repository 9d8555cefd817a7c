"""Stories that take hours, or a disk that forgets: on a virtual clock (see test_stories.py)."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.unit.actors.stage import journal_events
from understudy import ActorSystem, UnderstudyError
from understudy.actors.cast import start_cast
from understudy.actors.cron import CronActor
from understudy.actors.manager import ManagerState
from understudy.actors.workers import CallableExecutor, PoolState, WorkerPoolActor, succeed
from understudy.protocols.conversation import SubmitInput
from understudy.protocols.schedules import AddSchedule, ScheduleSpec
from understudy.protocols.tasks import CreateTask, TaskSpec
from understudy.supervision.testing.clock import VirtualClock
from understudy.supervision.testing.crashes import crash_everywhere
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


class Errand:
    """The whole cast with an input that wants a task, and a task of somebody else's."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    async def live(self, system: ActorSystem) -> None:
        """Ask for both, and see them done."""
        await self._ask(system)
        await self._wait_until_done(system)

    async def check(self, system: ActorSystem) -> None:
        """Ask again with the same keys, see them done, and count."""
        await self._ask(system)
        await self._wait_until_done(system)
        manager: ManagerState = system.cell("manager").actor.state
        pool: PoolState = system.cell("workers").actor.state
        assert (manager.next_input, [*manager.inputs]) == (2, [])
        # Two tasks, whatever their ids: one that a cut run had reserved is never given to another.
        assert [one.status for one in pool.over.values()] == ["succeeded", "succeeded"]

    async def _ask(self, system: ActorSystem) -> None:
        await start_cast(system, executors={"shell": CallableExecutor(succeed)})
        for key, actor, message in (
            ("input", "manager", SubmitInput(text="/run something")),
            ("task", "workers", CreateTask(spec=TaskSpec(title="work", command=("work",)))),
        ):
            answer: Any = await system.get(actor).ask_async(message, key=key, timeout_s=60)
            assert self.told.setdefault(key, answer.id) == answer.id

    async def _wait_until_done(self, system: ActorSystem) -> None:
        while system.cell("manager").actor.state.inputs or system.cell("workers").actor.state.active:
            await trio.sleep(1)


@pytest.mark.req("JR-3")
@pytest.mark.req("WK-5")
def test_a_fault_during_a_recovery_leaves_a_home_that_a_second_one_recovers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The power goes while the cast works, and once more while it comes back."""
    caplog.set_level("CRITICAL", logger="understudy")
    whole = crash_everywhere(Errand, points=[])
    some = range(1, len(whole.operations) + 1, 9)
    done = crash_everywhere(Errand, points=some, survivors=[None, 1])
    assert done.crashes == 4 * len(some) > 40
