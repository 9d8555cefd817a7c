"""The follower: keeps the read model level with what the journals have made durable (rules P1, P2).

What the system says about new lines is a hint: the lines right after the cursor are applied from it,
everything else is read from the files. So a hint that is late, doubled or lost costs time and nothing
else, and the queue of hints can be bounded.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

import trio

from understudy.actors.projection.fold import Folded, fold_line, is_folded, seed
from understudy.actors.projection.journal_lines import (
    begins_after,
    chunks_after,
    gone_until,
    incarnation_of,
)
from understudy.actors.projection.model import ReadModel
from understudy.protocols.errors import UnderstudyError
from understudy.protocols.read_model import Cursor
from understudy.supervision.blocking import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from pydantic import BaseModel

    from understudy.actors.projection.feed import Feed
    from understudy.supervision.blocking import RunBlocking
    from understudy.supervision.files import Files
    from understudy.supervision.journal.scan import Chunk

log = logging.getLogger(__name__)

QUEUED_BYTES = 8 << 20
"""Hints that wait; beyond that only their seq is remembered, and the lines are read from the file."""
SLICE_LINES = 128
"""Lines that are applied before others have their turn on the loop."""


class Follower:
    """Applies durable lines to a feed's model, in order of each journal.

    Args:
        feed: gets the changes; its model is what they are applied to.
        files: how the journals are read.
        folder: of the journals.
        own: the name of the projection's journal, which is not followed.
        new_epoch: makes the epoch of a model that is built anew.
        applied: called with the changes of each line, after the feed has them.
        run_blocking: how the reading is kept off the loop.
        state_at: the state of a journal's actor as of a seq, for a journal whose first lines were removed.
    """

    def __init__(
        self,
        feed: Feed,
        files: Files,
        folder: Path,
        own: str,
        new_epoch: Callable[[], int],
        applied: Callable[[Folded], None] = lambda _: None,
        run_blocking: RunBlocking = in_thread,
        state_at: Callable[[str, int], Awaitable[BaseModel]] | None = None,
    ) -> None:
        self._state_at = state_at
        self._run_blocking = run_blocking
        self.durable: dict[str, int] = {}
        self.applied_lines = 0
        self._feed = feed
        self._files = files
        self._folder = folder
        self._own = own
        self._new_epoch = new_epoch
        self._applied = applied
        self._queue: deque[tuple[str, int, bytes]] = deque()
        self._queued_bytes = 0
        self._check: set[str] = set()
        self._incarnations: dict[str, int] = {}
        self._unreadable: set[str] = set()
        self._something = trio.Event()
        self._level = trio.Event()

    # -- hints, on the loop's thread, never waiting

    def lines_are_durable(self, journal: str, seq: int, lines: bytes) -> None:
        """`lines`, the last of which is `seq`, are durable."""
        if journal == self._own:
            return
        self.durable[journal] = max(seq, self.durable.get(journal, 0))
        if journal not in self._incarnations:
            self._check.add(journal)
        if self._queued_bytes + len(lines) <= QUEUED_BYTES:
            self._queue.append((journal, seq, lines))
            self._queued_bytes += len(lines)
        self._wake()

    def journal_is_open(self, journal: str, watermark: int) -> None:
        """An actor has opened the journal, and everything up to `watermark` is durable."""
        if journal == self._own:
            return
        self.durable[journal] = watermark
        self._check.add(journal)
        self._unreadable.discard(journal)
        self._wake()

    def journal_was_trimmed(self, journal: str) -> None:
        """Its oldest lines were removed: what they alone say goes from the model too."""
        if journal in self.durable:
            self._check.add(journal)
            self._wake()

    def _wake(self) -> None:
        self._something.set()

    # -- reading

    def behind(self) -> Iterator[str]:
        """The journals whose lines are not all applied, and could be."""
        for journal, seq in self.durable.items():
            if journal in self._unreadable:
                continue
            if journal in self._check or self._feed.model.cursor(journal).seq < seq:
                yield journal

    async def level(self, journal: str, seq: int) -> None:
        """Wait until `journal` is applied up to `seq` (or can't be read)."""
        while journal not in self._unreadable and self._feed.model.cursor(journal).seq < seq:
            await self._level.wait()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self._something = trio.Event()
            await self.catch_up()
            await self._something.wait()

    async def catch_up(self) -> None:
        """Apply everything that is known to be durable, until nothing is left."""
        while self._queue or any(True for _ in self.behind()):
            while self._queue:
                journal, seq, lines = self._queue.popleft()
                self._queued_bytes -= len(lines)
                if journal not in self._check and journal not in self._unreadable:
                    await self._apply_hint(journal, seq, lines)
            for journal in list(self.behind()):
                await self._catch_up_from_file(journal)
        self._leveled()

    async def _apply_hint(self, journal: str, seq: int, data: bytes) -> None:
        """Apply the hint's lines from the cursor on; nothing when lines before them are missing."""
        lines = data.splitlines(keepends=True)
        first = seq - len(lines) + 1
        done = self._feed.model.cursor(journal).seq
        if first <= done + 1:
            await self._apply(journal, done + 1, lines[done + 1 - first :])

    async def _catch_up_from_file(self, journal: str) -> None:
        try:
            await self._check_numbers(journal)
            cursor = self._feed.model.cursor(journal)
            upto = self.durable[journal]
            if cursor.seq < upto:
                await self._read(journal, cursor.seq, upto)
        except (UnderstudyError, OSError) as error:
            self._unreadable.add(journal)
            extra = {"action": "journal_not_followed", "journal": journal}
            log.exception("the read model does not follow %s: %s", journal, error, extra=extra)  # noqa: TRY401 - the traceback may be cut off

    async def _check_numbers(self, journal: str) -> None:
        """See whether the cursor still means what it did; build anew where it does not (rule D4)."""
        if journal not in self._check:
            return
        folder, durable = self._folder / journal, self.durable[journal]
        incarnation = await self._run_blocking(incarnation_of, self._files, folder)
        base = await self._run_blocking(begins_after, self._files, folder, durable)
        gone = min(base, await self._run_blocking(gone_until, self._files, folder))
        self._check.discard(journal)
        self._incarnations[journal] = incarnation
        cursor = self._feed.model.cursors.get(journal)
        if cursor and (cursor.incarnation != incarnation or not gone <= cursor.seq <= self.durable[journal]):
            extra = {"action": "read_model_rebuilt", "journal": journal}
            log.warning(
                "%s has other numbers than were read: the read model is built anew", journal, extra=extra
            )
            self._check.update(self.durable)
            self._check.discard(journal)
            self._feed.start_anew(self._new_epoch(), ReadModel(self._feed.model.kept))
        if base:
            await self._begin_after(journal, base, gone)

    async def _begin_after(self, journal: str, base: int, gone: int) -> None:
        """Have the model be what the state as of `base` and the lines behind it make (rule P1).

        Of what it has not read up to there, the lines say more than the state, if they are left.
        """
        model = self._feed.model
        if gone <= (done := model.cursor(journal).seq) < base:
            await self._read(journal, done, base)
        self._feed.publish(model.forget(journal, base))
        if model.cursor(journal).seq < base:
            cursor = Cursor(journal=journal, incarnation=self._incarnations[journal], seq=base)
            if self._state_at is None or not is_folded(journal):
                model.cursors[journal] = cursor
            else:
                self._feed.publish(seed(model, cursor, await self._state_at(journal, base)))

    async def _read(self, journal: str, after: int, upto: int) -> None:
        chunks = chunks_after(self._files, self._folder / journal, after, upto)
        while (chunk := await self._run_blocking(_next, chunks)) is not None:
            await self._apply(journal, chunk.first_seq, chunk.lines)
        done = self._feed.model.cursor(journal)
        if done.seq < upto:  # as after `repair` took the last lines out, with their numbers
            extra = {"action": "lines_missing", "journal": journal}
            log.warning("%s has no lines from seq %d to %d", journal, done.seq + 1, upto, extra=extra)
            self._feed.model.cursors[journal] = done.model_copy(update={"seq": upto})

    async def _apply(self, journal: str, first: int, lines: list[bytes]) -> None:
        incarnation = self._incarnations.get(journal, 1)
        for place, line in enumerate(lines):
            cursor = Cursor.model_construct(journal=journal, incarnation=incarnation, seq=first + place)
            folded = fold_line(self._feed.model, cursor, line)
            self.applied_lines += 1
            self._feed.publish(folded.changes)
            self._applied(folded)
            if self.applied_lines % SLICE_LINES == 0:
                self._leveled()
                await trio.lowlevel.checkpoint()
        self._leveled()

    def _leveled(self) -> None:
        level, self._level = self._level, trio.Event()
        level.set()


def _next(chunks: Iterator[Chunk]) -> Chunk | None:
    return next(chunks, None)
