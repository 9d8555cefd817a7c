"""What the tests of cron share: cron, and one that takes what it sends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from tests.unit.actors.stage import ManualClock, until
from understudy import ActorSystem, Event, PersistentActor
from understudy.actors.cron import CronActor
from understudy.protocols.conversation import WakeCronDue
from understudy.protocols.engine import DueSchedule
from understudy.protocols.schedules import AddSchedule, ListSchedules, ScheduleSpec, ScheduleView
from understudy.protocols.tasks import CreateTask, TaskAccepted, TaskSpec

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()


class Created(Event):
    spec: TaskSpec


class Woken(Event):
    due: DueSchedule


class Seen(BaseModel):
    specs: list[TaskSpec] = []
    dues: list[DueSchedule] = []


class Recorder(PersistentActor[Seen]):
    """Stands in for the pool and the manager."""

    def create_task(self, message: CreateTask) -> TaskAccepted:
        self.emit(Created(spec=message.spec))
        return TaskAccepted(id="task-1")

    def wake_cron_due(self, message: WakeCronDue) -> None:
        self.emit(Woken(due=message.due))

    def created(self, event: Created) -> None:
        self.state.specs.append(event.spec)

    def woken(self, event: Woken) -> None:
        self.state.dues.append(event.due)


class Desk:
    """Cron and its recorder in one system."""

    def __init__(self, system: ActorSystem) -> None:
        self.system = system

    def advance(self, seconds: float) -> None:
        """Let time pass, on a clock that stands still by itself."""
        assert isinstance(self.system.clock, ManualClock)
        self.system.clock.advance(self.system, seconds)

    @classmethod
    async def set(cls, system: ActorSystem, timezone: str = "UTC") -> Desk:
        """Start the two."""
        await system.spawn(Recorder, name="recorder")
        await system.spawn(CronActor, name="cron", timezone=timezone, workers="recorder", manager="recorder")
        return cls(system)

    async def ask(self, message: Any) -> Any:
        """Ask cron, within 5 seconds."""
        return await self.system.get("cron").ask_async(message, timeout_s=5)

    async def add(self, **fields: object) -> str:
        """Add a schedule; its id."""
        spec = ScheduleSpec.model_validate({"title": "report", "command": ("true",), **fields})
        return (await self.ask(AddSchedule(spec=spec))).id

    @property
    def seen(self) -> Seen:
        """What the recorder got."""
        return self.system.cell("recorder").actor.state

    async def wait_fired(self, count: int) -> list[float]:
        """Until that many tasks were created; when they were due."""
        await until(self.system, lambda: len(self.seen.specs) >= count)
        return [spec.nominal_at or 0.0 for spec in self.seen.specs]

    async def view(self, schedule: str = "sched-1", runs: int = 3) -> ScheduleView:
        """Cron's view of a schedule."""
        views: tuple[ScheduleView, ...] = (await self.ask(ListSchedules(next_runs=runs))).schedules
        return next(view for view in views if view.id == schedule)
