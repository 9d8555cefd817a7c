"""The guardian: parent of everything that `ActorSystem.spawn` starts.

Its children do not depend on each other, and their end does not end the system: each has a restart
window of its own, and one that fails too often is stopped and reported as given up. Whoever wants more
puts a `Supervisor` there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import trio

from understudy.protocols import lifecycle as events
from understudy.protocols.base import described
from understudy.supervision.backoff import Backoff
from understudy.supervision.restart_window import RestartWindow

if TYPE_CHECKING:
    from understudy.supervision.living import LivingCell
    from understudy.supervision.system import ActorSystem

INTENSITY = 10
PERIOD_S = 10.0
BACKOFF = Backoff(initial_s=0.005, cap_s=1.0)
"""Short enough that a child that fails at each start has used up its restarts within the period."""


class Supervising(Protocol):
    """What a cell tells its parent; plain calls on the loop's thread that must not block."""

    def child_failed(self, cell: LivingCell, error: BaseException) -> None:
        """The child has failed and is suspended: restart it, or stop it."""
        ...

    def child_stops(self, cell: LivingCell) -> bool:
        """The child was asked to stop by a message. True: keep its cell, it will be started again."""
        ...

    def child_stopped(self, cell: LivingCell) -> None:
        """The child that `child_stops` said True to has stopped and is suspended."""
        ...

    def child_gone(self, cell: LivingCell) -> None:
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


@dataclass(slots=True)
class Fallen:
    """What the guardian remembers of a child that has failed.

    Attributes:
        window: its restarts.
        failures: failures in a row, for the backoff.
        started_at: when it was last started, on the clock's `monotonic()`.
    """

    window: RestartWindow
    failures: int = 0
    started_at: float = 0.0


class Guardian:
    """See the module. A child is restarted with a short backoff, up to 10 times in 10 seconds."""

    name = "root"

    def __init__(self, system: ActorSystem) -> None:
        self._system = system
        self._fallen: dict[LivingCell, Fallen] = {}
        self._given_up: dict[str, events.Halt] = {}

    @property
    def actor(self) -> Supervising:
        """The guardian decides by itself."""
        return self

    def given_up(self) -> tuple[events.Halt, ...]:
        """Children that failed too often and are gone, until somebody spawns one of that name."""
        return tuple(halt for name, halt in self._given_up.items() if self._system.find(name) is None)

    def child_failed(self, cell: LivingCell, error: BaseException) -> None:
        """Restart the child after a wait, unless that was too often."""
        self._failed(cell, error, ran=True)

    def child_stops(self, cell: LivingCell) -> bool:
        """A stop is a stop here: the children are transient."""
        del cell
        return False

    def child_stopped(self, cell: LivingCell) -> None:
        """Never: `child_stops` says no."""

    def child_gone(self, cell: LivingCell) -> None:
        """Forget its restarts."""
        self._fallen.pop(cell, None)

    def start_failed(self, cell: LivingCell, error: BaseException) -> None:
        """A spawn failed: the cell is gone, unless its journal has to be looked at first."""
        if not cell.left_alone:
            cell.closed(f"the start failed: {error!r}")

    def _failed(self, cell: LivingCell, error: BaseException, *, ran: bool) -> None:
        now = self._system.clock.monotonic()
        fallen = self._fallen.setdefault(cell, Fallen(RestartWindow(INTENSITY, PERIOD_S)))
        fallen.window = fallen.window.add(now)
        if fallen.window.exceeded:
            reason = f"more than {INTENSITY} restarts within {PERIOD_S:g} s, the last failure was {error!r}"
            self._given_up[cell.name] = events.Halt(
                actor=cell.name,
                error=reason,
                advice="find the cause, then spawn it again or restart the program",
            )
            cell.publish(events.ActorEscalated, reason=reason)
            self._system.scheduler.start_soon(self._give_up, cell, reason)
            return
        fallen.failures = BACKOFF.failures_in_a_row(fallen.failures, now - fallen.started_at if ran else 0.0)
        delay_s = BACKOFF.delay_s(fallen.failures, self._system.random)
        cell.next_restart = self._system.clock.time() + delay_s
        cell.publish(events.ActorRestarting, reason=repr(error), restarts=cell.restarts + 1, delay_s=delay_s)
        self._system.scheduler.start_soon(self._restart, cell, fallen, delay_s)

    async def _restart(self, cell: LivingCell, fallen: Fallen, delay_s: float) -> None:
        await trio.sleep(delay_s)
        if cell.stop_reason is not None:  # stopped while it waited
            return
        fallen.started_at = self._system.clock.monotonic()
        try:
            await cell.restart()
        except Exception as error:  # noqa: BLE001 - a failing start is a failure (RT-6)
            if cell.stop_reason is None and not cell.left_alone:
                cell.publish(events.ActorFailed, error=described(error), message="on_start")
                self._failed(cell, error, ran=False)

    async def _give_up(self, cell: LivingCell, reason: str) -> None:
        await cell.stop(reason, self._system.settings.stop_timeout_s)
