"""The tasks that wait for a place: who is next, within the pool's limit and those of the queues."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Place = tuple[int, int, str]
"""Minus the priority, the task's number, its id: sorts tasks in the order in which they start."""


class Waiting:
    """Places that are free, and tasks that wait for one. Each operation is O(log n).

    Every queue has a heap of its own, and the first of each queue that is not full is in a heap of
    heads: thousands that wait behind a full queue are not looked at. Entries that are void by now are
    passed over when they come up.

    Args:
        limit: attempts at once.
        queue_limits: attempts at once of a queue; those that it does not name have no limit of their own.
    """

    def __init__(self, limit: int, queue_limits: Mapping[str, int]) -> None:
        self._limit = limit
        self._queue_limits = dict(queue_limits)
        self._running = 0
        self._running_of: dict[str, int] = {}
        self._tasks: dict[str, list[Place]] = {}
        self._heads: list[tuple[Place, str]] = []
        self._members: set[str] = set()

    def push(self, place: Place, queue: str) -> None:
        """Let a task wait; one that does already keeps its place."""
        task = place[2]
        if task in self._members:
            return
        self._members.add(task)
        tasks = self._tasks.setdefault(queue, [])
        heapq.heappush(tasks, place)
        if tasks[0] is place and self._is_open(queue):
            heapq.heappush(self._heads, (place, queue))

    def drop(self, task: str) -> None:
        """The task waits no longer."""
        self._members.discard(task)

    def take(self) -> str | None:
        """The next task, which has a place now; None when none may start. `give_back` frees its place."""
        while self._heads and self._running < self._limit:
            place, queue = heapq.heappop(self._heads)
            tasks = self._tasks.get(queue)
            if not tasks or tasks[0] != place or not self._is_open(queue):
                continue
            heapq.heappop(tasks)
            task = place[2]
            waited = task in self._members
            if waited:
                self._members.discard(task)
                self._running += 1
                if queue in self._queue_limits:
                    self._running_of[queue] = self._running_of.get(queue, 0) + 1
            self._offer(queue)
            if waited:
                return task
        return None

    def give_back(self, queue: str) -> None:
        """An attempt of that queue has ended."""
        self._running -= 1
        if queue in self._queue_limits:
            was_open = self._is_open(queue)
            self._running_of[queue] -= 1
            if not was_open:
                self._offer(queue)

    def obstacle(self, queue: str) -> str:
        """Which limit a task of that queue would wait for, in words; empty when for none."""
        running, limit = self._running_of.get(queue, 0), self._queue_limits.get(queue)
        if limit is not None and running >= limit:
            return f'limit of queue "{queue}" reached ({running} of {limit})'
        if self._running >= self._limit:
            return f"limit of the pool reached ({self._running} of {self._limit})"
        return ""

    def _offer(self, queue: str) -> None:
        """Put the queue's first into the heads, if it may start; an emptied heap is forgotten."""
        tasks = self._tasks.get(queue)
        if not tasks:
            self._tasks.pop(queue, None)
        elif self._is_open(queue):
            heapq.heappush(self._heads, (tasks[0], queue))

    def _is_open(self, queue: str) -> bool:
        limit = self._queue_limits.get(queue)
        return limit is None or self._running_of.get(queue, 0) < limit
