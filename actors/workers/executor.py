"""What carries out an attempt: the one interface behind which shells, callables and clusters stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.actors.workers.output import Capture
    from understudy.actors.workers.state import AttemptEnded
    from understudy.protocols.tasks import TaskSpec


@dataclass(slots=True, kw_only=True, eq=False)
class Attempt:
    """One attempt at a task, as an executor sees it. It knows nothing of journals.

    Attributes:
        task, number: the attempt's token (rule E3).
        spec: what the task says.
        grace_s: how long an executor that is cancelled may take to end its work politely.
        capture: takes the output; bounded, so writing never fails for its size.
        value: what a callable returned, as JSON; set by its executor.
        progress, note: how far it is (0 to 1), and in words; for those who watch.
        abandoned: whether its thread could not be ended and runs on, by itself.
        show: shows viewers what it says of itself.
        canceled: whether it was told to end; may be looked at from any thread.
        deadline: an outcome that is seen from this monotonic time on comes too late; set when it begins.
        scope, begun, ended, overdue, report, gone: the pool's own.
    """

    task: str
    number: int
    spec: TaskSpec
    grace_s: float
    capture: Capture
    value: str | None = None
    progress: float | None = None
    note: str = ""
    abandoned: bool = False
    canceled: bool = False
    show: Callable[[Attempt], None] | None = None
    deadline: float | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    begun: bool = False
    ended: bool = False
    overdue: bool = False
    report: AttemptEnded | None = None
    gone: trio.Event | None = None

    @property
    def mark(self) -> str:
        """The token as processes carry it in their environment."""
        return f"{self.task}/{self.number}"

    @property
    def command(self) -> tuple[str, ...]:
        """Program and arguments."""
        return self.spec.command

    def cancel(self) -> None:
        """Tell it to end."""
        self.canceled = True
        self.scope.cancel()

    async def write(self, data: bytes) -> None:
        """Keep some of the output."""
        await self.capture.write(data)
        self.said()

    def said(self) -> None:
        """It has written something, or come further. On the loop's thread."""
        if self.show is not None and not self.ended:
            self.show(self)


class Executor(Protocol):
    """Carries out attempts.

    `run` returns the exit code: 0 for success. To be cancelled means to end the work (with shielded
    clean-up of at most the grace period and a kill) and to let `trio.Cancelled` go on; an exception
    is a failed attempt whose reason is the exception's text. `OutOfResources` is none: it says that the work
    could not begin, and the task waits, without using up a retry. One that also has `check(spec)`, which
    raises a `TaskRefused`, says so when the task is made.
    """

    async def run(self, attempt: Attempt) -> int:
        """Carry out one attempt."""
        ...
