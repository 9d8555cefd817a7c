"""`Journals`, the service of one system, and `Journal`, the loop's face of one actor's journal."""

from __future__ import annotations

import errno
import logging
from functools import partial
from typing import TYPE_CHECKING, Protocol

import trio

from understudy.protocols.errors import JournalDamaged
from understudy.supervision.journal.output import Output
from understudy.supervision.journal.replay import Replay, TornTail, write_again
from understudy.supervision.journal.retention import prune_snapshots, trim
from understudy.supervision.journal.segments import journal_names, list_segments, read_about
from understudy.supervision.journal.snapshots import Snapshot, write_snapshot
from understudy.supervision.journal.writer import InlineWriter, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from understudy.protocols.errors import UnderstudyError
    from understudy.supervision.files import Files
    from understudy.supervision.journal.retention import Retention
    from understudy.supervision.journal.scan import Chunk

logger = logging.getLogger(__name__)


class JournalSettings(Protocol):
    """The part of `Settings` that the journals need."""

    @property
    def segment_bytes(self) -> int:
        """A segment that has this size is left for the next one."""
        ...

    @property
    def open_files(self) -> int:
        """Segments kept open at once."""
        ...

    @property
    def sync_threads(self) -> int:
        """Threads that sync a batch of several journals."""
        ...


class Journals:
    """All journals of one home: a folder, the writer's threads, a bounded set of open files.

    Args:
        folder: holds one folder a journal; made when the first line is written.
        files: the operating system, or a faulty one in tests.
        post: runs a call on the loop's thread soon, from any thread; never raises.
        settings: `segment_bytes`, `open_files`, `sync_threads`.
        inline: no threads; the journals are written on the loop, in steps of their own.
    """

    def __init__(
        self,
        folder: Path,
        files: Files,
        post: Callable[[Callable[[], None]], None],
        settings: JournalSettings,
        *,
        inline: bool = False,
    ) -> None:
        self.folder = folder
        self._files = files
        self._post = post
        self._settings = settings
        self._writer = (
            InlineWriter(post, settings.open_files)
            if inline
            else Writer(post, settings.open_files, settings.sync_threads)
        )

    def open(self, name: str) -> Journal:
        """The journal of the actor `name`. Touches no file: `replay` reads, the first append makes."""
        if not name or name.startswith(".") or "/" in name or "\0" in name:
            msg = f"expected a name that can be a folder's, got {name!r}"
            raise ValueError(msg)
        return Journal(name, self.folder / name, self._files, self._writer, self._post, self._settings)

    def names(self) -> list[str]:
        """The journals that are in the folder, sorted."""
        return journal_names(self._files, self.folder)

    def close(self, deadline_s: float) -> bool:
        """Make durable what was appended, then end the threads. Blocks; call it on no loop's thread.

        Returns:
            False when the deadline came first; the rest may or may not become durable.
        """
        return self._writer.close(deadline_s)


class Journal:
    """One actor's journal. Everything here is for the loop's thread, except where it says otherwise.

    Attributes:
        name: the actor's.
        folder: of its segments and snapshots.
        watermark: everything up to this seq is durable.
        incarnation: of the journal's numbers, bumped by `repair` (rule D4).
        problem: the error that ended writing, until `reopen` succeeds.
        torn: what the last start cut off, if anything.
        skipped_snapshots: damaged snapshots that the last replay passed over for an older one.
        snapshot_seq: of the newest snapshot that is durable, 0 when there is none.
        on_durable: called with the new watermark, once for each batch that moved it.
        on_failed: called once with `problem`. Nothing appended beyond the watermark counts then.
        on_trimmed: called with the first seq that is kept, when older lines were removed.
    """

    __slots__ = (
        "_appended", "_files", "_output", "_post", "_put", "_settled", "_started", "_suspect", "_writer",
        "folder", "incarnation", "name", "on_durable", "on_failed", "on_trimmed", "problem",
        "skipped_snapshots", "snapshot_seq", "torn", "watermark",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        folder: Path,
        files: Files,
        writer: Writer,
        post: Callable[[Callable[[], None]], None],
        settings: JournalSettings,
    ) -> None:
        self.name = name
        self.folder = folder
        self.watermark = 0
        self.incarnation = 1
        self.problem: OSError | None = None
        self.torn: TornTail | None = None
        self.skipped_snapshots: list[UnderstudyError] = []
        self.snapshot_seq = 0
        self.on_durable: Callable[[int], None] = _ignore
        self.on_failed: Callable[[OSError], None] = _ignore
        self.on_trimmed: Callable[[int], None] = _ignore
        self._files = files
        self._writer = writer
        self._put = writer.put
        self._post = post
        self._output = Output(files, folder, settings.segment_bytes, self._moved, self._broke)
        self._appended = 0
        self._settled: trio.Event | None = None
        self._started = False
        self._suspect = False

    @property
    def durable(self) -> int | None:
        """The `watermark`; None before a start has read what there is: then nothing was appended either."""
        return self.watermark if self._started else None

    def append(self, data: bytes, last_seq: int) -> None:
        """Queue whole sealed lines, the last of which has `last_seq`. Never waits.

        They are durable when the watermark reaches `last_seq`; after a problem they are dropped.
        """
        if self.problem is None:
            self._appended = last_seq
            self._put((self._output, data, last_seq))

    async def settled(self) -> None:
        """Wait until everything appended is durable, or has failed (see `problem`)."""
        while self.problem is None and self.watermark < self._appended:
            if self._settled is None:
                self._settled = trio.Event()
            await self._settled.wait()

    def stored_incarnation(self) -> int | None:
        """The incarnation of the numbers in the folder; None when it has no lines, as a new one. Blocks.

        Raises:
            JournalDamaged, OSError.
        """
        if not list_segments(self._files, self.folder):
            return None
        return read_about(self._files, self.folder).incarnation

    def replay(
        self, *, starting: bool, proven: int = 0, unfit: Mapping[Path, UnderstudyError] | None = None
    ) -> Iterator[Snapshot | Chunk]:
        """What the journal says: at most one `Snapshot`, then `Chunk`s of checked lines in order.

        Blocks while it reads; the caller yields to the loop between chunks. Read it to its end.

        Args:
            starting: True reads all there is, cuts a torn tail off (see `torn`) and syncs, so that
                what was read counts; then `watermark` is the last seq. False (a rebuild, rule T3, to
                be called when `settled`) reads up to the watermark and changes nothing.
            proven: a seq that a receiver or a reader knows to be durable.
            unfit: snapshots that the caller can't use, and why.

        Raises:
            JournalDamaged: the journal holds something that no crash explains (rule J4).
            OSError: reading, cutting or syncing failed; call `replay` again later.
        """
        if starting:
            return self._start(proven, unfit)
        return Replay(self._files, self.folder, end_seq=self.watermark, unfit=unfit).run()

    def _start(self, proven: int, unfit: Mapping[Path, UnderstudyError] | None) -> Iterator[Snapshot | Chunk]:
        replay = Replay(self._files, self.folder, proven=proven, repair_tail=True, unfit=unfit)
        for item in replay.run():
            if isinstance(item, Snapshot):
                self.snapshot_seq = item.seq
            yield item
        self.torn = replay.torn
        self.skipped_snapshots = replay.skipped
        self._report()
        part = replay.part
        if part is not None:
            self._sync(replay)
        self.incarnation = replay.about.incarnation
        self.watermark = self._appended = replay.seq
        self._started = True
        if part is None or self._suspect:
            self._output.continue_at(None, replay.epoch + self._suspect, replay.seq, 0, 0)
        else:
            self._output.continue_at(part.segment.path, replay.epoch, replay.seq, replay.lines, replay.size)
        self._suspect = False

    def _sync(self, replay: Replay) -> None:
        try:
            write_again(self._files, replay)
            self._files.sync_folder(self.folder)
            self._files.sync_folder(self.folder.parent)
        except OSError:
            self._suspect = True  # that segment is never appended to again, also when a retry succeeds
            raise

    def _report(self) -> None:
        for damage in self.skipped_snapshots:
            logger.warning(
                "%s: snapshot passed over: %s", self.name, damage,
                extra={"action": "snapshot_skipped", "journal": self.name},
            )  # fmt: skip
        if self.torn is not None:
            logger.warning(
                "%s: %d torn bytes cut off at %d of %s, kept in %s",
                self.name, self.torn.size, self.torn.offset, self.torn.file, self.torn.kept,
                extra={"action": "torn_tail_cut", "journal": self.name, "file": str(self.torn.kept)},
            )  # fmt: skip

    def publish_snapshot(self, seq: int, body: bytes, retention: Retention | None = None) -> None:
        """Queue a snapshot of the state as of `seq`, which was appended before (rule J6). Never waits.

        Args:
            seq: of the last turn that the state includes.
            body: a JSON value on one line. Best right after the append of `seq`: then the snapshot
                also knows where the next line begins.
            retention: what is kept besides; None removes no lines.

        It is published when everything up to `seq` is durable, or not at all; `snapshot_seq` tells.
        A failure is logged and harmless.
        """
        self._writer.run(partial(self._publish, seq, body, retention))

    def _publish(self, seq: int, body: bytes, retention: Retention | None) -> None:
        """On the writer's thread."""
        output = self._output
        if output.problem is not None or output.seq < seq:
            return
        try:
            write_snapshot(self._files, self.folder, seq, body, output.place() if output.seq == seq else None)
        except OSError as error:
            logger.warning(
                "%s: no snapshot at seq %d: %s", self.name, seq, error,
                extra={"action": "snapshot_failed", "journal": self.name},
            )  # fmt: skip
            return
        self._post(partial(self._published, seq))
        try:
            prune_snapshots(self._files, self.folder)
            if retention is not None:
                self._retain(retention)
        except (OSError, JournalDamaged) as error:
            logger.warning(
                "%s: nothing more is removed: %s", self.name, error,
                extra={"action": "trim_failed", "journal": self.name},
            )  # fmt: skip

    def _retain(self, retention: Retention) -> None:
        """Leave the segment when it is a large part of what is kept, and remove what is too much.

        On the writer's thread, between two batches: all that was written is durable.
        """
        if self._output.size >= retention.leave_bytes:
            self._output.leave_segment()
        if (first := trim(self._files, self.folder, retention)) is not None:
            logger.info(
                "%s: lines before seq %d removed", self.name, first,
                extra={"action": "journal_trimmed", "journal": self.name},
            )  # fmt: skip
            self._post(partial(self._trimmed, first))

    def _trimmed(self, first_seq: int) -> None:
        self.on_trimmed(first_seq)

    def _published(self, seq: int) -> None:
        self.snapshot_seq = max(self.snapshot_seq, seq)

    async def reopen(self) -> None:
        """After a problem: go on in a new, synced segment that begins after the watermark (rule J5).

        Durable when it returns; the caller then rebuilds from the journal. Nothing happens when
        there is no problem.

        Raises:
            OSError: the disk is still bad, and the problem stays.
        """
        outcome: list[OSError | None] = []
        answered = trio.Event()

        def answer(error: OSError | None) -> None:
            outcome.append(error)
            if error is None:
                self.problem = None
                self._appended = self.watermark
            answered.set()

        def job() -> None:
            error = None
            try:
                if self._output.problem is not None:
                    self._output.reopen()
            except OSError as caught:
                error = caught
            except Exception as caught:  # noqa: BLE001 - no memory, for one: who asked must not wait for ever
                error = OSError(errno.ENOMEM if isinstance(caught, MemoryError) else errno.EIO, repr(caught))
            self._post(partial(answer, error))

        self._writer.run(job)
        await answered.wait()
        if outcome[0] is not None:
            raise outcome[0]

    def close(self) -> None:
        """Close the journal's file after what was appended. It may be used again."""
        self._writer.forget(self._output)

    def _moved(self, seq: int) -> None:
        self.watermark = seq
        self.on_durable(seq)
        self._wake()

    def _broke(self, problem: OSError) -> None:
        self.problem = problem
        self.on_failed(problem)
        self._wake()

    def _wake(self) -> None:
        if self._settled is not None and (self.problem is not None or self.watermark >= self._appended):
            self._settled.set()
            self._settled = None


def _ignore(_: object) -> None:
    """Nobody listens yet."""
