"""Background tasks of an actor: owned by one incarnation and cancelled with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from understudy.supervision.boundary import contained_unless_cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from understudy.supervision.cell import Cell


class BackgroundTask:
    """A trio task that an incarnation started. It reports by telling its actor, not by emitting.

    Attributes:
        name: for people.
        done: set when it has ended, however.
    """

    def __init__(self, cell: Cell, name: str) -> None:
        self._cell = cell
        self._scope = trio.CancelScope()
        self.name = name
        self.done = trio.Event()

    def cancel(self) -> None:
        """End it at its next checkpoint; also one that has not begun."""
        self._scope.cancel()

    @trio.lowlevel.enable_ki_protection  # Ctrl-C is for the program's own task
    async def run(self, function: Callable[..., Awaitable[None]], arguments: tuple[Any, ...]) -> None:
        """The task's body; an error fails the actor if this incarnation still lives."""
        try:
            with self._scope:
                await function(*arguments)
        except BaseException as error:  # noqa: BLE001 - the actor's supervisor decides
            failure = contained_unless_cancelled(error)
            if self._cell.tasks is not None and self in self._cell.tasks:
                self._cell.task_failed(self, failure)
        finally:
            self.done.set()
            if self._cell.tasks is not None:
                self._cell.tasks.discard(self)
