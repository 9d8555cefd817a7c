"""A cell as its supervisor sees it: incarnations that start, fail and stop under one name."""

from __future__ import annotations

import inspect
import logging
from threading import Event as ThreadEvent
from typing import TYPE_CHECKING, Any

import pykka
import trio

from understudy.protocols import lifecycle as events
from understudy.protocols.base import described
from understudy.protocols.errors import OutcomeUnknown, Refused
from understudy.supervision.boundary import contained_unless_cancelled
from understudy.supervision.futures import TaskReply
from understudy.supervision.scheduled import ScheduledCell
from understudy.supervision.scheduler import IDLE, PAUSED, STOPPED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from understudy.supervision.actor import Actor
    from understudy.supervision.guardian import Parent, Supervising
    from understudy.supervision.mailbox import Envelope
    from understudy.supervision.scheduled import Rest
    from understudy.supervision.system import ActorSystem
    from understudy.supervision.tasks import BackgroundTask
    from understudy.supervision.timers import ActorTimer

log = logging.getLogger("understudy.actor")

ABANDON_S = 1.0
"""Time that a cancelled turn has to end before its actor is stopped without it."""


class TurnCancelled(OutcomeUnknown):
    """`cancel_turn` ended this cell's own turn; who asked gets a plain `OutcomeUnknown`."""


class LivingCell(ScheduledCell):
    """See the module. References and mailbox survive a restart, since they belong to the cell."""

    __slots__ = (
        "_stop_waiters",
        "_turn_scope",
        "actor",
        "arguments",
        "incarnation",
        "last_failure",
        "lives",
        "next_restart",
        "parent",
        "restarts",
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
        super().__init__(system, actor_class, name)
        self.arguments = arguments
        self.parent = parent
        self.actor: Any = None
        self.lives = False
        self.incarnation: int = 0
        self.restarts = 0
        self.last_failure: str | None = None
        self.next_restart: float | None = None
        self.tasks: set[BackgroundTask] | None = None
        self.timers: dict[str, ActorTimer] | None = None
        self.watchers: dict[ScheduledCell, None] | None = None
        self._stop_waiters: list[TaskReply | ThreadEvent] | None = None
        self._turn_scope: trio.CancelScope | None = None

    def supervisor(self) -> Supervising | None:
        """Whom to tell about failures and ends."""
        return None if self.parent is None else self.parent.actor

    # -- failure

    def fail(self, error: BaseException, message: str) -> None:
        """The incarnation has failed: nothing more is taken until the supervisor has decided."""
        self.last_failure = described(error)
        log.error("%s failed on %s", self, message, exc_info=error, extra={"action": "actor_failed"})
        self.publish(events.ActorFailed, error=self.last_failure, message=message)
        self.suspend()
        self.run_on_failure(error)
        self.end_incarnation()
        # Nobody restarts what is about to stop: the signal to do so waits already.
        if self.stop_reason is None and (supervisor := self.supervisor()) is not None:
            supervisor.child_failed(self, error)

    def run_on_failure(self, error: BaseException) -> None:
        """Call the hook; its own failure is logged and changes nothing."""
        try:
            self.actor.on_failure(type(error), error, error.__traceback__)
        except BaseException:
            log.exception("on_failure of %s failed", self, extra={"action": "hook_failed"})

    def suspend(self) -> None:
        """Take no more messages until `start` or `restart`; the mailbox is kept."""
        self.open = False
        self.phase = "suspended"
        if self.state == IDLE:
            self.state = PAUSED

    # -- start

    async def start(self) -> None:
        """Make an instance, recover it, run `on_start`; then messages are taken.

        Raises:
            Exception: what made the start fail; the cell is suspended then, its mailbox kept.
        """
        self.phase = "starting"
        self.incarnation += 1
        try:
            self.actor = self.make_actor()
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

    def make_actor(self) -> Actor:
        """An instance for a new incarnation."""
        raise NotImplementedError

    def has_start(self) -> bool:
        """Whether starting is more than making the instance."""
        return self.actor_class.on_start is not pykka.Actor.on_start

    async def begin(self, reply: TaskReply) -> None:
        """What a start does between instance and first message; `reply` gets its outcome."""
        try:
            await self.in_scope(call_hook(self.actor.on_start))
        except BaseException as error:  # noqa: BLE001 - whoever starts the actor decides
            reply.resolve(None, self.start_failure(error, reply))
        else:
            self.opened()
            reply.resolve(None)

    def start_failure(self, error: BaseException, reply: TaskReply) -> Exception:
        """Why the start failed; when it is the system's end, `reply` is told, and the cancellation goes on.

        Raises:
            trio.Cancelled.
        """
        try:
            return contained_unless_cancelled(error)
        except BaseException:
            reply.resolve(None, OutcomeUnknown(f"{self}: the start was interrupted by {error!r}"))
            raise

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

    # -- what a start or a stop waits for

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

    # -- stop

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
        await self.called_on_stop(reason)

    async def called_on_stop(self, reason: str) -> bool:
        """Call the hook. Returns whether it was there to be called, and went well."""
        if not self.lives:  # failed, or ended before: it had its hook
            return False
        try:
            await self.in_scope(call_hook(self.actor.on_stop))
        except BaseException as error:
            contained_unless_cancelled(error)
            log.exception("on_stop of %s failed (%s)", self, reason, extra={"action": "hook_failed"})
            return False
        return True

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
        self.let_in()
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

    # -- for people

    @property
    def left_alone(self) -> bool:
        """Whether its journal needs a person: not failed, and not restarted (rules J4, J5)."""
        return self.phase in ("blocked", "halted")

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
