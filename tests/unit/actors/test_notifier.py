from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.unit.actors.stage import until
from understudy import ActorSystem, Event, PersistentActor
from understudy.actors.notifier import NotifierActor
from understudy.protocols.conversation import WakeTaskDone
from understudy.protocols.notifications import TaskDone
from understudy.protocols.tasks import TaskResult


class Woken(Event):
    result: TaskResult


class Wakes(BaseModel):
    results: list[TaskResult] = []


class Session(PersistentActor[Wakes]):
    """Keeps a session, in the manager's place."""

    def wake_task_done(self, message: WakeTaskDone) -> None:
        self.emit(Woken(result=message.result))

    def woken(self, event: Woken) -> None:
        self.state.results.append(event.result)


def done(number: int, session: str = "main") -> TaskDone:
    """The end of a task."""
    return TaskDone(
        result=TaskResult(
            task=f"task-{number}",
            title="echo",
            status="succeeded",
            attempt=1,
            reason="exit code 0",
            source="worker",
            session=session,
        )
    )


def tasks_of(system: ActorSystem, name: str) -> list[str]:
    """The tasks that a session has heard of."""
    return [result.task for result in system.cell(name).actor.state.results]


@pytest.mark.req("NT-1")
async def test_each_completion_goes_to_the_session_that_owns_the_task(tmp_path: Path) -> None:
    """To the manager when nobody else keeps the session."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Session, name="manager")
        await system.spawn(Session, name="other")
        notifier = await system.spawn(NotifierActor, name="notifier", sessions={"side": "other"})
        for number, session in ((1, "main"), (2, "side"), (3, "unheard of")):
            await notifier.ask_async(done(number, session), timeout_s=5)
        await until(system, lambda: len(tasks_of(system, "manager")) == 2)
        await until(system, lambda: tasks_of(system, "other") == ["task-2"])
        assert tasks_of(system, "manager") == ["task-1", "task-3"]


@pytest.mark.req("NT-1")
async def test_a_completion_that_comes_twice_is_told_once(tmp_path: Path) -> None:
    """Also after a restart."""
    for round_ in (1, 2):
        async with ActorSystem(tmp_path) as system:
            await system.spawn(Session, name="manager")
            notifier = await system.spawn(NotifierActor, name="notifier")
            await notifier.ask_async(done(1), timeout_s=5)
            await notifier.ask_async(done(1 + round_), timeout_s=5)
            await until(system, lambda count=1 + round_: len(tasks_of(system, "manager")) >= count)
            assert tasks_of(system, "manager") == [f"task-{number}" for number in range(1, 2 + round_)]


@pytest.mark.req("NT-1")
async def test_a_session_that_is_down_hears_of_it_when_it_is_back(tmp_path: Path) -> None:
    """Over a restart of the whole system, too."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Session, name="manager")
        notifier = await system.spawn(NotifierActor, name="notifier")
        await system.stop("manager")
        await notifier.ask_async(done(1), timeout_s=5)
        await system.spawn(Session, name="manager")
        await until(system, lambda: tasks_of(system, "manager") == ["task-1"])
        await system.stop("manager")
        await notifier.ask_async(done(2), timeout_s=5)
    async with ActorSystem(tmp_path) as system:
        await system.spawn(NotifierActor, name="notifier")
        await system.spawn(Session, name="manager")
        await until(system, lambda: tasks_of(system, "manager") == ["task-1", "task-2"])
