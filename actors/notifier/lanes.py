"""Lanes: what waits for each sink, and how much of it is under way. Not journaled: made at each start."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from understudy.actors.notifier.sinks import Sink, SinkConfig
    from understudy.actors.notifier.state import OpenDelivery


class Lane:
    """One sink with the deliveries that wait for it: by the time they are due, then by number.

    An entry of the heap counts only while its delivery is queued for just that time: others are left
    there, and dropped when they come up.

    Attributes:
        count: deliveries that are queued or running.
        running: attempts under way.
    """

    def __init__(self, config: SinkConfig, sink: Sink) -> None:
        self.config = config
        self.sink = sink
        self.count = 0
        self.running = 0
        self._heap: list[tuple[float, int, str]] = []

    @property
    def full(self) -> bool:
        """Whether no more may wait."""
        return self.count >= self.config.waiting

    def put(self, delivery: OpenDelivery) -> None:
        """Have it wait until it is due."""
        heapq.heappush(self._heap, (delivery.due_at, delivery.number, delivery.id))

    def take(self, now: float, deliveries: Mapping[str, OpenDelivery]) -> OpenDelivery | None:
        """The next one that may start now; None when none is due, or no place is free."""
        due_at = self.next_due(deliveries)
        if due_at is None or due_at > now:
            return None
        return deliveries[heapq.heappop(self._heap)[2]]

    def next_due(self, deliveries: Mapping[str, OpenDelivery]) -> float | None:
        """When the next one may start; None when none waits, or no place is free: an end makes one free."""
        if self.running >= self.config.concurrency:
            return None
        while self._heap:
            due_at, _, name = self._heap[0]
            delivery = deliveries.get(name)
            if delivery is not None and delivery.status == "queued" and delivery.due_at == due_at:
                return due_at
            heapq.heappop(self._heap)
        return None
