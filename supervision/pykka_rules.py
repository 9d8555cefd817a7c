"""Actors started with pykka's own `start()`: pykka's rules instead of ours.

They are in pykka's registry, their mailbox is unbounded, an error in a `tell` ends the actor, an
error in an `ask` only goes to the caller, and a `BaseException` stops every actor. Source: pykka 4.5,
`Actor._actor_loop`.
"""

from __future__ import annotations

import inspect
import logging
import math
import threading
from typing import TYPE_CHECKING

from pykka import ActorRegistry
from pykka.messages import _ActorStop as ActorStop  # pyright: ignore[reportPrivateUsage]

from understudy.protocols.errors import ActorStopped, UserCodeExit
from understudy.supervision.boundary import contained, contained_unless_cancelled
from understudy.supervision.cell import Cell
from understudy.supervision.living import call_hook
from understudy.supervision.scheduler import PAUSED, STOPPED

if TYPE_CHECKING:
    from understudy.supervision.actor import Actor
    from understudy.supervision.mailbox import Envelope
    from understudy.supervision.scheduled import Rest
    from understudy.supervision.system import ActorSystem

log = logging.getLogger("pykka")  # pykka's own logger: its messages are part of its contract

_systems = threading.local()

RUNNING: list[ActorSystem] = []
"""The systems of this process whose block is open."""


def enter(system: ActorSystem) -> None:
    """Make `system` the one in which this thread's `start()` puts its actors."""
    stack: list[ActorSystem] = getattr(_systems, "stack", [])
    _systems.stack = [*stack, system]


def leave(system: ActorSystem) -> None:
    """Undo `enter`."""
    _systems.stack = [entered for entered in getattr(_systems, "stack", []) if entered is not system]


def make_cell(actor: Actor) -> Cell:
    """The cell of an actor that is made by calling its class: by `start()`, or in a test."""
    return PykkaCell(_system_for(type(actor).__name__), actor)


def _system_for(name: str) -> ActorSystem:
    """The system that `start()` means: of this thread's block or loop, or the only one of the program.

    Raises:
        RuntimeError: none runs, or several do.
    """
    stack: list[ActorSystem] = getattr(_systems, "stack", [])
    if stack:
        return stack[-1]
    mine = [system for system in RUNNING if system.scheduler.ident == threading.get_ident()]
    found = mine or [*RUNNING]
    if len(found) == 1:
        return found[0]
    got = f"got one with {len(found)} systems" if found else "got a bare call"
    msg = (
        f"expected {name} to be made by `system.spawn(...)`, or with `.start()` in a program with one "
        f"running system or a thread that is inside `with ActorSystem.in_thread(...)`, {got}"
    )
    raise RuntimeError(msg)


def begin(cell: Cell) -> None:
    """Let a made actor run: `start()` has entered it into the registry already."""
    assert isinstance(cell, PykkaCell)
    scheduler = cell.scheduler
    scheduler.call_soon(cell.enter_loop)
    # Asked only now: a scheduler that closes before the call is in drops it without a word.
    if scheduler.closed:
        ActorRegistry.unregister(cell.ref)
        cell.state = STOPPED
        msg = f"{cell} can't start: the system has stopped"
        raise ActorStopped(msg)


class PykkaCell(Cell):
    """See the module."""

    __slots__ = ("_registered",)

    def __init__(self, system: ActorSystem, actor: Actor) -> None:
        super().__init__(system, type(actor), "", {}, None)
        self.actor = actor
        self.name = self.urn
        self.bound = math.inf
        self.incarnation = 1
        self.lives = True
        self._registered = True

    def __str__(self) -> str:
        return f"{self.actor_class.__name__} ({self.urn})"

    def enter_loop(self) -> None:
        """On the loop: call `on_start`, then take messages."""
        if self.scheduler.closed or self.system.stopping:  # nobody would stop it any more
            self.closed("the system stopped")
            return
        self.system.adopt_started(self)
        self.state = PAUSED
        self.signal(self._on_start)

    async def _on_start(self) -> None:
        try:
            await self.in_scope(call_hook(self.actor.on_start))
        except BaseException as raised:  # noqa: BLE001 - pykka: an error in on_start ends the actor, without on_failure
            self._handle_failure(contained_unless_cancelled(raised))
            self._gone("on_start failed")
        else:
            self.open, self.phase = True, "running"

    def take_other(self, envelope: Envelope) -> Rest | None:
        """pykka's messages and whatever `on_receive` takes."""
        if isinstance(envelope[0], ActorStop):
            return self.terminate("stop requested", envelope)
        value = self.actor._handle_receive(envelope[0])  # noqa: SLF001
        if inspect.iscoroutine(value):
            return self.finish_async(value, envelope)
        if (reply := envelope[1]) is not None:
            reply.resolve(value)
        return None

    def failed(self, envelope: Envelope, error: Exception) -> None:
        """An ask's error goes to the caller, a tell's ends the actor; no `Exception` ends all actors."""
        if isinstance(error, UserCodeExit):
            log.debug("%r in %s. Stopping all actors.", error.__cause__, self)
            if (reply := envelope[1]) is not None:
                reply.resolve(None, error)
            self.signal(self._stop_all)
            return
        if (reply := envelope[1]) is not None:
            log.info("Exception returned from %s to caller:", self, exc_info=error)
            reply.resolve(None, error)
            return
        self._handle_failure(error)
        try:
            self.actor.on_failure(type(error), error, error.__traceback__)
        except BaseException as second:  # noqa: BLE001 - logged as pykka does
            self._handle_failure(contained(second))
        self.end_incarnation()
        self._gone("failed")

    def _stop_all(self) -> Rest | None:
        rest = self.terminate("BaseException", None)
        ActorRegistry.stop_all(block=False)
        return rest

    def terminate(self, reason: str, envelope: Envelope | None) -> Rest | None:
        """pykka's `_stop`: out of the registry, marked as stopped, then `on_stop`."""
        self._unregister()
        log.debug("Stopped %s", self)
        return self._terminate(reason, envelope)

    async def run_on_stop(self, reason: str) -> None:
        """An error in `on_stop` is logged as pykka does."""
        del reason
        try:
            await self.in_scope(call_hook(self.actor.on_stop))
        except BaseException as error:  # noqa: BLE001 - logged as pykka does
            self._handle_failure(contained_unless_cancelled(error))

    def has_stopped(self) -> bool:
        """In pykka an actor is dead before its `on_stop` runs."""
        return not self._registered or super().has_stopped()

    def closed(self, reason: str) -> None:
        """Also out of the registry, however the end came."""
        self._unregister()
        super().closed(reason)

    def _unregister(self) -> None:
        # Once: it searches a list of all actors, and pykka's log tells of each time.
        if self._registered:
            self._registered = False
            ActorRegistry.unregister(self.ref)

    def _handle_failure(self, error: Exception) -> None:
        self._registered = False  # pykka's own `_handle_failure` takes it out
        self.actor._handle_failure(type(error), error, error.__traceback__)  # noqa: SLF001

    def _gone(self, reason: str) -> None:
        # `_handle_failure` has set pykka's flag, which is the state here: undo it for the clean-up.
        self.state = PAUSED
        self.closed(reason)
