"""What carries out an attempt: the one interface behind which shells, callables and clusters stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from understudy.actors.workers.output import Capture


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One attempt at a task, as an executor sees it. It knows nothing of journals.

    Attributes:
        task, number: the attempt's token (rule E3).
        command: what the task says.
        grace_s: how long an executor that is cancelled may take to end its work politely.
        capture: takes the output; bounded, so writing never fails for its size.
        scope, begun, ended, overdue: the pool's own.
    """

    task: str
    number: int
    command: tuple[str, ...]
    grace_s: float
    capture: Capture
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)
    begun: bool = False
    overdue: bool = False

    @property
    def mark(self) -> str:
        """The token as processes carry it in their environment."""
        return f"{self.task}/{self.number}"

    async def write(self, data: bytes) -> None:
        """Keep some of the output."""
        await self.capture.write(data)


class Executor(Protocol):
    """Carries out attempts.

    `run` returns the exit code: 0 for success. To be cancelled means to end the work (with shielded
    clean-up of at most the grace period and a kill) and to let `trio.Cancelled` go on; an exception
    is a failed attempt whose reason is the exception's text.
    """

    async def run(self, attempt: Attempt) -> int:
        """Carry out one attempt."""
        ...
