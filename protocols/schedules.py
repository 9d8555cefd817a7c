"""Schedules: what cron is asked, what it answers, and the facts of a schedule's life.

Times are seconds since the epoch; a schedule's `timezone` says how its expression is read. A *nominal*
time is one that the schedule names. Jitter moves the firing a little behind it; the firing keeps the name.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from understudy.protocols.base import Event, Frozen, Message
from understudy.protocols.tasks import MAIN_SESSION, TaskSpec, Work

ScheduleKind = Literal["background", "reminder"]
ScheduleStatus = Literal["enabled", "disabled", "done"]
Misfire = Literal["skip", "once", "all"]
Overlap = Literal["allow", "forbid", "replace"]
Waking = Literal["done", "always"]

COUNTED = 1000
"""So many missed times of a schedule are counted, and so many that are not late fire together."""


def _with_offset(time: datetime) -> datetime:
    """The same moment with its zone's offset: a journal line holds an offset, and no name of a zone."""
    offset = time.utcoffset()
    return time if offset is None else time.replace(tzinfo=timezone(offset), fold=0)


class ScheduleSpec(Work):
    """When to do what: the fields of its `Work` are those of the task that each firing makes.

    Attributes:
        cron: a cron expression of five fields; exactly one of `cron` and `at` is given.
        at: a single time; without a zone it is read in `timezone`, where one that a spring change skips
            is the first moment after the gap, and one that an autumn change repeats the first of the two.
        timezone: an IANA name, such as `Europe/Zurich`; None for the home's.
        kind: `background` wakes the manager when its task is done, `reminder` at once; one without a
            command (and of executor `shell`) makes no task.
        wake: `always` has a background schedule wake the manager at once too.
        text: what a reminder says; its title when empty.
        misfire: what becomes of times that nobody could fire (the runtime was down, the clock jumped):
            none of them fires (`skip`), one firing makes up for all (`once`), or each fires (`all`), the
            newest `misfire_limit` of them. What does not fire is recorded (`FiringsMissed`).
        misfire_grace_s: a firing that is late by at most this is no misfire and happens as always.
        overlap: when a task of an earlier firing is not over yet: `allow` both, `forbid` the new one,
            or `replace` the old one, which is canceled. The pool decides, which knows what runs (rule C2).
        jitter_s: a firing is late by up to this, and never reaches the next nominal time. How much follows
            from the firing's name: the same after a restart, another one for each schedule.
        origin: the input that asked for it, when one did.
    """

    title: str = Field(min_length=1, max_length=500)
    cron: str | None = Field(default=None, max_length=200)
    at: Annotated[datetime, AfterValidator(_with_offset)] | None = None
    timezone: str | None = None
    kind: ScheduleKind = "background"
    wake: Waking = "done"
    text: str = Field(default="", max_length=10_000)
    misfire: Misfire = "once"
    misfire_limit: int = Field(default=10, ge=1, le=1000)
    misfire_grace_s: float = Field(default=60.0, ge=1, le=31_536_000)
    overlap: Overlap = "allow"
    jitter_s: float = Field(default=0.0, ge=0, le=86_400)
    session: str = MAIN_SESSION
    origin: str | None = None

    def model_post_init(self, _context: object) -> None:
        """Refuse what does not go together, as a `TaskSpec` does."""
        if (self.cron is None) == (self.at is None):
            msg = "expected exactly one of cron and at"
            raise ValueError(msg)
        if self.makes_tasks:
            self.check_program()

    @property
    def makes_tasks(self) -> bool:
        """Whether there is something to carry out; a reminder may only speak."""
        return self.kind == "background" or bool(self.command) or self.executor != "shell"

    def task(self, schedule: str, nominal_at: float) -> TaskSpec:
        """The task of a firing. It answers no input: the one that asked for the schedule has its reply.

        What an overlap is, the pool says, by these names: it knows what runs (rule C2).
        """
        return TaskSpec(
            **{name: getattr(self, name) for name in Work.model_fields},
            title=self.title,
            fingerprint=f"schedule/{schedule}" if self.overlap == "forbid" else None,
            replace_key=f"schedule/{schedule}" if self.overlap == "replace" else None,
            session=self.session,
            schedule=schedule,
            nominal_at=nominal_at,
        )


class Missed(Frozen):
    """Nominal times that will not fire, from `first_at` to `last_at`; `count` 1,000 means: or more."""

    count: int
    first_at: float
    last_at: float


class ScheduleView(Frozen):
    """A schedule as cron knows it.

    Attributes:
        next_runs: its next nominal times, none while it is disabled.
        missed: how many times did not fire in all; `last_missed` are the latest of them.
        problem: why it can't fire on this machine now; None when it can.
    """

    id: str
    spec: ScheduleSpec
    timezone: str
    status: ScheduleStatus
    next_runs: tuple[float, ...] = ()
    last_nominal_at: float | None = None
    firings: int = 0
    missed: int = 0
    last_missed: Missed | None = None
    problem: str | None = None


class ScheduleAccepted(Frozen):
    """The change is durable; `next_at` is the nominal time that comes next."""

    id: str
    next_at: float | None = None


class AddSchedule(Message[ScheduleAccepted]):
    """Make a schedule. `id` is one from `ReserveScheduleId`, or None for the next free one.

    Raises (to who asks): `BadSchedule` for a bad expression, an unknown zone, a date that never comes
    or a time that is past; `Refused` for an `id` that is not reserved. Whether the pool would take the tasks,
    who asks may ask it first (`CheckTask`), as the HTTP API does; else each firing says what is wrong.
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


class RunSchedule(Message[ScheduleAccepted]):
    """Fire once now, whatever is due when: also one that is disabled or done. Its times stay as they are.

    It is no firing of a due time, so it counts as none; its overlap rule holds. Raises: `NotFound`.
    """

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
        caught_up: whether it is a misfire that is made up for: late by more than the grace.
        next_at: the nominal time that comes next; None when it is done.
    """

    id: str
    nominal_at: float
    caught_up: bool
    next_at: float | None


class FiringsMissed(Event):
    """Nobody could fire these times, and by the schedule's policy they don't fire any more.

    `next_at` is the nominal time that comes next; None when there is none.
    """

    id: str
    missed: Missed
    next_at: float | None


class ScheduleEnabled(Event):
    """The nominal time that comes next is `next_at`."""

    id: str
    next_at: float


class ScheduleDisabled(Event):
    """Not due any more."""

    id: str


class ScheduleRemoved(Event):
    """Gone."""

    id: str
