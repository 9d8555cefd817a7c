"""The pool's state: compact, since it holds every task there was."""

from __future__ import annotations

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


class ActiveTask(BaseModel):
    """A task that is not over.

    Attributes:
        attempts: started so far; with the task's id the token of the running one.
        failures: attempts that failed or timed out, which the retries are counted against.
        reruns: attempts that went down with the runtime.
        retry_at: not before, in seconds since the epoch.
    """

    id: str
    spec: TaskSpec
    status: TaskStatus = "pending"
    attempts: int = 0
    failures: int = 0
    reruns: int = 0
    retry_at: float | None = None
    cancel: CancelRequest | None = None

    def place(self) -> tuple[int, int, str]:
        """Sorts tasks in the order in which they start."""
        return (-self.spec.priority, number_of(self.id), self.id)

    def view(self) -> TaskView:
        """As others see it."""
        return TaskView(
            id=self.id,
            title=self.spec.title,
            status=self.status,
            attempts=self.attempts,
            command=self.spec.command,
            reason="cancel requested" if self.cancel else "",
            origin=self.spec.origin,
            session=self.spec.session,
            schedule=self.spec.schedule,
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
            output=text,
            output_bytes=event.output.total_bytes,
            output_cut=cut,
            session=self.spec.session,
            origin=self.spec.origin,
            schedule=self.spec.schedule,
        )


class OverTask(NamedTuple):
    """A task that is over: what the pool still needs to know of it. The read model has the rest."""

    status: TaskStatus
    attempts: int
    title: str
    reason: str

    def view(self, task: str) -> TaskView:
        """As others see it."""
        return TaskView(
            id=task, title=self.title, status=self.status, attempts=self.attempts, reason=self.reason
        )


class PoolState(BaseModel):
    """All tasks; `next_task` is the number of the next one."""

    next_task: int = 1
    active: dict[str, ActiveTask] = Field(default_factory=dict)
    over: dict[str, OverTask] = Field(default_factory=dict)


class AttemptEnded(Message[None]):
    """To the pool from an attempt's background task. `exit_code` None: it never came that far."""

    task: str
    attempt: int
    exit_code: int | None
    reason: str
    output: Output = Output()


class AttemptOverdue(Message[None]):
    """From the pool's timer: the attempt's time is up."""

    task: str
    attempt: int


class AttemptStuck(Message[None]):
    """From the pool's timer: an attempt that was told to end has not."""

    task: str
    attempt: int


class RetryDue(Message[None]):
    """From the pool's timer: the pause before the next attempt is over."""

    task: str
