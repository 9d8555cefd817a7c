"""The pool's state: the active tasks, and in few words those that are over."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel, Field

from understudy.actors.ids import number_of
from understudy.protocols.base import Message
from understudy.protocols.tasks import (
    Output,
    TaskFinished,
    TaskResult,
    TaskSpec,
    TaskStatus,
    TaskView,
)


class CancelRequest(NamedTuple):
    """Who canceled a running task, and why."""

    source: str
    reason: str


@dataclass(slots=True, kw_only=True)
class ActiveTask:
    """A task that is not over.

    Attributes:
        attempts: started so far; with the task's id the token of the running one.
        failures: attempts that failed or timed out, which the retries are counted against.
        reruns: attempts that went down with the runtime.
        want: what the machine lacked when the last attempt could not begin; empty when it could.
        due_at: not before, in seconds since the epoch: a delayed start, a debounce window, a retry.
        since: when the first task of the chain came that debouncing has replaced.
        created_at, started_at: the times of those turns; `started_at` is the last attempt's.
        files: of the attempts that left one, their numbers.
    """

    id: str
    spec: TaskSpec
    status: TaskStatus = "pending"
    attempts: int = 0
    failures: int = 0
    reruns: int = 0
    want: str = ""
    due_at: float | None = None
    since: float | None = None
    cancel: CancelRequest | None = None
    created_at: float = 0.0
    started_at: float | None = None
    files: tuple[int, ...] = ()

    def place(self) -> tuple[int, int, str]:
        """Sorts tasks in the order in which they start."""
        return (-self.spec.priority, number_of(self.id), self.id)

    def view(self, reason: str = "") -> TaskView:
        """As others see it; `reason` says why it waits."""
        return TaskView(
            id=self.id,
            title=self.spec.title,
            status=self.status,
            attempts=self.attempts,
            command=self.spec.command,
            reason=f"cancel requested: {self.cancel.reason}" if self.cancel else reason,
            queue=self.spec.queue,
            due_at=self.due_at,
            origin=self.spec.origin,
            session=self.spec.session,
            schedule=self.spec.schedule,
            executor=self.spec.executor,
            function=self.spec.function,
            priority=self.spec.priority,
            timeout_s=self.spec.timeout_s,
            retries=self.spec.retries,
            created_at=self.created_at,
            started_at=self.started_at,
            canceling=self.cancel is not None,
        )

    def result(self, event: TaskFinished, excerpt: tuple[str, bool]) -> TaskResult:
        """What its session is told when `event` has ended it."""
        text, cut = excerpt
        return TaskResult(
            task=self.id,
            title=self.spec.title,
            status=event.status,
            attempt=event.attempt,
            reason=event.reason,
            source=event.source,
            exit_code=event.exit_code,
            value=event.value,
            output=text,
            output_bytes=event.output.total_bytes,
            output_cut=cut,
            session=self.spec.session,
            origin=self.spec.origin,
            schedule=self.spec.schedule,
            queue=self.spec.queue,
        )


class OverTask(NamedTuple):
    """A task that is over: what the pool still needs to know of it. The read model has the rest."""

    status: TaskStatus
    attempts: int
    title: str
    reason: str
    source: str
    exit_code: int | None
    session: str
    origin: str | None
    schedule: str | None
    created_at: float
    started_at: float | None
    finished_at: float
    files: tuple[int, ...]
    value: str | None = None
    spec: TaskSpec | None = None  # of one that did not succeed: its work can be done once more

    def view(self, task: str) -> TaskView:
        """As others see it."""
        return TaskView(
            id=task,
            title=self.title,
            status=self.status,
            attempts=self.attempts,
            reason=self.reason,
            value=self.value,
            origin=self.origin,
            session=self.session,
            schedule=self.schedule,
            created_at=self.created_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            source=self.source,
            exit_code=self.exit_code,
        )


class PoolState(BaseModel):
    """The tasks; `next_task` is the number of the next one, and never one that was given before.

    `over` is in the order in which they ended, and bounded: the oldest are forgotten. `reserved` are the ids
    of tasks that are proposed only.
    """

    next_task: int = 1
    active: dict[str, ActiveTask] = Field(default_factory=dict)
    over: OrderedDict[str, OverTask] = Field(default_factory=OrderedDict)
    reserved: dict[str, None] = Field(default_factory=dict)


class AttemptEnded(Message[None]):
    """To the pool from an attempt's background task.

    Attributes:
        exit_code: 0 for success; None when it never came that far.
        reason: why, in the second case.
        hopeless: whether another attempt could only end in the same way.
        want: what the machine lacked, when the attempt could not even begin.
        value: what a callable returned, as JSON.
    """

    task: str
    attempt: int
    exit_code: int | None
    reason: str
    hopeless: bool = False
    want: str = ""
    value: str | None = None
    output: Output = Output()


class AttemptOverdue(Message[None]):
    """From the pool's timer: the attempt's time is up."""

    task: str
    attempt: int


class AttemptStuck(Message[None]):
    """From the pool's timer: an attempt that was told to end has not."""

    task: str
    attempt: int


class TaskDue(Message[None]):
    """From the pool's timer: the task need not wait for a time any more."""

    task: str
