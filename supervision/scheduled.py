"""A cell as the scheduler sees it: a name, a mailbox, and a place in the run queue."""

from __future__ import annotations

import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

from pykka.messages import _ActorStop as ActorStop  # pyright: ignore[reportPrivateUsage]

from understudy.protocols import lifecycle as events
from understudy.protocols.base import encodable
from understudy.protocols.errors import ActorStopped, MailboxFull, UnderstudyError
from understudy.supervision.futures import TaskReply
from understudy.supervision.mailbox import Envelope, Mailbox
from understudy.supervision.scheduler import BUSY, IDLE, PAUSED, QUEUED, STOPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from understudy.supervision.actor import Actor
    from understudy.supervision.system import ActorSystem

    Rest = Coroutine[Any, Any, None]
    """What is still to be done of a turn, or of anything else between two messages, that is a coroutine."""


class ScheduledCell:
    """See the module. `phase` is the life as people see it, `state` the place in the scheduler.

    Everything here and in the classes above it runs on the loop's thread.
    """

    __slots__ = (
        "__weakref__",
        "_urn",
        "actor_class",
        "bound",
        "in_turn",
        "inbox",
        "live",
        "name",
        "open",
        "phase",
        "problem",
        "room",
        "scheduler",
        "signals",
        "state",
        "stop_reason",
        "system",
    )

    def __init__(self, system: ActorSystem, actor_class: type[Actor], name: str) -> None:
        self.system = system
        self.scheduler = system.scheduler
        self.actor_class = actor_class
        self.name = name
        self.bound: float = actor_class.mailbox_bound
        self.inbox = Mailbox()
        self.state = PAUSED
        self.open = False
        self.phase = "starting"
        self.live = False  # the live turn is stepping right now
        self.in_turn = False  # a turn is live, maybe waiting
        self.problem: UnderstudyError | None = None
        self.stop_reason: str | None = None
        self.signals: deque[Callable[[], Rest | None]] | None = None
        self.room: list[TaskReply] | None = None
        self._urn: str | None = None

    def __str__(self) -> str:
        return f"{self.actor_class.__name__} ({self.name})"

    @property
    def urn(self) -> str:
        """pykka's universally unique name, made when somebody asks for it."""
        if self._urn is None:
            self._urn = uuid.uuid4().urn
        return self._urn

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

    def let_in(self) -> None:
        """Have who waits for room look again."""
        room, self.room = self.room, None
        for waiter in room or ():
            waiter.resolve(None)

    # -- steps

    def step(self) -> Rest | None:
        """Handle up to a batch of messages. Returns the rest of a turn that is a coroutine."""
        raise NotImplementedError

    def after(self) -> None:
        """A step has ended: stand in the queue again, or rest; let senders in that waited for room."""
        if self.state == BUSY:
            if self.signals or (self.open and self.inbox):
                self.state = QUEUED
                self.scheduler.queue.append(self)
            else:
                self.state = IDLE if self.open else PAUSED
        if self.room and len(self.inbox) <= self.bound / 2:
            self.let_in()

    def signal(self, call: Callable[[], Rest | None]) -> None:
        """Have `call` run between two messages, before all that wait (rule S5)."""
        if self.signals is None:
            self.signals = deque()
        self.signals.append(call)
        if self.state in (IDLE, PAUSED):
            self.scheduler.ready(self)

    # -- reports

    def dead_letter(self, envelope: Envelope, reason: str) -> None:
        """Report a message that nobody handled."""
        self.publish(events.DeadLetter, message=type(envelope[0]).__name__, reason=reason, sender=envelope[2])

    def publish(self, kind: type[events.LifecycleEvent], **fields: Any) -> None:
        """Tell the system's event stream."""
        said = {name: encodable(value) if isinstance(value, str) else value for name, value in fields.items()}
        self.system.lifecycle.publish(kind(actor=self.name, time=self.system.clock.time(), **said))
