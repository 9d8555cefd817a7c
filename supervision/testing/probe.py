"""A probe: an actor that records what it is told, and waits for it that are bounded."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from understudy.protocols import Message
from understudy.supervision.actor import Actor

if TYPE_CHECKING:
    from understudy.protocols.base import Frozen

M = TypeVar("M", bound="Frozen")

WAIT_S = 5.0
"""How long a recorder waits unless told otherwise; under a virtual clock that is no time."""


class WatchFor(Message[None]):
    """Have the probe watch an actor: `Terminated` is recorded when that has stopped for good."""

    actor: str


class Recorder:
    """Keeps messages or events in the order of their arrival, and waits for the next of a kind.

    Give it to a `Probe`, or subscribe it: `system.lifecycle.subscribe(recorder.record)`.

    Attributes:
        everything: all that was recorded, also what a wait has returned.
    """

    def __init__(self) -> None:
        self.everything: list[Frozen] = []
        self._unread: deque[Frozen] = deque()
        self._arrived = trio.Event()

    def record(self, item: Frozen) -> None:
        """Keep `item`; call it in the loop's thread."""
        self.everything.append(item)
        self._unread.append(item)
        self._arrived.set()

    def all_of(self, kind: type[M]) -> list[M]:
        """All of that class that were recorded until now."""
        return [item for item in self.everything if isinstance(item, kind)]

    async def wait_for(self, kind: type[M], *, timeout_s: float = WAIT_S, **fields: object) -> M:
        """The next item of `kind` whose fields have these values; what comes before it counts as read.

        Raises:
            TimeoutError: it did not come in time; the text says what did.
        """
        skipped: list[Frozen] = []
        with trio.move_on_after(timeout_s):
            while True:
                while self._unread:
                    item = self._unread.popleft()
                    if isinstance(item, kind) and fields.items() <= dict(item).items():
                        return item
                    skipped.append(item)
                self._arrived = trio.Event()
                await self._arrived.wait()
        msg = f"expected {kind.__name__} {fields or ''} within {timeout_s} s, got {skipped or 'nothing'}"
        raise TimeoutError(msg)


class Probe(Actor):
    """Records every message in `recorder`, and answers each ask with None.

    `probe = await system.spawn(Probe, name="probe", recorder=recorder)`
    """

    def __init__(self, *, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def watch_for(self, message: WatchFor) -> None:
        """Begin to watch."""
        self.watch(message.actor)

    def on_receive(self, message: Any) -> None:
        """Everything else is recorded."""
        self._recorder.record(message)
