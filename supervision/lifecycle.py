"""The event stream of a system: what happens to its actors (RT-8)."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from trio.lowlevel import enable_ki_protection

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.protocols.lifecycle import LifecycleEvent

log = logging.getLogger("understudy.lifecycle")

KEPT = 1000


class Lifecycle:
    """Publishes lifecycle events to subscribers, on the loop's thread, and keeps the last ones."""

    def __init__(self) -> None:
        self.recent: deque[LifecycleEvent] = deque(maxlen=KEPT)
        self.dead_letters = 0
        self._subscribers: list[Callable[[LifecycleEvent], None]] = []

    def subscribe(self, callback: Callable[[LifecycleEvent], None]) -> Callable[[], None]:
        """Have `callback` called with each event from now on; it must not block. Returns its end."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    @enable_ki_protection  # it may be called in a task of the program's own
    def publish(self, event: LifecycleEvent) -> None:
        """Tell everybody; one subscriber's error is logged and does not reach the others."""
        if event.kind == "DeadLetter":
            self.dead_letters += 1
        self.recent.append(event)
        for callback in tuple(self._subscribers):
            try:
                callback(event)
            except BaseException:
                log.exception("a lifecycle subscriber failed", extra={"action": "subscriber_failed"})
