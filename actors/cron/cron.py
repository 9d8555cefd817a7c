"""Cron: schedules, and their firings."""

from __future__ import annotations

import heapq
import logging
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from understudy.actors.cron import times
from understudy.actors.cron.reckoning import due_at, reckon
from understudy.actors.ids import number_of
from understudy.protocols.conversation import WakeCronDue
from understudy.protocols.engine import DueSchedule
from understudy.protocols.errors import NotFound, Refused
from understudy.protocols.lifecycle import ClockCameBack, Problem
from understudy.protocols.schedules import (
    AddSchedule,
    CronTick,
    DisableSchedule,
    EnableSchedule,
    FiringsMissed,
    ListSchedules,
    Missed,
    RemoveSchedule,
    ReserveScheduleId,
    RunSchedule,
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
from understudy.protocols.tasks import CreateTask
from understudy.supervision.persistent import PersistentActor

if TYPE_CHECKING:
    from understudy.actors.cron.reckoning import Reckoning
    from understudy.protocols.tasks import TaskSpec

log = logging.getLogger("understudy.cron")

FIRINGS_A_TURN = 500
"""A turn is one journal line; more firings than this are spread over several.

To fire 500 takes about a hundredth of a second, for which nobody else has the loop. Of shorter turns the last
ones wait longer: in between the pool carries out, and ends, what it has of the first ones.
"""

MISSED_A_FIRING = 10
"""To count so many missed times takes as much of a turn's room as one firing."""

AHEAD_S = 60.0
"""A clock that came back by less is set as clocks are; nobody needs to be told."""

LOOK_AGAIN_S = 30.0
"""While something is armed, the wall clock is looked at this often.

Timers run on the monotonic clock, which does not notice that the wall clock was set, nor (on Linux) that the
machine slept. Linux has a timer that tells (`TFD_TIMER_CANCEL_ON_SET`), which Python has only since 3.13 and
macOS not at all; a look costs microseconds and writes nothing.
"""

RESERVED_KEPT = 10_000
"""Ids that were proposed and not used yet; the oldest of more are forgotten."""


class Schedule(BaseModel):
    """One schedule; `next_at` is the nominal time that comes next, None when it is disabled or done."""

    id: str
    spec: ScheduleSpec
    timezone: str
    next_at: float | None
    status: ScheduleStatus = "enabled"
    last_nominal_at: float | None = None
    firings: int = 0
    missed: int = 0
    last_missed: Missed | None = None
    created_at: float = 0.0


class CronState(BaseModel):
    """All schedules; `next_schedule` is the number of the next one, `reserved` the ids of proposals."""

    next_schedule: int = 1
    reserved: dict[str, None] = Field(default_factory=dict)
    schedules: dict[str, Schedule] = Field(default_factory=dict)


class CronActor(PersistentActor[CronState]):
    """Owns the schedules (CR-1) and fires each due time once (CR-2, rule C2).

    A firing is named by its schedule and its nominal time. A schedule's id is never given again, and its
    nominal times only ever go up, so no name comes twice: not after a restart, nor when the schedule is
    disabled and enabled or another one like it is added, nor when the clock is set back.

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
        self._due: list[tuple[float, float, str]] = []
        self._armed_at: float | None = None
        self._tasks: dict[str, TaskSpec] = {}
        self._unusable: dict[str, str] = {}
        self._silent: dict[str, Problem] = {}
        self._looked_at: float | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The schedules that this machine can't reckon now, and those that a clock once ahead holds up."""
        unusable = tuple(schedule_problem(name, reason) for name, reason in self._unusable.items())
        return unusable + tuple(self._silent.values())

    def on_start(self) -> None:
        self._unusable = self._find_unusable()
        self._due = [
            (_due_at(one, one.next_at), one.next_at, one.id)
            for one in self.state.schedules.values()
            if one.next_at is not None and one.id not in self._unusable
        ]
        heapq.heapify(self._due)
        self._fire_due()

    def _find_unusable(self) -> dict[str, str]:
        """What another machine, or another version of the time zones, could read and this one can't.

        They keep their next time: the start that can read them again settles it by their misfire policy.
        """
        found: dict[str, str] = {}
        for one in self.state.schedules.values():
            if one.status != "done" and (reason := times.problem_of(one.spec.cron, one.timezone)):
                found[one.id] = reason
                extra = {"action": "schedule_unusable", "schedule": one.id}
                log.warning("%s can't fire: %s", one.id, reason, extra=extra)
        return found

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
        self._wait_for(self.state.schedules[schedule_id])
        self._arm()
        return ScheduleAccepted(id=schedule_id, next_at=next_at)

    def reserve_schedule_id(self, _message: ReserveScheduleId) -> ScheduleAccepted:
        schedule_id = f"sched-{self.state.next_schedule}"
        self.emit(ScheduleIdReserved(id=schedule_id))
        return ScheduleAccepted(id=schedule_id)

    def enable_schedule(self, message: EnableSchedule) -> ScheduleAccepted:
        one = self._find(message.id)
        if one.status == "done":
            raise _over(one)
        if (reason := self._unusable.get(one.id)) is not None:
            raise Refused(f"{one.id} can't fire: {reason}")
        if one.status == "disabled":
            # After what was fired or missed also when the clock was set back: a name is not used twice.
            after = max(self.clock.time(), _settled_until(one))
            next_at = times.first_due(one.spec, times.find_zone(one.timezone), after)
            self.emit(ScheduleEnabled(id=one.id, next_at=next_at))
            self._wait_for(one)
            self._arm()
        return ScheduleAccepted(id=one.id, next_at=one.next_at)

    def disable_schedule(self, message: DisableSchedule) -> ScheduleAccepted:
        one = self._find(message.id)
        if one.status == "done":
            raise _over(one)
        if one.status == "enabled":
            self.emit(ScheduleDisabled(id=one.id))
        return ScheduleAccepted(id=one.id)

    def remove_schedule(self, message: RemoveSchedule) -> ScheduleAccepted:
        one = self._find(message.id)
        self.emit(ScheduleRemoved(id=one.id))
        self._tasks.pop(one.id, None)
        self._unusable.pop(one.id, None)
        self._silent.pop(one.id, None)
        return ScheduleAccepted(id=one.id)

    def run_schedule(self, message: RunSchedule) -> ScheduleAccepted:
        one = self._find(message.id)
        self._send_firing(one, self.clock.time())
        return ScheduleAccepted(id=one.id, next_at=one.next_at)

    def list_schedules(self, message: ListSchedules) -> ScheduleList:
        newest_first = reversed(self.state.schedules.values())
        return ScheduleList(schedules=tuple(self._view(one, message.next_runs) for one in newest_first))

    def cron_tick(self, _message: CronTick) -> None:
        self._armed_at = None
        self._fire_due()

    # -- events

    def schedule_id_reserved(self, event: ScheduleIdReserved) -> None:
        self.state.next_schedule = number_of(event.id) + 1
        self.state.reserved[event.id] = None
        if len(self.state.reserved) > RESERVED_KEPT:
            del self.state.reserved[next(iter(self.state.reserved))]

    def schedule_added(self, event: ScheduleAdded) -> None:
        self.state.schedules[event.id] = Schedule(
            id=event.id,
            spec=event.spec,
            timezone=event.timezone,
            next_at=event.next_at,
            created_at=self.turn_time,
        )
        self.state.next_schedule = max(self.state.next_schedule, number_of(event.id) + 1)
        self.state.reserved.pop(event.id, None)

    def schedule_fired(self, event: ScheduleFired) -> None:
        one = self.state.schedules[event.id]
        one.last_nominal_at, one.next_at = event.nominal_at, event.next_at
        one.firings += 1
        if event.next_at is None:
            one.status = "done"

    def firings_missed(self, event: FiringsMissed) -> None:
        one = self.state.schedules[event.id]
        one.missed += event.missed.count
        one.last_missed, one.next_at = event.missed, event.next_at
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
        self._look_for_silent(now)
        room = FIRINGS_A_TURN
        while room > 0 and (one := self._earliest()) is not None and self._due[0][0] <= now:
            _, nominal_at, _ = heapq.heappop(self._due)
            zone = times.find_zone(one.timezone)
            room -= self._settle(one, reckon(one.id, one.spec, zone, nominal_at, now), room)
            self._wait_for(one)
        self._arm()

    def _look_for_silent(self, now: float) -> None:
        """Tell of schedules that have fired for times to come: the wall clock was ahead and came back.

        They fire on from there: a nominal time names one firing, and fires once. All are looked at only at
        the start, and after the clock has come back.
        """
        came_back = self._looked_at is None or now < self._looked_at - AHEAD_S
        self._looked_at = now
        for name in [name for name in self._silent if not self._is_silent(name, now)]:
            del self._silent[name]
        if not came_back:
            return
        silent = [name for name in self.state.schedules if self._is_silent(name, now)]
        self._silent |= {name: self._silence(self.state.schedules[name], now) for name in silent}
        if silent:
            first = self._silent[silent[0]]
            more = f"; so have {len(silent) - 1} more" if len(silent) > 1 else ""
            text = f"{first.name}: {first.reason}{more}. To mend it: {first.remedy}"
            log.warning("%s", text, extra={"action": "clock_came_back"})
            self.system.lifecycle.publish(ClockCameBack(actor=self.name, time=now, text=text))

    def _is_silent(self, name: str, now: float) -> bool:
        one = self.state.schedules.get(name)
        return one is not None and one.next_at is not None and _settled_until(one) > now + AHEAD_S

    def _silence(self, one: Schedule, now: float) -> Problem:
        zone = times.find_zone("UTC" if one.id in self._unusable else one.timezone)
        fired, resumes = times.show(_settled_until(one), zone), times.show(one.next_at or now, zone)
        reason = (
            f"the clock was ahead and came back: it fired for {fired}, it is {times.show(now, zone)}, "
            f"and it fires nothing before {resumes}"
        )
        remedy = "check the machine's clock; for firings before then remove the schedule and add it again"
        return Problem(kind="schedule", name=one.id, reason=reason, remedy=remedy)

    def _settle(self, one: Schedule, reckoning: Reckoning, room: int) -> int:
        """Record and send what `reckoning` says, `room` firings at most; what is left is still due.

        Returns:
            how much room it took.
        """
        firings = reckoning.firings[:room]
        following = [firing.nominal_at for firing in reckoning.firings[: room + 1]]
        if len(reckoning.firings) <= room and reckoning.next_at is not None:
            following.append(reckoning.next_at)
        nexts = [*following, None]
        if reckoning.missed is not None:
            self.emit(FiringsMissed(id=one.id, missed=reckoning.missed, next_at=nexts[0]))
        for firing, next_at in zip(firings, nexts[1:], strict=False):
            self.emit(
                ScheduleFired(
                    id=one.id, nominal_at=firing.nominal_at, caught_up=firing.caught_up, next_at=next_at
                )
            )
            self._send_firing(one, firing.nominal_at)
        counted = 0 if reckoning.missed is None else reckoning.missed.count // MISSED_A_FIRING
        return max(1, len(firings)) + counted

    def _send_firing(self, one: Schedule, nominal_at: float) -> None:
        """The task first, then who is told (CR-2)."""
        spec = one.spec
        if spec.makes_tasks:
            task = self._task(one, nominal_at).model_copy(update={"nominal_at": nominal_at})
            self.send(self._workers, CreateTask(spec=task))
        if spec.kind == "reminder" or spec.wake == "always":
            due = DueSchedule(  # with the fraction: one that is fired by hand may be close to a due time
                id=f"{one.id}@{nominal_at:.3f}".removesuffix(".000"),
                schedule=one.id,
                nominal_at=nominal_at,
                title=spec.title,
                text=spec.text,
                session=spec.session,
            )
            self.send(self._manager, WakeCronDue(due=due))

    def _wait_for(self, one: Schedule) -> None:
        """Put its next time among those to come, and have its task ready: many may be due at once."""
        if one.next_at is None:
            self._tasks.pop(one.id, None)
            return
        heapq.heappush(self._due, (_due_at(one, one.next_at), one.next_at, one.id))
        if one.spec.makes_tasks:
            self._task(one, one.next_at)

    def _task(self, one: Schedule, nominal_at: float) -> TaskSpec:
        """The task of one of its firings: those of the others differ in their nominal time only."""
        task = self._tasks.get(one.id)
        if task is None:
            task = self._tasks[one.id] = one.spec.task(one.id, nominal_at)
        return task

    def _earliest(self) -> Schedule | None:
        while self._due:
            _, nominal_at, schedule_id = self._due[0]
            one = self.state.schedules.get(schedule_id)
            if one is not None and one.next_at == nominal_at:
                return one
            heapq.heappop(self._due)
        return None

    def _arm(self) -> None:
        """One timer, for the earliest due time, or for the next look at the clock."""
        if self._earliest() is None:
            return
        now = self.clock.time()
        at = min(self._due[0][0], now + LOOK_AGAIN_S)
        if self._armed_at is None or at < self._armed_at:
            self._armed_at = at
            self.start_timer("due", CronTick(), delay_s=at - now)

    # -- small questions

    def _find(self, schedule_id: str) -> Schedule:
        one = self.state.schedules.get(schedule_id)
        if one is None:
            raise NotFound(f"expected the id of a schedule, got {schedule_id!r}")
        return one

    def _reserved(self, schedule_id: str) -> str:
        if schedule_id not in self.state.reserved:
            msg = f"expected an id from ReserveScheduleId that was not used yet, got {schedule_id!r}"
            raise Refused(msg)
        return schedule_id

    def _view(self, one: Schedule, runs: int) -> ScheduleView:
        problem = self._unusable.get(one.id)
        following: tuple[float, ...] = ()
        if one.next_at is not None and problem is None:
            following = times.next_runs(one.spec.cron, times.find_zone(one.timezone), one.next_at, runs)
        return ScheduleView(
            id=one.id,
            spec=one.spec,
            timezone=one.timezone,
            status=one.status,
            next_runs=following,
            problem=problem,
            last_nominal_at=one.last_nominal_at,
            firings=one.firings,
            missed=one.missed,
            last_missed=one.last_missed,
        )


def schedule_problem(name: str, reason: str) -> Problem:
    """A schedule that can't fire now, and what to do about it."""
    remedy = (
        "mend what the reason names (an update of the system's time zones, the package `tzdata`) and start "
        f"again: its misfire policy decides about what it missed. Or `understudy cron remove {name}`"
    )
    return Problem(kind="schedule", name=name, reason=reason, remedy=remedy)


def _settled_until(one: Schedule) -> float:
    """The last nominal time that it fired or missed."""
    missed_at = 0.0 if one.last_missed is None else one.last_missed.last_at
    return max(one.last_nominal_at or 0.0, missed_at)


def _over(one: Schedule) -> Refused:
    return Refused(f"{one.id} is done: expected a schedule with times to come; add another one")


def _due_at(one: Schedule, nominal_at: float) -> float:
    return due_at(one.id, one.spec, times.find_zone(one.timezone), nominal_at)
