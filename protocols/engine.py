"""Engines: what a run is given, what it answers, and what follows from that (rule E1)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from understudy.protocols.base import Frozen, Message
from understudy.protocols.schedules import AddSchedule, RemoveSchedule
from understudy.protocols.tasks import MAIN_SESSION, CancelTask, CreateTask, SummarizeTask, TaskResult

Role = Literal["user", "assistant", "system"]


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


class HistoryMessage(Frozen):
    """A message of the conversation as a run is shown it: `text` may be cut, `at` is when it was said."""

    id: str
    role: Role
    text: str
    at: float
    session: str = MAIN_SESSION
    task: str | None = None


class Persona(Frozen):
    """What the evolver has learned: about the people, and how the agent is to be (MG-7)."""

    version: int
    profile: str
    persona: str


class ActionProblem(Frozen):
    """An action that can't be done: which (its place in the answer, from 0), what it said, and why not."""

    index: int
    action: str
    error: str


class RunRequest(Frozen):
    """One attempt at one run: a fixed batch of wake events. The same batch comes again with each attempt.

    Attributes:
        session_id: the engine's own session, as it named it in an earlier answer; None to begin one.
        history: what was said before this batch, oldest first, bounded.
        persona: what the evolver has learned, when there is one.
        round: 0, or the number of the correction round: the engine has answered this attempt before,
            and `problems` says which of that answer's actions can't be done. It gives all its actions
            again; a reply only if another one is better.
    """

    run: str
    attempt: int
    batch: tuple[Wake, ...]
    now: float
    timezone: str
    session_id: str | None = None
    history: tuple[HistoryMessage, ...] = ()
    persona: Persona | None = None
    round: int = 0
    problems: tuple[ActionProblem, ...] = ()


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


class RunAnswer(BaseModel):
    """What an engine answers.

    Attributes:
        replies: see `Reply`.
        session_id: the engine's session, for the next run; None when it has none.
        actions: what it wants done, as data: each a mapping that a `Proposal` can be made of, such as
            `{"action": "cancel_task", "task": "task-3"}`. What a model wrote may be put here as it is:
            one that is none, or that can't be done, is sent back for correction (MG-4).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    replies: tuple[Reply, ...] = ()
    session_id: str | None = None
    actions: tuple[object, ...] = ()


class TaskToCreate(Frozen):
    """Make a task, with an id that was reserved for it."""

    action: Literal["create_task"] = "create_task"
    message: CreateTask


class TaskToCancel(Frozen):
    """End a task."""

    action: Literal["cancel_task"] = "cancel_task"
    message: CancelTask


class TaskToSummarize(Frozen):
    """Keep a summary of its result with a task."""

    action: Literal["summarize_task"] = "summarize_task"
    message: SummarizeTask


class ScheduleToAdd(Frozen):
    """Make a schedule, with an id that was reserved for it."""

    action: Literal["add_schedule"] = "add_schedule"
    message: AddSchedule


class ScheduleToRemove(Frozen):
    """Take a schedule away."""

    action: Literal["remove_schedule"] = "remove_schedule"
    message: RemoveSchedule


Action = Annotated[
    TaskToCreate | TaskToCancel | TaskToSummarize | ScheduleToAdd | ScheduleToRemove,
    Field(discriminator="action"),
]
"""What a run wants done, checked; it happens when, and only when, the run has succeeded."""


class FinishRun(Message[None]):
    """To the manager from its own background task: the attempt ended well.

    Attributes:
        session_id: the engine's session from now on; None when it has none.
        rebuilt: why the session that was kept could not be gone on with; empty when it was.
        problems: what was wrong with the actions of the last correction round; `actions` lacks them all then.
    """

    run: str
    attempt: int
    replies: tuple[Reply, ...] = ()
    actions: tuple[Action, ...] = ()
    session_id: str | None = None
    rebuilt: str = ""
    problems: tuple[ActionProblem, ...] = ()


class FailRun(Message[None]):
    """To the manager from its own background task: the attempt failed."""

    run: str
    attempt: int
    error: str


class RetryRun(Message[None]):
    """To the manager from its own timer: the pause after failed attempt `attempt` is over."""

    run: str
    attempt: int
