"""What the server answers, as far as the commands read it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from understudy.protocols.lifecycle import Halt, Problem
from understudy.protocols.notifications import DeliveryView
from understudy.protocols.read_model import (
    ActorRow,
    Incident,
    ManagerRow,
    MessageRow,
    ScheduleDetail,
    TaskRow,
)
from understudy.protocols.tasks import TaskStatus


class Answer(BaseModel):
    """A JSON object; fields that this version does not know are left out."""

    model_config = ConfigDict(extra="ignore")


class IdAnswer(Answer):
    """A 202: durable under this id."""

    id: str


class Page(Answer):
    """A page of a list; `next` is the cursor of the page that follows, None on the last."""

    next: str | None = None


class TaskPage(Page):
    """A page of tasks, newest first."""

    tasks: list[TaskRow]


class MessagePage(Page):
    """A page of the conversation, newest first."""

    messages: list[MessageRow]


class SchedulePage(Page):
    """A page of schedules, newest first."""

    schedules: list[ScheduleDetail]


class ScheduleAnswer(Answer):
    """A change of a schedule that was taken; `next_at` is the nominal time that comes next."""

    id: str
    next_at: float | None = None


class CancelAnswer(Answer):
    """A cancel that was taken: `canceled`, or `running` while the attempt is being ended."""

    id: str
    status: TaskStatus


class DeliveryPage(Page):
    """A page of the deliveries that are not made, newest first."""

    deliveries: list[DeliveryView]
    queued: int = 0
    dead: int = 0


class RetriedAnswer(Answer):
    """The deliveries that are tried again now."""

    ids: list[str]


class ResumedAnswer(Answer):
    """The actors that go on."""

    resumed: list[str]


class ActorPage(Page):
    """The actors as they stand."""

    actors: list[ActorRow]


class TaskCounts(Answer):
    """How many tasks there are of each state."""

    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0


class ServerStatus(Answer):
    """The system as its server sees it."""

    state: str
    version: str
    halted: list[Halt] = []
    blocked: list[Halt] = []
    problems: list[Problem] = []
    dead_letters: int = 0
    manager: ManagerRow = ManagerRow()
    tasks: TaskCounts = TaskCounts()
    abandoned_threads: list[str] = []
    messages: int = 0
    schedules: int = 0
    incidents: list[Incident] = []
