"""The desk of one attempt: reads from the other actors, collects what the engine proposes (rule E1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from understudy.actors.cron import times
from understudy.protocols.engine import ScheduleToAdd, ScheduleToRemove, TaskToCancel, TaskToCreate
from understudy.protocols.errors import NotFound
from understudy.protocols.schedules import (
    AddSchedule,
    ListSchedules,
    RemoveSchedule,
    ReserveScheduleId,
    ScheduleSpec,
    ScheduleView,
)
from understudy.protocols.tasks import (
    CancelTask,
    CreateTask,
    GetTask,
    ListTasks,
    ReserveTaskId,
    TaskSpec,
    TaskView,
)

if TYPE_CHECKING:
    from understudy.protocols.base import Message
    from understudy.protocols.engine import Action
    from understudy.supervision.system import ActorSystem

R = TypeVar("R")

ASK_TIMEOUT_S = 30.0
SHOWN_RUNS = 3


class RunDesk:
    """See `Desk`. An actor that does not answer fails the attempt, which is tried again."""

    def __init__(self, system: ActorSystem, *, timezone: str, now: float, workers: str, cron: str) -> None:
        self._system = system
        self._timezone = timezone
        self._now = now
        self._workers = workers
        self._cron = cron
        self._actions: list[Action] = []

    @property
    def actions(self) -> tuple[Action, ...]:
        """What was proposed, in order."""
        return tuple(self._actions)

    async def tasks(self, limit: int = 50) -> tuple[TaskView, ...]:
        """See `Desk`."""
        return (await self._ask(self._workers, ListTasks(limit=limit))).tasks

    async def task(self, task_id: str) -> TaskView | None:
        """See `Desk`."""
        try:
            return await self._ask(self._workers, GetTask(id=task_id))
        except NotFound:
            return None

    async def schedules(self) -> tuple[ScheduleView, ...]:
        """See `Desk`."""
        return (await self._ask(self._cron, ListSchedules())).schedules

    async def create_task(self, spec: TaskSpec) -> str:
        """See `Desk`."""
        task_id = (await self._ask(self._workers, ReserveTaskId())).id
        self._actions.append(TaskToCreate(message=CreateTask(spec=spec, id=task_id)))
        return task_id

    def cancel_task(self, task_id: str, reason: str) -> None:
        """See `Desk`."""
        message = CancelTask(id=task_id, source="manager", reason=reason)
        self._actions.append(TaskToCancel(message=message))

    async def add_schedule(self, spec: ScheduleSpec) -> tuple[str, tuple[float, ...]]:
        """See `Desk`."""
        zone = times.find_zone(spec.timezone or self._timezone)
        runs = times.next_runs(spec.cron, zone, times.first_due(spec, zone, self._now), SHOWN_RUNS)
        schedule_id = (await self._ask(self._cron, ReserveScheduleId())).id
        self._actions.append(ScheduleToAdd(message=AddSchedule(spec=spec, id=schedule_id)))
        return schedule_id, runs

    def remove_schedule(self, schedule_id: str) -> None:
        """See `Desk`."""
        self._actions.append(ScheduleToRemove(message=RemoveSchedule(id=schedule_id)))

    async def _ask(self, actor: str, message: Message[R]) -> R:
        ref: Any = self._system.get(actor)
        return await ref.ask_async(message, timeout_s=ASK_TIMEOUT_S)
