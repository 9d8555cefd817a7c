"""Cron: schedules, and their firings."""

from __future__ import annotations

import heapq
import logging

from pydantic import BaseModel, Field

from understudy.actors.cron import times
from understudy.actors.ids import is_given, number_of
from understudy.protocols.conversation import WakeCronDue
from understudy.protocols.engine import DueSchedule
from understudy.protocols.errors import NotFound, Refused
from understudy.protocols.schedules import (
    AddSchedule,
    CronTick,
    DisableSchedule,
    EnableSchedule,
    ListSchedules,
    RemoveSchedule,
    ReserveScheduleId,
    ScheduleAccepted,
    ScheduleAdded,
    ScheduleDisabled,
    ScheduleEnabled,
    ScheduleFired,
    ScheduleIdReserved,
    ScheduleList,
    ScheduleRemoved,
    ScheduleSpec,
    ScheduleStatus,
    ScheduleView,
)
from understudy.protocols.tasks import CreateTask, TaskSpec
from understudy.supervision.persistent import PersistentActor

log = logging.getLogger("understudy.cron")

FIRINGS_A_TURN = 100
"""A turn is one journal line; more than this many firings are spread over several."""


class Schedule(BaseModel):
    """One schedule; `next_at` None: it is disabled, or done."""

    id: str
    spec: ScheduleSpec
    timezone: str
    next_at: float | None
    status: ScheduleStatus = "enabled"
    last_nominal_at: float | None = None
    firings: int = 0


class CronState(BaseModel):
    """All schedules; `next_schedule` is the number of the next one."""

    next_schedule: int = 1
    schedules: dict[str, Schedule] = Field(default_factory=dict)


class CronActor(PersistentActor[CronState]):
    """Owns the schedules (CR-1) and fires each due time once (CR-2, rule C2).

    Due times that passed while nobody could fire them are made up for by one firing for the last of
    them, per schedule; so also when the clock jumps forward.

    Args:
        timezone: IANA name of the zone of schedules that name none.
        workers, manager: the actors that make tasks, and that hear of reminders.
    """

    def __init__(self, *, timezone: str = "UTC", workers: str = "workers", manager: str = "manager") -> None:
        super().__init__()
        times.find_zone(timezone)
        self._timezone = timezone
        self._workers = workers
        self._manager = manager
        self._due: list[tuple[float, str]] = []
        self._armed_at: float | None = None

    def on_start(self) -> None:
        self._due = [
            (one.next_at, one.id) for one in self.state.schedules.values() if one.next_at is not None
        ]
        heapq.heapify(self._due)
        self._fire_due()

    # -- commands

    def add_schedule(self, message: AddSchedule) -> ScheduleAccepted:
        spec = message.spec
        timezone = spec.timezone or self._timezone
        zone = times.find_zone(timezone)
        if message.id is None:
            schedule_id = f"sched-{self.state.next_schedule}"
            next_at = times.first_due(spec, zone, self.clock.time())
        else:
            schedule_id = self._reserved(message.id)
            # It was to come when it was proposed: late now, it is due at once.
            next_at = (
                times.single_time(spec, zone)
                if spec.at is not None
                else times.first_due(spec, zone, self.clock.time())
            )
        self.emit(ScheduleAdded(id=schedule_id, spec=spec, timezone=timezone, next_at=next_at))
        self._wait_for(schedule_id)
        return ScheduleAccepted(id=schedule_id, next_at=next_at)

    def reserve_schedule_id(self, _message: ReserveScheduleId) -> ScheduleAccepted:
        schedule_id = f"sched-{self.state.next_schedule}"
        self.emit(ScheduleIdReserved(id=schedule_id))
        return ScheduleAccepted(id=schedule_id)

    def enable_schedule(self, message: EnableSchedule) -> ScheduleAccepted:
        one = self._find(message.id)
        if one.status == "done":
            raise Refused(f"{one.id} is done: its time was {self._show(one, one.last_nominal_at)}")
        if one.status == "disabled":
            next_at = times.first_due(one.spec, times.find_zone(one.timezone), self.clock.time())
            self.emit(ScheduleEnabled(id=one.id, next_at=next_at))
            self._wait_for(one.id)
        return ScheduleAccepted(id=one.id, next_at=one.next_at)

    def disable_schedule(self, message: DisableSchedule) -> ScheduleAccepted:
        one = self._find(message.id)
        if one.status == "done":
            raise Refused(f"{one.id} is done: its time was {self._show(one, one.last_nominal_at)}")
        if one.status == "enabled":
            self.emit(ScheduleDisabled(id=one.id))
        return ScheduleAccepted(id=one.id)

    def remove_schedule(self, message: RemoveSchedule) -> ScheduleAccepted:
        one = self._find(message.id)
        self.emit(ScheduleRemoved(id=one.id))
        return ScheduleAccepted(id=one.id)

    def list_schedules(self, message: ListSchedules) -> ScheduleList:
        newest_first = reversed(self.state.schedules.values())
        return ScheduleList(schedules=tuple(self._view(one, message.next_runs) for one in newest_first))

    def cron_tick(self, _message: CronTick) -> None:
        self._armed_at = None
        self._fire_due()

    # -- events

    def schedule_id_reserved(self, event: ScheduleIdReserved) -> None:
        self.state.next_schedule = number_of(event.id) + 1

    def schedule_added(self, event: ScheduleAdded) -> None:
        self.state.schedules[event.id] = Schedule(
            id=event.id, spec=event.spec, timezone=event.timezone, next_at=event.next_at
        )
        self.state.next_schedule = max(self.state.next_schedule, number_of(event.id) + 1)

    def schedule_fired(self, event: ScheduleFired) -> None:
        one = self.state.schedules[event.id]
        one.last_nominal_at, one.next_at = event.nominal_at, event.next_at
        one.firings += 1
        if event.next_at is None:
            one.status = "done"

    def schedule_enabled(self, event: ScheduleEnabled) -> None:
        one = self.state.schedules[event.id]
        one.status, one.next_at = "enabled", event.next_at

    def schedule_disabled(self, event: ScheduleDisabled) -> None:
        one = self.state.schedules[event.id]
        one.status, one.next_at = "disabled", None

    def schedule_removed(self, event: ScheduleRemoved) -> None:
        del self.state.schedules[event.id]

    # -- firing

    def _fire_due(self) -> None:
        """Fire what is due, then wait for the next. Entries of what has changed since are void."""
        now = self.clock.time()
        for _ in range(FIRINGS_A_TURN):
            if (one := self._earliest()) is None or one.next_at is None or one.next_at > now:
                break
            heapq.heappop(self._due)
            self._fire(one, one.next_at, now)
        self._arm()

    def _fire(self, one: Schedule, nominal_at: float, now: float) -> None:
        zone = times.find_zone(one.timezone)
        caught_up, next_at = False, None
        if one.spec.cron is not None:
            next_at = times.next_due(one.spec.cron, zone, nominal_at)
            if next_at <= now:
                nominal_at, caught_up = max(nominal_at, times.last_due(one.spec.cron, zone, now)), True
                next_at = times.next_due(one.spec.cron, zone, now)
        self.emit(ScheduleFired(id=one.id, nominal_at=nominal_at, caught_up=caught_up, next_at=next_at))
        if next_at is not None:
            heapq.heappush(self._due, (next_at, one.id))
        if one.spec.command:
            self.send(self._workers, CreateTask(spec=_task_of(one, nominal_at)))
        if one.spec.kind == "reminder":
            due = DueSchedule(
                id=f"{one.id}@{nominal_at:.0f}",
                schedule=one.id,
                nominal_at=nominal_at,
                title=one.spec.title,
                text=one.spec.text,
                session=one.spec.session,
            )
            self.send(self._manager, WakeCronDue(due=due))

    def _wait_for(self, schedule_id: str) -> None:
        next_at = self.state.schedules[schedule_id].next_at
        if next_at is not None:
            heapq.heappush(self._due, (next_at, schedule_id))
            self._arm()

    def _earliest(self) -> Schedule | None:
        while self._due:
            next_at, schedule_id = self._due[0]
            one = self.state.schedules.get(schedule_id)
            if one is not None and one.next_at == next_at:
                return one
            heapq.heappop(self._due)
        return None

    def _arm(self) -> None:
        """One timer, for the earliest due time (CR-2: no polling)."""
        one = self._earliest()
        if one is not None and one.next_at is not None and one.next_at != self._armed_at:
            self._armed_at = one.next_at
            self.start_timer("due", CronTick(), at_s=one.next_at)

    # -- small questions

    def _find(self, schedule_id: str) -> Schedule:
        one = self.state.schedules.get(schedule_id)
        if one is None:
            raise NotFound(f"expected the id of a schedule, got {schedule_id!r}")
        return one

    def _reserved(self, schedule_id: str) -> str:
        free = schedule_id not in self.state.schedules
        if not (free and is_given(schedule_id, "sched", self.state.next_schedule)):
            raise Refused(f"expected an id from ReserveScheduleId that is not in use, got {schedule_id!r}")
        return schedule_id

    def _view(self, one: Schedule, runs: int) -> ScheduleView:
        zone = times.find_zone(one.timezone)
        return ScheduleView(
            id=one.id,
            spec=one.spec,
            timezone=one.timezone,
            status=one.status,
            next_runs=() if one.next_at is None else times.next_runs(one.spec, zone, one.next_at, runs),
            last_nominal_at=one.last_nominal_at,
            firings=one.firings,
        )

    def _show(self, one: Schedule, moment: float | None) -> str:
        return "never" if moment is None else times.show(moment, times.find_zone(one.timezone))


def _task_of(one: Schedule, nominal_at: float) -> TaskSpec:
    """What a firing creates. It answers no input: the one that asked for the schedule has its reply."""
    spec = one.spec
    return TaskSpec(
        title=spec.title,
        command=spec.command,
        timeout_s=spec.timeout_s,
        retries=spec.retries,
        session=spec.session,
        schedule=one.id,
        nominal_at=nominal_at,
    )
