"""The feed: the read model with the changes that just happened, for any number of subscribers.

The last changes are kept once, for all. A subscriber is no more than the offset up to which it has
seen them: whoever is slow costs nothing and holds up nobody, and when it is further behind than what
is kept, it is told so and starts from a snapshot (PJ-2).
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from understudy.actors.projection.live_rows import LiveRows
from understudy.actors.projection.model import Kept, ReadModel
from understudy.protocols.errors import UnderstudyError
from understudy.protocols.read_model import ActorRow, Change, Incident, Snapshot, SystemRow

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from understudy.protocols.read_model import LiveRow

KEPT_CHANGES = 10_000
KEPT_BYTES = 16 << 20
KEPT_INCIDENTS = 200
SNAPSHOT_ROWS = 200
SNAPSHOT_ACTORS = 1000


class Lagged(UnderstudyError):
    """The subscriber is further behind than what is kept, or of another epoch: take a snapshot."""

    code = "lagged"
    status = 409
    title = "Too far behind"


class Feed:
    """What subscribers see of one start of the projection (an epoch, rule P2).

    Everything here is for the loop's thread.

    Attributes:
        epoch: differs from start to start, whatever was deleted in between.
        offset: of the last change; the first change has 1.
        model: what the journals say; changed by the follower only.
        live: what running tasks say of themselves, beside the journals.
        actors, system, incidents: what the running system says; kept up to date while somebody watches.
        closed: whether this start of the projection is over.
    """

    def __init__(self, epoch: int, kept: Kept | None = None) -> None:
        self.epoch = epoch
        self.offset = 0
        self.model = ReadModel(kept)
        self.live = LiveRows()
        self.actors: dict[str, ActorRow] = {}
        self.system = SystemRow()
        self.incidents: deque[Incident] = deque(maxlen=KEPT_INCIDENTS)
        self.closed = False
        self.subscribers = 0
        self.refresh: Callable[[], None] = _nothing
        self._kept: deque[tuple[Change, bytes | None]] = deque()
        self._kept_bytes = 0
        self._moved = trio.Event()
        self._watched = trio.Event()

    # -- what the follower does

    def publish(self, changes: Iterable[Change]) -> None:
        """Number the changes and wake who waits for them. Never waits."""
        before = self.offset
        for change in changes:
            self._number(change)
            if change.table == "tasks" and (over := self.live.after(change)) is not None:
                self._number(over)
        while len(self._kept) > KEPT_CHANGES or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft()[1] or b"")
        if self.offset != before:
            self.wake()

    def _number(self, change: Change) -> None:
        data = encode(change) if self.subscribers else None
        self._kept.append((change, data))
        self._kept_bytes += len(data or b"")
        self.offset += 1

    def publish_live(self, row: LiveRow) -> None:
        """Show what a running attempt says of itself, within a tenth of a second. Never waits.

        Only its newest word counts: what comes in between is passed over. The row goes when the task's
        attempt has ended, and a word that comes later is dropped. Not journaled, and not in a rebuild.
        """
        self.live.say(row)

    def flush_live(self) -> None:
        """Publish what attempts have said since the last time."""
        self.publish(self.live.take(self.model))

    def start_anew(self, epoch: int, model: ReadModel) -> None:
        """Put another model in the place of this one; every subscriber gets a fresh snapshot."""
        self.epoch, self.offset, self.model = epoch, 0, model
        self._kept.clear()
        self._kept_bytes = 0
        self.wake()

    def close(self) -> None:
        """Nothing comes any more; who waits is told."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        """Have everybody who waits look again."""
        moved, self._moved = self._moved, trio.Event()
        moved.set()

    # -- what subscribers do

    @contextmanager
    def subscription(self) -> Generator[None]:
        """While it is entered, somebody watches."""
        self.subscribers += 1
        self._watched.set()
        try:
            yield
        finally:
            self.subscribers -= 1
            if not self.subscribers:
                self._watched = trio.Event()

    async def watched(self) -> None:
        """Wait until somebody watches."""
        await self._watched.wait()

    async def moved(self) -> None:
        """Wait until something changes (or the feed is closed)."""
        await self._moved.wait()

    def since(self, epoch: int, offset: int, limit: int = 256) -> list[tuple[int, bytes]]:
        """Up to `limit` changes after `offset`, with their offsets, as JSON; none when there are none yet.

        Raises:
            Lagged: they are not kept any more, or `epoch` is not this one.
        """
        first = self.offset - len(self._kept)
        if epoch != self.epoch or not first <= offset <= self.offset:
            raise Lagged(f"expected an event id from {self.epoch}-{first} on, got {epoch}-{offset}")
        start = offset - first
        stop = min(start + limit, len(self._kept))
        found: list[tuple[int, bytes]] = []
        for place in range(start, stop):
            change, data = self._kept[place]
            found.append((first + place + 1, data or encode(change)))
        return found

    def snapshot(self, now: float) -> Snapshot:
        """Everything a viewer starts from, as of `offset`."""
        self.refresh()
        model = self.model
        tasks = model.tasks.newest(SNAPSHOT_ROWS)
        shown = {task.id for task in tasks}
        older = [row for name, row in model.tasks.active.items() if name not in shown]
        return Snapshot.model_construct(
            epoch=self.epoch,
            offset=self.offset,
            time=now,
            tasks=(*older, *tasks),
            live=self.live.shown(),
            messages=tuple(model.messages.newest(SNAPSHOT_ROWS)),
            schedules=tuple(model.schedules.newest(SNAPSHOT_ROWS)),
            manager=model.manager,
            actors=tuple(self.actors.values())[:SNAPSHOT_ACTORS],
            incidents=tuple(self.incidents),
            system=self.system,
            counts=tuple(sorted(model.tasks.counts.items())),
        )


def encode(change: Change) -> bytes:
    """The change as JSON on one line."""
    return change.model_dump_json(serialize_as_any=True).encode()


def _nothing() -> None:
    """Nobody follows yet."""
