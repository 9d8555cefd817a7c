"""What an engine is: the intelligence behind the manager, and what it may do to the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from understudy.protocols.engine import HistoryMessage, Persona, RunAnswer, RunRequest
    from understudy.protocols.schedules import ScheduleSpec, ScheduleView
    from understudy.protocols.tasks import TaskSpec, TaskView


class Desk(Protocol):
    """What an engine has at hand during one attempt at a run.

    Reading shows what is durable now. The rest only *proposes* (rule E1): ids are given at once, and
    it happens when the run has succeeded; what a failed attempt proposed is forgotten. A spec names
    the input that asked for it in `origin`, if one did: the reply to that input is then the one that
    names it in `in_reply_to`, in this run or in the one that gets the task's result.

    An engine proposes by these calls, which are refused at once, or by data in its answer's `actions`,
    which comes back for correction: both are checked by the same code.
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

    async def cancel_task(self, task_id: str, reason: str) -> None:
        """Propose to cancel a task.

        Raises:
            Refused: there is none, or it is over.
        """
        ...

    async def summarize_task(self, task_id: str, text: str) -> None:
        """Propose a summary of a task's result, to be kept with the task.

        Raises:
            Refused: there is none, or it is not over.
        """
        ...

    async def add_schedule(self, spec: ScheduleSpec) -> tuple[str, tuple[float, ...]]:
        """Propose a schedule; its id and its next due times.

        Raises:
            Refused: a bad expression, zone or time.
        """
        ...

    async def remove_schedule(self, schedule_id: str) -> None:
        """Propose to remove a schedule.

        Raises:
            Refused: there is none.
        """
        ...


class Engine(Protocol):
    """Answers runs. Called at least once for each (a crash or a failure calls it again), one at a time.

    It may also be `Resumable`, and able to `Evolve`.
    """

    name: str

    async def run(self, request: RunRequest, desk: Desk) -> RunAnswer:
        """Answer one attempt; may take long, is cancelled when it takes too long.

        Raises:
            SessionInvalid: its session is gone; it is called again without one.
            Exception: the attempt failed; the next engine of the chain is called, or all of them later.
        """
        ...


@runtime_checkable
class Resumable(Protocol):
    """An engine whose sessions can be looked for before the first run after a start (MG-3)."""

    name: str

    async def resume(self, session_id: str) -> None:
        """Make sure that the session can be gone on with.

        Raises:
            SessionInvalid: it is gone.
            Exception: it could not be found out.
        """
        ...


@runtime_checkable
class Evolving(Protocol):
    """An engine that can learn from the conversation while nothing is to be done (MG-7)."""

    name: str

    async def evolve(self, messages: tuple[HistoryMessage, ...], persona: Persona | None) -> tuple[str, str]:
        """What is known of the people, and how the agent is to be: two texts in place of the old ones.

        Cancelled as soon as there is something to do.

        Args:
            messages: what was said since the last time, oldest first, bounded.
            persona: what was learned before.
        """
        ...
