"""One restart in progress: of a child, or of all that a strategy takes together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.supervision.supervisor_cell import Supervised


class Restarting:
    """Children that are taken down together and, after a wait, started again in order.

    Several run side by side as long as they have no child in common: one child's backoff holds up
    nobody else. One that takes in a child of another preempts that one and finishes its work: what a
    strategy affects always includes what an earlier restart has still to start.

    Attributes:
        reason: for the events and the log.
        waiting: children still to be started, in start order.
        current: the one that is being started now.
        due: when the wait is over, in trio's time.
        outage: whether something outside is away, so that nobody should wait for the end of it.
        before: the restarts that this one preempts; it waits for their end.
        done: set at the end.
    """

    def __init__(
        self,
        children: Sequence[Supervised],
        reason: str,
        *,
        delay_s: float = 0.0,
        outage: bool = False,
        before: Sequence[Restarting] = (),
    ) -> None:
        self.reason = reason
        self.waiting = list(children)
        self.current: Supervised | None = None
        self.due = trio.current_time() + delay_s
        self.outage = outage
        self.before = tuple(before)
        self.preempted = False
        self.done = trio.Event()
        self._wait = trio.CancelScope()

    def overlaps(self, children: Sequence[Supervised]) -> bool:
        """Whether it has still to do with one of `children`."""
        return any(child in self.waiting or child is self.current for child in children)

    def preempt(self) -> None:
        """Start nothing more."""
        self.preempted = True
        self._wait.cancel()

    async def wait_until_due(self) -> None:
        """The backoff."""
        with self._wait:
            await trio.sleep_until(self.due)

    async def wait_until_ended(self) -> None:
        """After `preempt`: let a start that runs come to its end, or cut it off at the child's deadline."""
        if (child := self.current) is not None:
            with trio.move_on_after(child.stop_timeout_s):
                await self.done.wait()
            if not self.done.is_set():
                child.cell.cancel_turn()
        await self.done.wait()
