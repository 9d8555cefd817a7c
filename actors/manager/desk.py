"""The desk of one attempt: reads from the other actors, collects what the engine proposes (rule E1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from understudy.actors.cron import times
from understudy.protocols.base import nearest
from understudy.protocols.engine import (
    DoneTask,
    ScheduleToAdd,
    ScheduleToRemove,
    TaskToCancel,
    TaskToCreate,
    TaskToSummarize,
    UserInput,
)
from understudy.protocols.errors import NotFound, Refused
from understudy.protocols.schedules import (
    AddSchedule,
    ListSchedules,
    RemoveSchedule,
    ReserveScheduleId,
    ScheduleSpec,
    ScheduleView,
)
from understudy.protocols.tasks import (
    FINAL,
    CancelTask,
    CreateTask,
    GetTask,
    ListTasks,
    ReserveTaskId,
    SummarizeTask,
    TaskSpec,
    TaskView,
)

if TYPE_CHECKING:
    from understudy.protocols.base import Message
    from understudy.protocols.engine import Action, RunRequest
    from understudy.supervision.system import ActorSystem

R = TypeVar("R")

ASK_TIMEOUT_S = 30.0
SHOWN_RUNS = 3


class RunDesk:
    """See `Desk`. An actor that does not answer fails the attempt, which is tried again."""

    def __init__(self, system: ActorSystem, request: RunRequest, *, workers: str, cron: str) -> None:
        self._system = system
        self._timezone = request.timezone
        self._now = request.now
        self._sessions = {wake.id: wake.session for wake in request.batch if isinstance(wake, UserInput)}
        self._over = {wake.id for wake in request.batch if isinstance(wake, DoneTask)}
        self._workers = workers
        self._cron = cron
        self._actions: list[Action] = []

    @property
    def actions(self) -> tuple[Action, ...]:
        """What was proposed, in order."""
        return tuple(self._actions)

    def forget_after(self, count: int) -> None:
        """Keep only the first `count` proposals; ids that the others took are not given again."""
        del self._actions[count:]

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
        """See `Desk`. A task that an input asked for belongs to that input's session."""
        if spec.origin in self._sessions:
            spec = spec.model_copy(update={"session": self._sessions[spec.origin]})
        task_id = (await self._ask(self._workers, ReserveTaskId())).id
        self._actions.append(TaskToCreate(message=CreateTask(spec=spec, id=task_id)))
        return task_id

    async def cancel_task(self, task_id: str, reason: str) -> None:
        """See `Desk`."""
        if not self._proposes(task_id) and (await self._known(task_id)).status in FINAL:
            raise Refused(f"expected a task that is not over, got {task_id!r}: there is nothing to cancel")
        message = CancelTask(id=task_id, source="manager", reason=reason)
        self._actions.append(TaskToCancel(message=message))

    async def summarize_task(self, task_id: str, text: str) -> None:
        """See `Desk`."""
        if task_id not in self._over and (await self._known(task_id)).status not in FINAL:
            raise Refused(f"expected a task that is over, got {task_id!r}: it has no result yet")
        self._actions.append(TaskToSummarize(message=SummarizeTask(id=task_id, text=text)))

    async def add_schedule(self, spec: ScheduleSpec) -> tuple[str, tuple[float, ...]]:
        """See `Desk`."""
        zone = times.find_zone(spec.timezone or self._timezone)
        runs = times.next_runs(spec.cron, zone, times.first_due(spec, zone, self._now), SHOWN_RUNS)
        if spec.origin in self._sessions:
            spec = spec.model_copy(update={"session": self._sessions[spec.origin]})
        schedule_id = (await self._ask(self._cron, ReserveScheduleId())).id
        self._actions.append(ScheduleToAdd(message=AddSchedule(spec=spec, id=schedule_id)))
        return schedule_id, runs

    async def remove_schedule(self, schedule_id: str) -> None:
        """See `Desk`."""
        if not self._proposes(schedule_id):
            known = [one.id for one in await self.schedules()]
            if schedule_id not in known:
                names = nearest(schedule_id, known, "there are none")
                raise NotFound(f"expected the id of a schedule ({names}), got {schedule_id!r}")
        self._actions.append(ScheduleToRemove(message=RemoveSchedule(id=schedule_id)))

    def _proposes(self, name: str) -> bool:
        """Whether this attempt makes it: who owns it does not know it yet."""
        made = (TaskToCreate, ScheduleToAdd)
        return any(isinstance(action, made) and action.message.id == name for action in self._actions)

    async def _known(self, task_id: str) -> TaskView:
        task = await self.task(task_id)
        if task is None:
            raise NotFound(f"expected the id of a task, got {task_id!r}")
        return task

    async def _ask(self, actor: str, message: Message[R]) -> R:
        ref: Any = self._system.get(actor)
        return await ref.ask_async(message, timeout_s=ASK_TIMEOUT_S)
