"""Engines: what a run is given, what it answers, and the actions that it proposes (rule E1)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from understudy.protocols.base import Frozen, Message
from understudy.protocols.schedules import AddSchedule, RemoveSchedule
from understudy.protocols.tasks import MAIN_SESSION, CancelTask, CreateTask, TaskResult


class UserInput(Frozen):
    """What a person sent."""

    wake: Literal["user_input"] = "user_input"
    id: str
    text: str
    session: str = MAIN_SESSION


class DoneTask(Frozen):
    """A task that has ended."""

    wake: Literal["task_done"] = "task_done"
    id: str
    result: TaskResult


class DueSchedule(Frozen):
    """A reminder that is due; `id` is that of the firing (rule C2)."""

    wake: Literal["cron_due"] = "cron_due"
    id: str
    schedule: str
    nominal_at: float
    title: str
    text: str
    session: str = MAIN_SESSION


Wake = Annotated[UserInput | DoneTask | DueSchedule, Field(discriminator="wake")]
"""A wake event: one of the three reasons why the manager starts a run."""


class RunRequest(Frozen):
    """One attempt at one run: a fixed batch of wake events. The same batch comes again with each attempt."""

    run: str
    attempt: int
    batch: tuple[Wake, ...]
    now: float
    timezone: str
    session_id: str | None = None


class Reply(Frozen):
    """A reply as an engine proposes it.

    Attributes:
        in_reply_to: ids of the inputs that it answers; for each this is the final reply.
        task: the task that it is about, when it is about one.
    """

    text: str
    in_reply_to: tuple[str, ...] = ()
    task: str | None = None
    role: Literal["assistant", "system"] = "assistant"


class TaskToCreate(Frozen):
    """Make a task, with an id that was reserved for it."""

    action: Literal["create_task"] = "create_task"
    message: CreateTask


class TaskToCancel(Frozen):
    """End a task."""

    action: Literal["cancel_task"] = "cancel_task"
    message: CancelTask


class ScheduleToAdd(Frozen):
    """Make a schedule, with an id that was reserved for it."""

    action: Literal["add_schedule"] = "add_schedule"
    message: AddSchedule


class ScheduleToRemove(Frozen):
    """Take a schedule away."""

    action: Literal["remove_schedule"] = "remove_schedule"
    message: RemoveSchedule


Action = Annotated[
    TaskToCreate | TaskToCancel | ScheduleToAdd | ScheduleToRemove, Field(discriminator="action")
]
"""What a run wants done; it happens when, and only when, the run has succeeded."""


class RunAnswer(Frozen):
    """What an engine answers; `session_id` is its session, for the next run."""

    replies: tuple[Reply, ...] = ()
    session_id: str | None = None


class FinishRun(Message[None]):
    """To the manager from its own background task: the attempt ended well."""

    run: str
    attempt: int
    answer: RunAnswer
    actions: tuple[Action, ...] = ()


class FailRun(Message[None]):
    """To the manager from its own background task: the attempt failed."""

    run: str
    attempt: int
    error: str


class RetryRun(Message[None]):
    """To the manager from its own timer: the pause after failed attempt `attempt` is over."""

    run: str
    attempt: int
