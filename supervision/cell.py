"""A cell: one actor's mailbox, lifecycle and current incarnation, as the scheduler sees it.

References point to the cell and the cell to the actor instance, so references and mailboxes survive
a restart. Everything here runs on the loop's thread.
"""

from __future__ import annotations

import inspect
import logging
import time
import uuid
from collections import deque
from threading import Event as ThreadEvent
from typing import TYPE_CHECKING, Any

import pykka
import trio
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr
from pykka.messages import _ActorStop as ActorStop  # pyright: ignore[reportPrivateUsage]

from understudy.protocols import lifecycle as events
from understudy.protocols.base import described, encodable, text_of
from understudy.protocols.errors import (
    ActorStopped,
    MailboxFull,
    OutcomeUnknown,
    Refused,
    UnderstudyError,
    UnknownMessage,
)
from understudy.supervision.futures import TaskReply
from understudy.supervision.mailbox import Envelope, Mailbox
from understudy.supervision.reference import ActorRef, current_turn, turn_chain
from understudy.supervision.scheduler import BATCH, BUSY, IDLE, PAUSED, QUEUED, SLICE, STOPPED
from understudy.supervision.tasks import BackgroundTask
from understudy.supervision.timers import ActorTimer, Tick

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from understudy.protocols import Message
    from understudy.supervision.actor import Actor
    from understudy.supervision.guardian import Parent, Supervising
    from understudy.supervision.system import ActorSystem

    Rest = Coroutine[Any, Any, None]

log = logging.getLogger("understudy.actor")

ABANDON_S = 1.0
"""Time that a cancelled turn has to end before its actor is stopped without it."""


class TurnCancelled(OutcomeUnknown):
    """`cancel_turn` ended this cell's own turn; who asked gets a plain `OutcomeUnknown`."""


class Cell:
    """See the module. `phase` is the life as people see it, `state` the place in the scheduler."""

    persistent = False
    """Whether it has a journal."""

    __slots__ = (
        "__weakref__",
        "_stop_waiters",
        "_turn_scope",
        "_urn",
        "actor",
        "actor_class",
        "arguments",
        "bound",
        "handlers",
        "in_turn",
        "inbox",
        "incarnation",
        "last_failure",
        "live",
        "lives",
        "name",
        "next_restart",
        "open",
        "parent",
        "phase",
        "problem",
        "ref",
        "restarts",
        "room",
        "scheduler",
        "signals",
        "state",
        "stop_reason",
        "system",
        "tasks",
        "timers",
        "watchers",
    )

    def __init__(
        self,
        system: ActorSystem,
        actor_class: type[Actor],
        name: str,
        arguments: dict[str, Any],
        parent: Parent | None,
    ) -> None:
        self.system = system
        self.scheduler = system.scheduler
        self.actor_class = actor_class
        self.name = name
        self.arguments = arguments
        self.parent = parent
        self.handlers = actor_class._handlers  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        self.bound: float = actor_class.mailbox_bound
        self.inbox = Mailbox()
        self.ref: ActorRef[Any] = ActorRef(self)
        self.state = PAUSED
        self.open = False
        self.phase = "starting"
        self.live = False  # the live turn is stepping right now
        self.in_turn = False  # a turn is live, maybe waiting
        self.problem: UnderstudyError | None = None
        self.lives = False
        self.incarnation: int = 0
        self.restarts = 0
        self.actor: Any = None
        self.last_failure: str | None = None
        self.next_restart: float | None = None
        self.signals: deque[Callable[[], Rest | None]] | None = None
        self.room: list[TaskReply] | None = None
        self.tasks: set[BackgroundTask] | None = None
        self.timers: dict[str, ActorTimer] | None = None
        self.watchers: dict[Cell, None] | None = None
        self.stop_reason: str | None = None
        self._stop_waiters: list[TaskReply | ThreadEvent] | None = None
        self._turn_scope: trio.CancelScope | None = None
        self._urn: str | None = None

    def __str__(self) -> str:
        return f"{self.actor_class.__name__} ({self.name})"

    @property
    def urn(self) -> str:
        """pykka's universally unique name, made when somebody asks for it."""
        if self._urn is None:
            self._urn = uuid.uuid4().urn
        return self._urn

    def supervisor(self) -> Supervising | None:
        """Whom to tell about failures and ends."""
        return None if self.parent is None else self.parent.actor

    # -- messages in

    def put(self, envelope: Envelope) -> None:
        """Into the mailbox, on the loop's thread.

        Raises:
            ActorStopped, MailboxFull, or what `check_takes` says.
        """
        if self.state == STOPPED:
            raise self.stopped_error()
        inbox = self.inbox
        if len(inbox) + inbox.foreign >= self.bound:
            raise MailboxFull(self.full_text())
        inbox.append(envelope)
        if self.state == IDLE:
            self.scheduler.ready(self)

    def deliver(self, envelope: Envelope) -> None:
        """A durable send arrives: bounded by its sender's window, not by the mailbox (rule D2)."""
        if self.state == STOPPED:
            return
        self.inbox.append(envelope)
        if self.state == IDLE:
            self.scheduler.ready(self)

    def refuse(self, envelope: Envelope) -> None:
        """Answer an envelope that will not be handled, since the actor has stopped."""
        message, reply = envelope[0], envelope[1]
        if reply is None:
            self.dead_letter(envelope, str(self.stopped_error()))
        elif isinstance(message, ActorStop):
            reply.resolve(False)  # noqa: FBT003 - pykka's answer: it was dead already
        else:
            reply.resolve(None, self.stopped_error())

    def stopped_error(self) -> UnderstudyError:
        """Why nothing is taken any more."""
        return ActorStopped(f"{self} not found: it has stopped ({self.stop_reason or 'stopped'})")

    def full_text(self) -> str:
        """What a full mailbox says."""
        waiting = len(self.inbox) + self.inbox.foreign
        return f"{self}: {waiting} messages wait, the bound is {self.bound}; use tell_async, or tell later"

    async def wait_for_room(self) -> None:
        """Until the mailbox is below half of its bound, or the actor has stopped."""
        inbox = self.inbox
        while len(inbox) + inbox.foreign >= self.bound and self.state != STOPPED and self.problem is None:
            waiter = TaskReply()
            if self.room is None:
                self.room = []
            self.room.append(waiter)
            await waiter.wait()

    def signal(self, call: Callable[[], Rest | None]) -> None:
        """Have `call` run between two messages, before all that wait (rule S5)."""
        if self.signals is None:
            self.signals = deque()
        self.signals.append(call)
        if self.state in (IDLE, PAUSED):
            self.scheduler.ready(self)

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
            except Exception as error:  # noqa: BLE001 - an actor's failure is its supervisor's matter
                self.failed(envelope, error)
            except BaseException as error:
                self.interrupted(envelope, error)
                raise
            if self.state != BUSY:
                break
            if not left & 7 and time.perf_counter() >= scheduler.slice_end:
                scheduler.spent = SLICE
                break
        scheduler.spent += BATCH - left
        return None

    def after(self) -> None:
        """A step has ended: stand in the queue again, or rest; let senders in that waited for room."""
        if self.state == BUSY:
            if self.signals or (self.open and self.inbox):
                self.state = QUEUED
                self.scheduler.queue.append(self)
            else:
                self.state = IDLE if self.open else PAUSED
        if self.room and len(self.inbox) <= self.bound / 2:
            room, self.room = self.room, None
            for waiter in room:
                waiter.resolve(None)

    async def finish_async(self, coroutine: Awaitable[Any], envelope: Envelope) -> None:
        """The rest of a turn whose handler is a coroutine, in a cancel scope of its own (rule T7)."""
        self.enter_turn(envelope)
        try:
            value = await self.in_scope(coroutine)
        except TurnCancelled as error:  # cut by a stop, which goes on: no failure of the actor
            if (reply := envelope[1]) is not None:
                reply.resolve(None, OutcomeUnknown(str(error)))
        except Exception as error:  # noqa: BLE001 - see step
            self.failed(envelope, error)
        except BaseException as error:
            self.interrupted(envelope, error)
            raise
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

    async def in_scope(self, coroutine: Awaitable[Any]) -> Any:
        """Await `coroutine` so that `cancel_turn` ends it.

        Raises:
            TurnCancelled: the turn was cancelled.
        """
        with trio.CancelScope() as scope:
            self._turn_scope = scope
            try:
                return await coroutine
            finally:
                self._turn_scope = None
        msg = f"{self}: the turn was cancelled ({self.stop_reason or 'deadline'})"
        raise TurnCancelled(msg)

    def cancel_turn(self) -> None:
        """Cancel the async turn that runs, if any."""
        if self._turn_scope is not None:
            self._turn_scope.cancel()

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

    def reject(self, envelope: Envelope) -> None:
        """Refuse a message that the actor does not know (RT-4): to the sender, and to dead letters."""
        error = self.unknown_message(envelope[0])
        self.dead_letter(envelope, str(error))
        if (reply := envelope[1]) is not None:
            reply.resolve(None, error)

    def unknown_message(self, message: object) -> Refused:
        """The error that names actor and message type, and what the actor does handle."""
        known = ", ".join(sorted(kind.__name__ for kind in self.handlers)) or "nothing"
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

    # -- failure

    def failed(self, envelope: Envelope, error: Exception) -> None:
        """A turn failed. `Refused` is an answer; anything else is a failure for the supervisor."""
        reply = envelope[1]
        if reply is not None:
            reply.resolve(None, error)
        if isinstance(error, Refused):
            if reply is None:
                self.dead_letter(envelope, text_of(error))
            return
        self.fail(error, type(envelope[0]).__name__)

    def interrupted(self, envelope: Envelope, error: BaseException) -> None:
        """The turn ends in something like KeyboardInterrupt or trio's Cancelled, which goes on."""
        if (reply := envelope[1]) is not None:
            reply.resolve(None, OutcomeUnknown(f"{self}: the turn was interrupted by {error!r}"))

    def fail(self, error: BaseException, message: str) -> None:
        """The incarnation has failed: nothing more is taken until the supervisor has decided."""
        self.last_failure = described(error)
        log.error("%s failed on %s", self, message, exc_info=error, extra={"action": "actor_failed"})
        self.publish(events.ActorFailed, error=self.last_failure, message=message)
        self.suspend()
        try:
            self.actor.on_failure(type(error), error, error.__traceback__)
        except Exception:
            log.exception("on_failure of %s failed", self, extra={"action": "hook_failed"})
        self.end_incarnation()
        # Nobody restarts what is about to stop: the signal to do so waits already.
        if self.stop_reason is None and (supervisor := self.supervisor()) is not None:
            supervisor.child_failed(self, error)

    def suspend(self) -> None:
        """Take no more messages until `start` or `restart`; the mailbox is kept."""
        self.open = False
        self.phase = "suspended"
        if self.state == IDLE:
            self.state = PAUSED

    # -- life

    async def start(self) -> None:
        """Make an instance, recover it, run `on_start`; then messages are taken.

        Raises:
            Exception: what made the start fail; the cell is suspended then, its mailbox kept.
        """
        self.phase = "starting"
        self.incarnation += 1
        try:
            self.actor = self.actor_class._make(self)  # pyright: ignore[reportPrivateUsage]
            self.lives = True
            if self.has_start():
                reply = TaskReply()
                self.signal(lambda: self.begin(reply))
                await reply.wait()
            else:
                self.opened()
        except Exception as error:
            self.last_failure = described(error)
            self.suspend()
            self.end_incarnation()
            raise

    def has_start(self) -> bool:
        """Whether starting is more than making the instance."""
        return self.actor_class.on_start is not pykka.Actor.on_start

    async def begin(self, reply: TaskReply) -> None:
        """What a start does between instance and first message; `reply` gets its outcome."""
        try:
            await self.in_scope(call_hook(self.actor.on_start))
        except Exception as error:  # noqa: BLE001 - whoever starts the actor decides
            reply.resolve(None, error)
        except BaseException as error:
            reply.resolve(None, OutcomeUnknown(f"{self}: the start was interrupted by {error!r}"))
            raise
        else:
            self.opened()
            reply.resolve(None)

    def opened(self) -> None:
        """The actor takes messages from now on."""
        if self.stop_reason is not None or self.state == STOPPED:
            return
        self.open = True
        self.phase = "running"
        self.next_restart = None
        if self.state == PAUSED:
            self.state = IDLE
            if self.inbox:
                self.scheduler.ready(self)
        if self.system.observed:
            self.publish(
                events.ActorStarted, actor_class=self.actor_class.__name__, incarnation=self.incarnation
            )

    async def restart(self) -> None:
        """A new incarnation in the place of the one that failed, or that is discarded now."""
        if self.phase == "running":
            await self.stop_incarnation("restarting")
        self.restarts += 1
        await self.start()

    async def stop_incarnation(self, reason: str, deadline_s: float | None = None) -> None:
        """End the running incarnation in order (its turn, `on_stop`), keeping cell and mailbox.

        After `deadline_s` (the system's time to stop, if None) what still runs of it is cancelled.
        """
        if not self.lives:
            return
        reply = TaskReply()

        def end() -> Rest:
            return self._end_in_order(reason, reply)

        self.signal(end)
        with trio.move_on_after(
            self.system.settings.stop_timeout_s if deadline_s is None else deadline_s
        ) as scope:
            await reply.wait()
        if scope.cancelled_caught:
            self.cancel_turn()
            with trio.move_on_after(ABANDON_S):
                await reply.wait()

    async def _end_in_order(self, reason: str, reply: TaskReply) -> None:
        self.suspend()
        await self.run_on_stop(reason)
        self.end_incarnation()
        reply.resolve(None)

    async def stop(self, reason: str, deadline_s: float) -> None:
        """Stop for good: overtakes the mailbox, lets the current turn end, runs `on_stop`.

        After `deadline_s` the turn is cancelled, a second later it is abandoned. What still waits is
        answered with `ActorStopped` (rule H3).
        """
        if self.state == STOPPED:
            return
        if self.state == IDLE and not self.signals and self.stop_reason is None and self.ends_at_once():
            # An idle cell has an empty mailbox and nobody steps it: without the scheduler this is
            # twice as fast.
            self.closed(reason)
            await self.scheduler.breathe()
            return
        waiter = TaskReply()
        if self._stop_waiters is None:
            self._stop_waiters = []
        self._stop_waiters.append(waiter)
        if self.stop_reason is None:
            self.stop_reason = reason
            self.phase = "stopping"
            self.open = False
            self.signal(lambda: self.terminate(reason, None))
        with trio.move_on_after(deadline_s) as scope:
            await waiter.wait()
        if scope.cancelled_caught:
            self.cancel_turn()
            with trio.move_on_after(ABANDON_S) as abandoned:
                await waiter.wait()
            if abandoned.cancelled_caught:
                log.error("%s did not stop in time", self, extra={"action": "stop_abandoned"})
                self.closed(reason)

    def terminate(self, reason: str, envelope: Envelope | None) -> Rest | None:
        """The end: by a supervisor's signal (`envelope` None) or by pykka's stop message."""
        supervisor = self.supervisor()
        if envelope is not None and supervisor is not None and supervisor.child_stops(self):
            return self._stop_to_restart(reason, envelope)
        self.stop_reason = reason
        if self.ends_at_once():
            self.closed(reason)
            if envelope is not None and (reply := envelope[1]) is not None:
                reply.resolve(True)  # noqa: FBT003 - pykka's answer to stop
            return None
        return self._terminate(reason, envelope)

    def ends_at_once(self) -> bool:
        """Whether there is nothing to wait for between the last message and the end."""
        return (
            self.actor_class.on_stop is pykka.Actor.on_stop
            and self.tasks is None
            and self.timers is None
            and not self.must_flush()
        )

    async def _stop_to_restart(self, reason: str, envelope: Envelope) -> None:
        self.suspend()
        await self.run_on_stop(reason)
        self.end_incarnation()
        if (reply := envelope[1]) is not None:
            reply.resolve(True)  # noqa: FBT003
        if (supervisor := self.supervisor()) is not None:
            supervisor.child_stopped(self)

    async def _terminate(self, reason: str, envelope: Envelope | None) -> None:
        self.open = False
        self.phase = "stopping"
        await self.run_on_stop(reason)
        self.end_incarnation()
        await self.flush()
        self.closed(reason)
        if envelope is not None and (reply := envelope[1]) is not None:
            reply.resolve(True)  # noqa: FBT003

    def is_ahead(self) -> bool:
        """Whether its state in memory is ahead of the disk."""
        return False

    def must_flush(self) -> bool:
        """Whether something has to become durable before the end."""
        return False

    async def flush(self) -> None:
        """Wait until what was said is durable, or can't be."""

    async def run_on_stop(self, reason: str) -> None:
        """Call the hook; its failure is logged and ends nothing."""
        if not self.lives:  # failed, or ended before: it had its hook
            return
        try:
            await self.in_scope(call_hook(self.actor.on_stop))
        except Exception:
            log.exception("on_stop of %s failed (%s)", self, reason, extra={"action": "hook_failed"})

    def end_incarnation(self) -> None:
        """Timers and background tasks end with the incarnation."""
        self.lives = False
        if self.timers is not None:
            for timer in self.timers.values():
                timer.cancel()
            self.timers = None
        if self.tasks is not None:
            for task in tuple(self.tasks):
                task.cancel()
            self.tasks = None

    def has_stopped(self) -> bool:
        """What references say; from any thread."""
        return self.state == STOPPED

    def closed(self, reason: str) -> None:
        """The cell is gone: everybody who waits for it is told."""
        if self.state == STOPPED:
            return
        self.state = STOPPED
        self.open = False
        self.phase = "stopped"
        self.stop_reason = reason
        self.system.forget(self)
        inbox = self.inbox
        while inbox:
            self.refuse(inbox.popleft())
        room, self.room = self.room, None
        for waiter in room or ():
            waiter.resolve(None)
        waiters, self._stop_waiters = self._stop_waiters, None
        for waiter in waiters or ():
            if isinstance(waiter, ThreadEvent):
                waiter.set()
            else:
                waiter.resolve(None)
        if self.watchers is not None:
            for watcher in self.watchers:
                watcher.deliver((events.Terminated(actor=self.name, reason=reason), None, "", 0, b"", None))
            self.watchers = None
        if self.system.observed:
            self.publish(events.ActorStopped, reason=reason)
        if (supervisor := self.supervisor()) is not None:
            supervisor.child_gone(self)

    def when_stopped(self, waiter: ThreadEvent) -> None:
        """Have `waiter` set when the cell has stopped (pykka's `actor_stopped.wait`)."""
        if self.state == STOPPED:
            waiter.set()
            return
        if self._stop_waiters is None:
            self._stop_waiters = []
        self._stop_waiters.append(waiter)

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
            nursery = self.system.nursery
            self.scheduler.context.copy().run(nursery.start_soon, task.run, function, arguments)

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

    # -- reports

    def dead_letter(self, envelope: Envelope, reason: str) -> None:
        """Report a message that nobody handled."""
        self.publish(events.DeadLetter, message=type(envelope[0]).__name__, reason=reason, sender=envelope[2])

    def publish(self, kind: type[events.LifecycleEvent], **fields: Any) -> None:
        """Tell the system's event stream."""
        said = {name: encodable(value) if isinstance(value, str) else value for name, value in fields.items()}
        self.system.lifecycle.publish(kind(actor=self.name, time=self.system.clock.time(), **said))

    async def resume(self) -> None:
        """Go on after a halt; only what has a journal can be halted.

        Raises:
            Refused.
        """
        msg = f"expected a halted actor to resume, got {self}, which is {self.phase}"
        raise Refused(msg)

    def halt_report(self) -> events.Halt:
        """Why nothing is taken, and what to do."""
        return events.Halt(actor=self.name, error="", advice="")

    def status(self) -> events.ActorStatus:
        """The actor as it stands."""
        return events.ActorStatus(
            name=self.name,
            actor_class=self.actor_class.__name__,
            parent=self.parent.name if self.parent is not None else None,
            phase=self.phase,
            mailbox=len(self.inbox) + self.inbox.foreign,
            incarnation=self.incarnation,
            restarts=self.restarts,
            last_failure=self.last_failure,
            next_restart=self.next_restart,
        )


async def call_hook(hook: Callable[[], Any]) -> None:
    """Call a hook that may be plain or `async def`."""
    value = hook()
    if inspect.iscoroutine(value):
        await value
