"""The scheduler: a run queue of cells, pumps that work on it, and one intake for other threads.

A trio scheduler tick costs about 4.5 µs, a plain call 0.1 µs, so an actor has no task of its own. A
cell with something to do stands in the run queue; whoever *leads* takes it from there and lets it
step. A handler that suspends keeps its pump; another one takes the lead over.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
import types
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVarTuple

import trio
from trio.lowlevel import (
    Abort,
    cancel_shielded_checkpoint,
    checkpoint,
    current_task,
    enable_ki_protection,
    reschedule,
    wait_task_rescheduled,
)

from understudy.protocols.errors import ActorStopped, MailboxFull
from understudy.supervision.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from understudy.supervision.futures import TaskReply
    from understudy.supervision.mailbox import Envelope
    from understudy.supervision.scheduled import ScheduledCell

Ts = TypeVarTuple("Ts")

log = logging.getLogger("understudy.scheduler")

BATCH = 64
"""Messages of one cell before the next cell has its turn."""
SLICE = 512
"""Messages before a pump lets trio look at I/O ..."""
SLICE_S = 0.002
"""... and seconds, whichever comes first (rule S3)."""
IDLE_PUMPS = 8
"""Pumps that wait for work. Only idle ones are capped: a cap on all of them deadlocks (rule S2)."""

IDLE, QUEUED, BUSY, PAUSED, STOPPED = range(5)
"""Where a cell stands: not in the queue, in it, stepping, not to be queued by messages, gone."""


class Scheduler:
    """All but `post` and `call_soon` on the loop's thread (rule S1)."""

    def __init__(self, nursery: trio.Nursery, slice_s: float = SLICE_S) -> None:
        self.nursery = nursery
        self.ident = get_ident()
        self.slice_s = slice_s
        self.queue: deque[ScheduledCell] = deque()
        self.slice_end = 0.0
        self.spent = 0
        self.leader: object = None
        self.context = contextvars.copy_context()
        self.closed = False
        self._rests: deque[tuple[ScheduledCell, Coroutine[Any, Any, None]]] = deque()
        self._idle: list[trio.lowlevel.Task] = []
        self._intake: deque[tuple[ScheduledCell, Envelope] | tuple[None, Callable[[], object]]] = deque()
        self._intake_lock = threading.Lock()
        self._woken = False
        self._wakeup = Wakeup()

    def start(self) -> None:
        """Begin to take in what other threads post."""
        self.start_soon(self._take_in_forever, name="understudy intake")

    def close(self) -> None:
        """No more work is taken; what is still in the intake is refused. Call it on the loop."""
        with self._intake_lock:
            self.closed = True
            rest, self._intake = self._intake, deque()
        for entry in rest:
            if entry[0] is None:
                self._call(entry[1])
            else:
                entry[0].refuse(entry[1])

    def release(self) -> None:
        """Give the wake-up's descriptors back, when the intake's task has ended."""
        self._wakeup.close()

    # -- the loop's side

    def ready(self, cell: ScheduledCell) -> None:
        """Put an idle or paused cell into the run queue."""
        cell.state = QUEUED
        self.queue.append(cell)
        if self.leader is None:
            self.kick()

    def kick(self) -> None:
        """Have a pump take the lead when there is work and nobody leads."""
        if self.leader is None and (self.queue or self._rests) and not self.closed:
            self.leader = self  # somebody is on the way
            if self._idle:
                reschedule(self._idle.pop())
            else:
                self.start_soon(self._pump, name="understudy pump")

    def start_soon(
        self,
        function: Callable[[*Ts], Awaitable[object]],
        *arguments: *Ts,
        name: str | None = None,
    ) -> None:
        """Start a task of the system, with the scheduler's context variables and not the caller's."""
        self.context.copy().run(self.nursery.start_soon, function, *arguments, name=name)

    async def breathe(self) -> None:
        """A trio checkpoint when a slice's worth of work was done since the last one (rule S3)."""
        self.spent += 1
        if self.spent >= SLICE:
            self.spent = 0
            await checkpoint()

    def help_until(self, reply: TaskReply) -> None:
        """Work on the queue in the calling task until `reply` is done ("help first", rule S4).

        Only plain handlers run here, in the scheduler's context and not the caller's; a handler
        that is a coroutine goes to a pump.
        """
        if self.leader is None:
            self.context.run(self._help, reply)

    @enable_ki_protection
    def _help(self, reply: TaskReply | None) -> None:
        self.leader = self
        self.slice_end = time.perf_counter() + self.slice_s
        queue = self.queue
        try:
            while queue and self.spent < SLICE and (reply is None or not reply.done):
                cell = queue.popleft()
                rest = cell.step()
                if rest is None:
                    cell.after()
                else:
                    self._rests.append((cell, rest))
        finally:
            self.leader = None
            if queue or self._rests:
                self.kick()

    @enable_ki_protection
    async def _pump(self) -> None:
        queue, rests, me = self.queue, self._rests, current_task()

        def abort(_: object) -> Abort:
            self._idle.remove(me)
            return Abort.SUCCEEDED

        while True:
            self.leader = me
            self.slice_end = time.perf_counter() + self.slice_s
            while (rests or queue) and self.leader is me:
                if rests:
                    cell, rest = rests.popleft()
                else:
                    cell = queue.popleft()
                    rest = cell.step()
                if rest is not None:
                    await self._drive(cell, rest)
                    if self.leader is None:  # pyright: ignore[reportUnnecessaryComparison] - changed while it waited
                        self.leader = me
                cell.after()
                if self.spent >= SLICE or time.perf_counter() >= self.slice_end:
                    self.spent = 0
                    await cancel_shielded_checkpoint()
                    self.slice_end = time.perf_counter() + self.slice_s
            if self.leader is me:
                self.leader = None
            if len(self._idle) >= IDLE_PUMPS:
                return
            self._idle.append(me)
            await wait_task_rescheduled(abort)

    @types.coroutine
    def _drive(self, cell: ScheduledCell, rest: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """Run the rest of an async turn in this pump; when it really suspends, hand over the lead.

        The turn has a context of its own (rule T7), and `cell.live` is true only while it steps:
        that is how `emit` tells the turn from a background task of the same actor (rule T3).
        """
        run = self.context.copy().run
        step, sent = rest.send, None
        suspended = False
        while True:
            cell.live = cell.in_turn
            try:
                trap = run(step, sent)
            except StopIteration:
                return
            finally:
                cell.live = False
            if not suspended:
                suspended = True
                self.leader = None
                self.kick()
            try:
                sent = yield trap
            except BaseException as error:  # noqa: BLE001 - it belongs to the coroutine, Cancelled above all
                step, sent = rest.throw, error
            else:
                step = rest.send

    # -- the side of other threads

    def post(self, cell: ScheduledCell, envelope: Envelope) -> None:
        """From any thread: put an envelope into a cell's mailbox.

        Raises:
            MailboxFull: the mailbox and what is on the way to it reach the bound.
            ActorStopped: the cell or the system has stopped.
        """
        inbox = cell.inbox
        with self._intake_lock:
            if self.closed or cell.state == STOPPED:
                msg = f"{cell} not found"
                raise ActorStopped(msg)
            if len(inbox) + inbox.foreign >= cell.bound:
                raise MailboxFull(cell.full_text())
            inbox.foreign += 1
            self._intake.append((cell, envelope))
            if not self._woken:
                self._woken = True
                self._wakeup.wake()  # under the lock: after `close` nobody may write to the descriptor

    def call_soon(self, call: Callable[[], object]) -> None:
        """From any thread: run `call` on the loop. After the end it is a no-op."""
        with self._intake_lock:
            if self.closed:
                return
            self._intake.append((None, call))
            if not self._woken:
                self._woken = True
                self._wakeup.wake()  # under the lock: after `close` nobody may write to the descriptor

    @enable_ki_protection
    async def _take_in_forever(self) -> None:
        while True:
            await self._wakeup.wait()
            self._take_in()
            if self.leader is None and (self.queue or self._rests):
                self.spent = 0
                self._help(None)

    def _take_in(self) -> None:
        with self._intake_lock:
            taken, self._intake, self._woken = self._intake, deque(), False
            for entry in taken:
                if entry[0] is not None:
                    entry[0].inbox.foreign -= 1
        for entry in taken:
            if entry[0] is None:
                self._call(entry[1])
                continue
            cell, envelope = entry
            if cell.state == STOPPED or cell.problem is not None:
                cell.refuse(envelope)
                continue
            cell.inbox.append(envelope)
            if cell.state == IDLE:
                cell.state = QUEUED
                self.queue.append(cell)

    def _call(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException:
            # A callback's error would end the system; it is a bug, so it is said loudly.
            log.exception("a callback failed", extra={"action": "callback_failed"})
