"""`Actor`: a pykka actor that runs on trio."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import pykka

from understudy.protocols import Event, Message
from understudy.supervision import pykka_rules
from understudy.supervision.cell import Cell
from understudy.supervision.futures import Future
from understudy.supervision.handlers import Handler, find_handlers
from understudy.supervision.mailbox import Mailbox
from understudy.supervision.reference import ActorRef, StoppedFlag

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from understudy.supervision.clock import Clock
    from understudy.supervision.guardian import Parent
    from understudy.supervision.system import ActorSystem
    from understudy.supervision.tasks import BackgroundTask

R = TypeVar("R")


class Actor(pykka.Actor):
    """State in memory and handlers for messages; one message at a time.

    A handler is a public method with one parameter annotated with a `Message` class, plain or
    `async def`; what it returns is the reply. `raise Refused(...)` says no to the sender. Any other
    exception goes to the sender too and fails the actor: its supervisor starts a new instance under
    the same reference. `on_start`, `on_stop` and `on_failure` may be overridden (the first two may
    be async).

    Spawned by `ActorSystem.spawn` it follows these rules; started with pykka's `start()` it follows
    pykka's.
    """

    mailbox_bound: ClassVar[int] = 10_000
    """Messages that may wait; `tell` refuses and `tell_async` waits beyond."""

    name: str
    """The name in the system."""

    if TYPE_CHECKING:  # for overriders only: plain or async; the cell looks whether pykka's is overridden

        def on_start(self) -> Awaitable[None] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Called before the first message of each incarnation; a failure fails the start."""

        def on_stop(self) -> Awaitable[None] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Called at the end of an incarnation that has not failed; in a `PersistentActor` a turn.

            What it emits there is in the journal when the actor has stopped, so that the next start can
            tell a stop from a crash.
            """

    _cell: Cell
    _handlers: ClassVar[dict[type, Handler]] = {}
    _unresolved: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found = find_handlers(cls)
        cls._handlers, cls._unresolved = found.messages, found.unresolved
        cls._found_events(found.events)

    @classmethod
    def _found_events(cls, events: dict[type[Event], Callable[[Any, Any], None]]) -> None:
        if events:
            names = ", ".join(kind.__name__ for kind in events)
            msg = f"expected {cls.__name__} to be a PersistentActor, since it applies the events {names}"
            raise TypeError(msg)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # Not pykka's __init__: the cell holds what that makes. Without a cell yet, this is `start()`.
        if "_cell" not in self.__dict__:
            self._cell = pykka_rules.make_cell(self)
            self.name = self._cell.urn

    @classmethod
    def _make(cls, cell: Cell) -> Self:
        """An instance for `cell`; its name and its cell are there before `__init__` runs."""
        actor = cls.__new__(cls)
        actor._cell = cell  # noqa: SLF001 - our own
        actor.name = cell.name
        actor.__init__(**cell.arguments)
        return actor

    @classmethod
    def _make_cell(
        cls, system: ActorSystem, name: str, arguments: dict[str, Any], parent: Parent | None
    ) -> Cell:
        return Cell(system, cls, name, arguments, parent)

    # -- pykka's hooks for a runtime

    @staticmethod
    def _create_actor_inbox() -> Mailbox:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Mailbox()

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        pykka_rules.begin(self._cell)

    @property
    def _actor_ref(self) -> ActorRef[Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._cell.ref

    @property
    def actor_urn(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """pykka's unique name."""
        return self._cell.urn

    @property
    def actor_inbox(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The mailbox."""
        return self._cell.inbox

    @property
    def actor_stopped(self) -> threading.Event:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the actor has stopped."""
        return StoppedFlag(self._cell)  # pyright: ignore[reportReturnType]

    def __str__(self) -> str:
        return str(self._cell)

    # -- for handlers

    @property
    def ref(self) -> ActorRef[Self]:
        """The actor's own reference."""
        return self._cell.ref

    @property
    def system(self) -> ActorSystem:
        """The system that the actor lives in."""
        return self._cell.system

    @property
    def clock(self) -> Clock:
        """The system's clock; never use `time` in an actor."""
        return self._cell.system.clock

    @property
    def random(self) -> random.Random:
        """The system's random numbers."""
        return self._cell.system.random

    def send(self, to: ActorRef[Any] | str, message: Message[Any]) -> None:
        """Tell another actor something: here at most once; durable from a `PersistentActor`.

        Raises:
            UnknownActor: no actor of that name.
            MailboxFull, ActorStopped: as `tell`.
        """
        self._cell.system.reference(to).tell(message)

    async def ask(
        self,
        to: ActorRef[Any] | str,
        message: Message[R],
        *,
        timeout_s: float | None = None,
        key: str | None = None,
    ) -> R:
        """Await another actor's reply inside an async handler; see `ActorRef.ask_async`.

        Raises:
            AskCycle: the other one waits for this one.
        """
        return await self._cell.system.reference(to).ask_async(message, timeout_s=timeout_s, key=key)

    def start_timer(
        self,
        name: str,
        message: Message[Any],
        *,
        delay_s: float | None = None,
        at_s: float | None = None,
        period_s: float | None = None,
    ) -> None:
        """Tell this actor `message` later (RT-7).

        After `delay_s`, or at `at_s` (seconds since the epoch), and then every `period_s` if given. A
        timer of the same name is replaced; all end with the incarnation.

        Raises:
            UnknownMessage: the actor does not handle `message`.
            ValueError: a time that is no number, or a period that is not positive.
        """
        if delay_s is None:
            delay_s = at_s - self.clock.time() if at_s is not None else (period_s or 0.0)
        if math.isnan(delay_s) or not (period_s is None or period_s > 0):
            msg = (
                f"expected a timer {name!r} with a delay and a positive period, got {delay_s} and {period_s}"
            )
            raise ValueError(msg)
        self._cell.start_timer(name, message, delay_s=delay_s, period_s=period_s)

    def cancel_timer(self, name: str) -> None:
        """Void the timer of that name, and its tick if one is queued."""
        self._cell.cancel_timer(name)

    def start_task(
        self, function: Callable[..., Awaitable[None]], *args: Any, name: str | None = None
    ) -> BackgroundTask:
        """Run `function(*args)` in a task of its own beside the mailbox, until this incarnation ends.

        It must not touch the actor's state; it reports with `self.ref.tell(...)`. An error in it
        fails the actor.
        """
        return self._cell.start_task(function, args, name)

    def watch(self, other: ActorRef[Any] | str) -> None:
        """Have a `Terminated` message come when `other` has stopped for good (death watch)."""
        self._cell.watch(self._cell.system.reference(other)._cell)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
