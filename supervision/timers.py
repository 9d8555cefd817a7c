"""One timer service for all actors of a system, on the injected clock."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.supervision.clock import Clock


class Alarm:
    """A call that is due at a moment of the clock's `monotonic()`; `cancel` makes it void."""

    __slots__ = ("call", "cancelled")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        """Never call it."""
        self.cancelled = True


class Timers:
    """A heap of alarms and one task that sleeps until the earliest."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = itertools.count()
        self._earlier = trio.Event()

    def call_at(self, deadline: float, call: Callable[[], None]) -> Alarm:
        """Call `call` on the loop when the clock's `monotonic()` reaches `deadline`."""
        alarm = Alarm(call)
        if not self._heap or deadline < self._heap[0][0]:
            self._earlier.set()
        heapq.heappush(self._heap, (deadline, next(self._order), alarm))
        return alarm

    async def run(self) -> None:
        """Ring for ever; a task of the system."""
        while True:
            self._earlier = trio.Event()
            now = self._clock.monotonic()
            while self._heap and (self._heap[0][0] <= now or self._heap[0][2].cancelled):
                alarm = heapq.heappop(self._heap)[2]
                if not alarm.cancelled:
                    alarm.call()
            delay = self._heap[0][0] - now if self._heap else math.inf
            with trio.move_on_after(delay):
                await self._earlier.wait()


class ActorTimer:
    """A named timer of one incarnation.

    A tick carries its timer's generation, at most one is queued, and a tick of a cancelled or
    replaced timer is dropped (rule C1).
    """

    __slots__ = ("alarm", "cancelled", "message", "name", "period_s", "queued")

    def __init__(self, name: str, message: object, period_s: float | None) -> None:
        self.name = name
        self.message = message
        self.period_s = period_s
        self.queued = False
        self.cancelled = False
        self.alarm: Alarm | None = None

    def cancel(self) -> None:
        """Drop the alarm and whatever tick is queued."""
        self.cancelled = True
        if self.alarm is not None:
            self.alarm.cancel()


class Tick:
    """What a timer puts into the mailbox: itself, which knows whether it still counts."""

    __slots__ = ("timer",)

    def __init__(self, timer: ActorTimer) -> None:
        self.timer = timer
