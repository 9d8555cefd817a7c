"""Schedules: what cron is asked, what it answers, and the facts of a schedule's life.

Times are seconds since the epoch; a schedule's `timezone` says how its expression is read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from understudy.protocols.base import Event, Frozen, Message
from understudy.protocols.tasks import MAIN_SESSION, Word

ScheduleKind = Literal["background", "reminder"]
ScheduleStatus = Literal["enabled", "disabled", "done"]


class ScheduleSpec(Frozen):
    """When to do what.

    Attributes:
        cron: a cron expression of five fields; exactly one of `cron` and `at` is given.
        at: a single time; without a zone it is read in `timezone`.
        timezone: an IANA name, such as `Europe/Zurich`; None for the home's.
        command: program and arguments of the task that each firing makes; a reminder may have none.
        kind: `background` wakes the manager when its task is done, `reminder` at once.
        text: what a reminder says; its title when empty.
        timeout_s, retries: as for a task.
        origin: the input that asked for it, when one did.
    """

    title: str = Field(min_length=1, max_length=500)
    cron: str | None = Field(default=None, max_length=200)
    at: datetime | None = None
    timezone: str | None = None
    command: tuple[Word, ...] = ()
    kind: ScheduleKind = "background"
    text: str = Field(default="", max_length=10_000)
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    retries: int = Field(default=0, ge=0, le=100)
    session: str = MAIN_SESSION
    origin: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> ScheduleSpec:
        if (self.cron is None) == (self.at is None):
            msg = "expected exactly one of cron and at"
            raise ValueError(msg)
        has_program = bool(self.command and self.command[0].strip())
        if (self.kind == "background" or self.command) and not has_program:
            msg = 'expected a command such as ["echo", "hello"], got an empty one'
            raise ValueError(msg)
        return self


class ScheduleView(Frozen):
    """A schedule as cron knows it; `next_runs` are its next due times, none while it is disabled."""

    id: str
    spec: ScheduleSpec
    timezone: str
    status: ScheduleStatus
    next_runs: tuple[float, ...] = ()
    last_nominal_at: float | None = None
    firings: int = 0


class ScheduleAccepted(Frozen):
    """The schedule is durable; `next_at` is when it is due first."""

    id: str
    next_at: float | None = None


class AddSchedule(Message[ScheduleAccepted]):
    """Make a schedule. `id` is one from `ReserveScheduleId`, or None for the next free one.

    Raises (to who asks): `Refused` for a bad expression, an unknown zone, a date that never comes,
    a time that is past, or an `id` that is not reserved.
    """

    spec: ScheduleSpec
    id: str | None = None


class ReserveScheduleId(Message[ScheduleAccepted]):
    """Take an id for a schedule that is only proposed yet (rule E1). Never given to another one."""


class EnableSchedule(Message[ScheduleAccepted]):
    """Due times that passed while it was disabled are not made up for. Raises: `NotFound`, `Refused`."""

    id: str


class DisableSchedule(Message[ScheduleAccepted]):
    """Keep it, but let nothing fire. Raises (to who asks): `NotFound`, `Refused` when it is done."""

    id: str


class RemoveSchedule(Message[ScheduleAccepted]):
    """Take it away for good. Raises (to who asks): `NotFound`."""

    id: str


class ScheduleList(Frozen):
    """Schedules, newest first."""

    schedules: tuple[ScheduleView, ...]


class ListSchedules(Message[ScheduleList]):
    """All schedules with their next `next_runs` due times."""

    next_runs: int = Field(default=3, ge=0, le=20)


class CronTick(Message[None]):
    """Cron's own timer."""


class ScheduleIdReserved(Event):
    """The id is taken by a proposal."""

    id: str


class ScheduleAdded(Event):
    """`timezone` is the zone that holds for it, also when `spec` named none."""

    id: str
    spec: ScheduleSpec
    timezone: str
    next_at: float


class ScheduleFired(Event):
    """It was due at `nominal_at`: the two name the firing, which happens once (rule C2).

    Attributes:
        caught_up: whether it comes late for times that passed while nobody could fire it; they
            are made up for by this one firing.
        next_at: when it is due next; None when it is done.
    """

    id: str
    nominal_at: float
    caught_up: bool
    next_at: float | None


class ScheduleEnabled(Event):
    """Due at `next_at`."""

    id: str
    next_at: float


class ScheduleDisabled(Event):
    """Not due any more."""

    id: str


class ScheduleRemoved(Event):
    """Gone."""

    id: str
