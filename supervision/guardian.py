"""The guardian: parent of everything that `ActorSystem.spawn` starts.

Its children do not depend on each other, and their end does not end the system: a child that fails
too often is stopped and reported. Whoever wants more puts a `Supervisor` there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from understudy.protocols import lifecycle as events
from understudy.supervision.restart_window import RestartWindow

if TYPE_CHECKING:
    from understudy.supervision.cell import Cell
    from understudy.supervision.system import ActorSystem

INTENSITY = 10
PERIOD_S = 10.0


class Supervising(Protocol):
    """What a cell tells its parent; plain calls on the loop's thread that must not block."""

    def child_failed(self, cell: Cell, error: BaseException) -> None:
        """The child has failed and is suspended: restart it, or stop it."""
        ...

    def child_stops(self, cell: Cell) -> bool:
        """The child was asked to stop by a message. True: keep its cell, it will be started again."""
        ...

    def child_stopped(self, cell: Cell) -> None:
        """The child that `child_stops` said True to has stopped and is suspended."""
        ...

    def child_gone(self, cell: Cell) -> None:
        """The child's cell is gone for good."""
        ...


class Parent(Protocol):
    """The parent of a cell: its supervisor's cell, or the guardian."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def actor(self) -> Supervising | None:
        """Whom to tell."""
        ...


class Guardian:
    """See the module. A child is restarted at once, up to 10 times in 10 seconds."""

    name = "root"

    def __init__(self, system: ActorSystem) -> None:
        self._system = system
        self._windows: dict[Cell, RestartWindow] = {}

    @property
    def actor(self) -> Supervising:
        """The guardian decides by itself."""
        return self

    def child_failed(self, cell: Cell, error: BaseException) -> None:
        """Restart the child, unless that was too often."""
        now = self._system.clock.monotonic()
        window = self._windows.get(cell, RestartWindow(INTENSITY, PERIOD_S)).add(now)
        self._windows[cell] = window
        if window.exceeded:
            reason = f"restarted {INTENSITY} times within {PERIOD_S:g} s, the last failure was {error!r}"
            cell.publish(events.ActorEscalated, reason=reason)
            self._start_soon(self._give_up, cell, reason)
        else:
            cell.publish(events.ActorRestarting, reason=repr(error), restarts=cell.restarts + 1, delay_s=0.0)
            self._start_soon(self._restart, cell)

    def child_stops(self, cell: Cell) -> bool:
        """A stop is a stop here: the children are transient."""
        del cell
        return False

    def child_stopped(self, cell: Cell) -> None:
        """Never: `child_stops` says no."""

    def child_gone(self, cell: Cell) -> None:
        """Forget its restarts."""
        self._windows.pop(cell, None)

    def start_failed(self, cell: Cell, error: BaseException) -> None:
        """A spawn failed: the cell is gone, unless its journal has to be looked at first."""
        if cell.phase not in ("blocked", "halted"):
            cell.closed(f"the start failed: {error!r}")

    def _start_soon(self, function: object, *args: object) -> None:
        nursery = self._system.nursery
        self._system.scheduler.context.copy().run(nursery.start_soon, function, *args)  # pyright: ignore[reportArgumentType]

    async def _restart(self, cell: Cell) -> None:
        try:
            await cell.restart()
        except Exception as error:  # noqa: BLE001 - a failing start is a failure (RT-6)
            if cell.phase not in ("blocked", "halted"):
                self.child_failed(cell, error)

    async def _give_up(self, cell: Cell, reason: str) -> None:
        await cell.stop(reason, self._system.settings.stop_timeout_s)
