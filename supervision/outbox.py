"""What a persistent actor has sent and its receivers have not made durable yet (rules D1, D2, D4)."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple


class Unsent(NamedTuple):
    """A message as a journal line holds it: decoded by the receiver's class when it is sent again."""

    kind: str
    version: int
    data: dict[str, Any]


class Waiting(NamedTuple):
    """A send that its receiver has not made durable: its number, the seq of its line, its cause."""

    n: int
    seq: int
    message: Any
    cause: bytes


class Box:
    """The sends to one receiver in one stream: the next number, and what waits for it."""

    __slots__ = ("next", "waiting")

    def __init__(self, next_n: int = 1) -> None:
        self.next = next_n
        self.waiting: deque[Waiting] = deque()

    def acknowledge(self, n: int) -> None:
        """Everything up to `n` is durable at the receiver."""
        waiting = self.waiting
        while waiting and waiting[0].n <= n:
            waiting.popleft()


class Outbox:
    """The boxes of one sender, by receiver.

    `repair` starts a new stream with numbers of its own; what waits in an older one is sent under that
    one's name until it is durable (rule D4).
    """

    def __init__(self, sender: str, incarnation: int) -> None:
        self.sender = sender
        self.incarnation = incarnation
        self.stream = stream_name(sender, incarnation)
        self.boxes: dict[str, Box] = {}
        self.older: dict[tuple[str, int], Box] = {}

    def box(self, to: str, incarnation: int | None = None) -> Box:
        """The box for a receiver; made when there is none."""
        if incarnation is None or incarnation == self.incarnation:
            found = self.boxes.get(to)
            if found is None:
                found = self.boxes[to] = Box()
            return found
        found = self.older.get((to, incarnation))
        if found is None:
            found = self.older[to, incarnation] = Box()
        return found

    def acknowledge(self, stream: str, to: str, n: int) -> None:
        """`to` has made everything of `stream` up to `n` durable."""
        if stream == self.stream:
            if (box := self.boxes.get(to)) is not None:
                box.acknowledge(n)
            return
        for (receiver, incarnation), box in self.older.items():
            if receiver == to and stream_name(self.sender, incarnation) == stream:
                box.acknowledge(n)

    def streams_to(self, to: str) -> list[tuple[str, Box]]:
        """The streams to one receiver, oldest first, with their names."""
        older = [
            (stream_name(self.sender, incarnation), box)
            for (receiver, incarnation), box in sorted(self.older.items())
            if receiver == to
        ]
        box = self.boxes.get(to)
        return older if box is None else [*older, (self.stream, box)]

    def receivers(self) -> set[str]:
        """Everybody that was ever sent something."""
        return {*self.boxes, *(to for to, _ in self.older)}


def stream_name(sender: str, incarnation: int) -> str:
    """What a line says in `from`: the sender's name, with its journal's incarnation after a repair."""
    return sender if incarnation == 1 else f"{sender}~{incarnation}"


def sender_of(stream: str) -> str:
    """The actor's name in a stream's."""
    return stream.partition("~")[0]
