"""Every actor of the cast is a persistent actor like any other: the same checks for each."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from understudy import ActorSystem, Message
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.registry import CAST
from understudy.actors.testing.scripted import ScriptedCommands
from understudy.protocols.conversation import SubmitInput
from understudy.protocols.notifications import Notification, Notify
from understudy.protocols.schedules import AddSchedule, RemoveSchedule, ReserveScheduleId, ScheduleSpec
from understudy.protocols.tasks import CancelTask, CreateTask, ReserveTaskId, TaskSpec
from understudy.supervision.testing import assert_conforms

HOURLY = ScheduleSpec(title="hourly", cron="0 * * * *", timezone="Europe/Zurich", command=("do", "ok"))
MESSAGES: dict[str, tuple[Message[Any], ...]] = {
    "projection": (),
    "notifier": (Notify(notification=Notification(id="news-1", kind="news", text="hello")),),
    "manager": (SubmitInput(text="hello"), SubmitInput(text="/run ok"), SubmitInput(text="/tasks")),
    "cron": (
        ReserveScheduleId(),
        AddSchedule(spec=HOURLY),
        AddSchedule(spec=HOURLY.model_copy(update={"cron": "nonsense"})),
        RemoveSchedule(id="sched-2"),
    ),
    "workers": (
        ReserveTaskId(),
        CreateTask(spec=TaskSpec(title="one", command=("do", "ok"), fingerprint="one")),
        CreateTask(spec=TaskSpec(title="hangs", command=("do", "hang"))),
        CancelTask(id="task-99", source="user", reason="there is none"),
    ),
}


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A crashing disk is logged; that need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


@pytest.mark.req("WK-5")
@pytest.mark.parametrize("name", [role.name for role in CAST])
def test_an_actor_of_the_cast_conforms(name: str) -> None:
    """Crashed at every 17th operation of the whole cast: the same answers, and state by events only."""

    async def start(system: ActorSystem) -> None:
        commands = ScriptedCommands(Random(1))
        await start_cast(system, CastConfig(timezone="UTC"), executors={"shell": commands})

    assert assert_conforms(start, MESSAGES[name], name=name, every=17).crashes > 0
