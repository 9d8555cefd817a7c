"""What an engine is: the intelligence behind the manager, and what it may do to the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from understudy.protocols.engine import RunAnswer, RunRequest
    from understudy.protocols.schedules import ScheduleSpec, ScheduleView
    from understudy.protocols.tasks import TaskSpec, TaskView


class Desk(Protocol):
    """What an engine has at hand during one attempt at a run.

    Reading shows what is durable now. The rest only *proposes* (rule E1): ids are given at once, and
    it happens when the run has succeeded; what a failed attempt proposed is forgotten. A spec names
    the input that asked for it in `origin`, if one did: the reply to that input is then the one that
    names it in `in_reply_to`, in this run or in the one that gets the task's result.
    """

    async def tasks(self, limit: int = 50) -> tuple[TaskView, ...]:
        """Tasks that are not over and the newest others, newest first."""
        ...

    async def task(self, task_id: str) -> TaskView | None:
        """One task, or None."""
        ...

    async def schedules(self) -> tuple[ScheduleView, ...]:
        """All schedules, newest first."""
        ...

    async def create_task(self, spec: TaskSpec) -> str:
        """Propose a task; its id."""
        ...

    def cancel_task(self, task_id: str, reason: str) -> None:
        """Propose to cancel a task."""
        ...

    async def add_schedule(self, spec: ScheduleSpec) -> tuple[str, tuple[float, ...]]:
        """Propose a schedule; its id and its next due times.

        Raises:
            Refused: a bad expression, zone or time.
        """
        ...

    def remove_schedule(self, schedule_id: str) -> None:
        """Propose to remove a schedule."""
        ...


class Engine(Protocol):
    """Answers runs. Called at least once for each (a crash or a failure calls it again), one at a time."""

    name: str

    async def run(self, request: RunRequest, desk: Desk) -> RunAnswer:
        """Answer one attempt; may take long, is cancelled when it takes too long.

        Raises:
            Exception: the attempt failed; it is tried again.
        """
        ...
