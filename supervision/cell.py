"""A cell as its actor sees it: turns, and the timers, tasks and watches of the actor.

References point to the cell and the cell to the actor instance.
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

import pykka
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr
from pykka.messages import _ActorStop as ActorStop  # pyright: ignore[reportPrivateUsage]
from trio.lowlevel import enable_ki_protection

from understudy.protocols import lifecycle as events
from understudy.protocols.base import text_of
from understudy.protocols.errors import InvalidMessage, OutcomeUnknown, Refused, UnknownMessage
from understudy.supervision.boundary import contained, contained_unless_cancelled
from understudy.supervision.handlers import flaw_of
from understudy.supervision.living import LivingCell, TurnCancelled
from understudy.supervision.reference import ActorRef, current_turn, turn_chain
from understudy.supervision.scheduler import BATCH, BUSY, SLICE, STOPPED
from understudy.supervision.tasks import BackgroundTask
from understudy.supervision.timers import ActorTimer, Tick

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from understudy.protocols import Message
    from understudy.supervision.actor import Actor
    from understudy.supervision.guardian import Parent
    from understudy.supervision.mailbox import Envelope
    from understudy.supervision.scheduled import Rest
    from understudy.supervision.system import ActorSystem


class Cell(LivingCell):
    """See the module."""

    persistent = False
    """Whether it has a journal."""

    __slots__ = ("handlers", "ref")

    def __init__(
        self,
        system: ActorSystem,
        actor_class: type[Actor],
        name: str,
        arguments: dict[str, Any],
        parent: Parent | None,
    ) -> None:
        super().__init__(system, actor_class, name, arguments, parent)
        self.handlers = actor_class._handlers  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        self.ref: ActorRef[Any] = ActorRef(self)

    @enable_ki_protection  # a restart or a spawn may run in a task of the program's own
    def make_actor(self) -> Actor:
        """An instance for a new incarnation."""
        try:
            return self.actor_class._make(self)  # pyright: ignore[reportPrivateUsage]
        except Exception:
            raise
        except BaseException as error:
            raise contained(error) from error

    # -- turns

    def step(self) -> Rest | None:  # noqa: C901, PLR0912 - the hot loop: a call per message costs a tenth
        """Handle up to a batch of messages. Returns the rest of a turn that is a coroutine."""
        self.state = BUSY
        inbox, handlers, actor, scheduler, left = self.inbox, self.handlers, self.actor, self.scheduler, BATCH
        while left:
            if self.signals:
                if (rest := self.signals.popleft()()) is not None:
                    return rest
                if self.state != BUSY:
                    break
                actor = self.actor
                continue
            if not inbox or not self.open:
                break
            left -= 1
            envelope = inbox.popleft()
            message = envelope[0]
            try:
                handler = handlers.get(type(message))
                if handler is None:
                    rest = self.take_other(envelope)
                    if rest is not None:
                        scheduler.spent += BATCH - left
                        return rest
                else:
                    value = handler[0](actor, message)
                    if handler[1]:
                        scheduler.spent += BATCH - left
                        return self.finish_async(value, envelope)
                    if (reply := envelope[1]) is not None:
                        reply.resolve(value)
            except BaseException as error:  # noqa: BLE001 - an actor's failure is its supervisor's matter
                self.failed(envelope, contained(error))
            if self.state != BUSY:
                break
            if not left & 7 and time.perf_counter() >= scheduler.slice_end:
                scheduler.spent = SLICE
                break
        scheduler.spent += BATCH - left
        return None

    async def finish_async(self, coroutine: Awaitable[Any], envelope: Envelope) -> None:
        """The rest of a turn whose handler is a coroutine, in a cancel scope of its own (rule T7)."""
        self.enter_turn(envelope)
        try:
            value = await self.in_scope(coroutine)
        except TurnCancelled as error:  # cut by a stop, which goes on: no failure of the actor
            if (reply := envelope[1]) is not None:
                reply.resolve(None, OutcomeUnknown(str(error)))
        except BaseException as error:  # noqa: BLE001 - see step
            self.cut_off(envelope, error)
        else:
            if (reply := envelope[1]) is not None:
                reply.resolve(value)

    def enter_turn(self, envelope: Envelope) -> None:
        """Mark the running context as this turn's: asks made in it carry who waits (rule T6)."""
        asked = envelope[5]
        current_turn.set(self)
        turn_chain.set((*(asked.chain if asked is not None else ()), self.name))

    async def before_ask(self, timeout_s: float | None) -> tuple[float | None, str | None]:
        """What an ask inside a turn of this actor waits for; its deadline and its key."""
        return timeout_s, None

    def take_other(self, envelope: Envelope) -> Rest | None:
        """A message that no handler is declared for: ticks, pykka's own messages, or a stranger."""
        message = envelope[0]
        kind = type(message)
        if isinstance(message, Tick):
            return self.take_tick(message)
        if kind is ActorStop:
            return self.terminate("stop requested", envelope)
        actor = self.actor
        if (
            kind in (ProxyCall, ProxyGetAttr, ProxySetAttr)
            or self.actor_class.on_receive is not pykka.Actor.on_receive
        ):
            value = actor._handle_receive(message)  # noqa: SLF001
        else:
            self.reject(envelope)
            return None
        if inspect.iscoroutine(value):
            return self.finish_async(value, envelope)
        if (reply := envelope[1]) is not None:
            reply.resolve(value)
        return None

    def takes(self, kind: type) -> bool:
        """Whether a message of this type has a handler, or an `on_receive` that takes all."""
        return kind in self.handlers or self.actor_class.on_receive is not pykka.Actor.on_receive

    def reject(self, envelope: Envelope) -> None:
        """Refuse a message that the actor does not know (RT-4): to the sender, and to dead letters."""
        error = self.unknown_message(envelope[0])
        self.dead_letter(envelope, str(error))
        if (reply := envelope[1]) is not None:
            reply.resolve(None, error)

    def unknown_message(self, message: object) -> Refused:
        """The error that names actor and message type, and what the actor does handle."""
        known = ", ".join(sorted(kind.__name__ for kind in self.handlers)) or (
            "nothing: a handler is a public method whose one parameter is annotated with a message class"
        )
        unresolved = self.actor_class._unresolved  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        more = f"; annotations that could not be resolved: {', '.join(unresolved)}" if unresolved else ""
        return UnknownMessage(f"{self} does not handle {type(message).__name__}; it handles {known}{more}")

    def take_tick(self, tick: Tick) -> Rest | None:
        """A timer's message, if the timer still counts (rule C1)."""
        timer = tick.timer
        timer.queued = False
        if timer.cancelled:
            return None
        if timer.period_s is None and self.timers is not None:
            self.timers.pop(timer.name, None)
        self.inbox.appendleft((timer.message, None, "", 0, b"timer/" + timer.name.encode(), None))
        return None

    def blame(self, envelope: Envelope, error: Exception) -> Exception:
        """`error`, or `InvalidMessage` when the handler failed on a message that never was valid (RT-4).

        Looked at only now: who makes a message is checked, and checking it again for each turn would
        cost more than the turn. What is left are `model_construct` and `model_copy(update=...)`.
        """
        if isinstance(error, Refused) or (flaw := flaw_of(envelope[0])) is None:
            return error
        invalid = InvalidMessage(f"{self}: {type(envelope[0]).__name__} is not valid: {flaw}")
        invalid.__cause__ = error
        if envelope[1] is not None:  # who only told has its dead letter from the refusal
            self.dead_letter(envelope, str(invalid))
        return invalid

    def failed(self, envelope: Envelope, error: Exception) -> None:
        """A turn failed. `Refused` is an answer; anything else is a failure for the supervisor."""
        error = self.blame(envelope, error)
        reply = envelope[1]
        if reply is not None:
            reply.resolve(None, error)
        if isinstance(error, Refused):
            if reply is None:
                self.dead_letter(envelope, text_of(error))
            return
        self.fail(error, type(envelope[0]).__name__)

    def cut_off(self, envelope: Envelope, error: BaseException) -> None:
        """An async turn raised: it failed, or the system's end has cancelled it, which goes on.

        Raises:
            trio.Cancelled.
        """
        try:
            failure = contained_unless_cancelled(error)
        except BaseException as cancelled:
            self.interrupted(envelope, cancelled)
            raise
        self.failed(envelope, failure)

    def interrupted(self, envelope: Envelope, error: BaseException) -> None:
        """The turn ends in trio's Cancelled, which goes on."""
        if (reply := envelope[1]) is not None:
            reply.resolve(None, OutcomeUnknown(f"{self}: the turn was interrupted by {error!r}"))

    # -- what an actor asks of its cell

    def effect(self, call: Callable[[], object], undo: Callable[[], object] | None = None) -> None:
        """Something that leaves the actor: at once here, at the watermark in a persistent turn (T4).

        `undo` is called instead of `call` when that turn is discarded.
        """
        del undo
        call()

    def start_timer(
        self, name: str, message: Message[Any], *, delay_s: float, period_s: float | None
    ) -> None:
        """See `Actor.start_timer`. The name is taken now and given back when the turn is discarded."""
        if type(message) not in self.handlers:
            raise self.unknown_message(message)
        self.cancel_timer(name)
        if self.timers is None:
            self.timers = {}
        timers, timer = self.timers, ActorTimer(name, message, period_s)
        timers[name] = timer
        due = self.system.clock.monotonic() + max(delay_s, 0.0)
        self.effect(lambda: self._arm(timer, due), undo=lambda: timers.pop(name, None))

    def cancel_timer(self, name: str) -> None:
        """See `Actor.cancel_timer`. It does not tick from now on, unless the turn is discarded."""
        timers = self.timers
        if timers is None or (timer := timers.pop(name, None)) is None:
            return
        timer.cancelled = True

        def undo() -> None:
            timer.cancelled = False
            timers[name] = timer

        self.effect(timer.cancel, undo=undo)

    def _arm(self, timer: ActorTimer, due: float) -> None:
        if timer.cancelled:
            return

        def ring() -> None:
            if timer.period_s is not None:
                now = self.system.clock.monotonic()
                self._arm(timer, max(due + timer.period_s, now))
            if not timer.queued:
                timer.queued = True
                self.deliver((Tick(timer), None, "", 0, b"", None))

        timer.alarm = self.system.timers.call_at(due, ring)

    def start_task(
        self, function: Callable[..., Awaitable[None]], arguments: tuple[Any, ...], name: str | None
    ) -> BackgroundTask:
        """See `Actor.start_task`."""
        task = BackgroundTask(self, name or getattr(function, "__name__", "task"))

        def start() -> None:
            if self.tasks is None:
                self.tasks = set()
            self.tasks.add(task)
            self.scheduler.start_soon(task.run, function, arguments)

        self.effect(start)
        return task

    def task_failed(self, task: BackgroundTask, error: Exception) -> None:
        """A background task of this incarnation failed: so has the actor."""

        def fail() -> None:
            if self.open and self.state != STOPPED:
                self.fail(error, f"task {task.name}")

        self.signal(fail)

    def watch(self, other: Cell) -> None:
        """Be told with `Terminated`, once, when `other` has stopped for good."""
        if other.state == STOPPED:
            reason = other.stop_reason or "stopped"
            self.deliver((events.Terminated(actor=other.name, reason=reason), None, "", 0, b"", None))
            return
        if other.watchers is None:
            other.watchers = {}
        other.watchers[self] = None
