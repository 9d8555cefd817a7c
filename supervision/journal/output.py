"""The writing end of one journal: its current segment, how far it is durable, and its first error."""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from understudy.supervision.files import APPEND, MAKE, REPLACE
from understudy.supervision.journal.segments import cut_off, segment_path
from understudy.supervision.journal.snapshots import Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from understudy.supervision.files import Files

logger = logging.getLogger(__name__)

_PROBE = bytes(4096)


class Output:
    """Belongs to the writer's threads from the first append on; before that to whoever replays.

    Attributes:
        folder: the journal's folder; made with the first append.
        path: the segment that is written; None when the next append has to make one.
        epoch: of that segment.
        seq: everything up to here is durable.
        size: bytes of the segment that are durable.
        lines: lines of the segment that are durable.
        problem: the error of the first write or sync that failed. Nothing is written while it is set,
            and never again to that segment: what the page cache shows proves nothing (rule J5).
        moved, failed: called on the loop's thread, through the writer's one post a batch.
    """

    __slots__ = (
        "_fd", "_file", "_files", "_leave", "_segment_bytes", "_written", "epoch", "failed", "folder",
        "lines", "moved", "path", "problem", "seq", "size",
    )  # fmt: skip

    def __init__(
        self,
        files: Files,
        folder: Path,
        segment_bytes: int,
        moved: Callable[[int], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self.folder = folder
        self.path: Path | None = None
        self.epoch = 1
        self.seq = 0
        self.size = 0
        self.lines = 0
        self.problem: OSError | None = None
        self.moved = moved
        self.failed = failed
        self._files = files
        self._segment_bytes = segment_bytes
        self._fd = -1
        self._file: tuple[int, int] | None = None
        self._leave = False
        self._written = 0

    def continue_at(self, path: Path | None, epoch: int, seq: int, lines: int, size: int) -> None:
        """Where replay ended. `path` None: the next append makes a new segment of this epoch."""
        self.close()
        self.path, self.epoch, self.seq, self.lines, self.size = path, epoch, seq, lines, size
        self._file = None if path is None else self._files.look(path)[:2]
        self._leave = False

    def leave_segment(self) -> None:
        """Let the next line begin a new segment. Everything that was written must be durable (rule J2)."""
        self.close()
        self._leave = self.size > 0

    @property
    def is_ready(self) -> bool:
        """Whether `write` is one system call: no file has to be opened or made for it."""
        return self._fd >= 0 and self.size < self._segment_bytes

    def write(self, parts: list[bytes]) -> None:
        """Write whole lines; sets `problem` instead of raising. Nothing is durable before `commit`."""
        try:
            # Everything before was synced, or `problem` would be set: the watermark is at the segment's
            # end, the only moment at which it may be left for the next one (rule J2).
            if self.path is None or self._leave or self.size >= self._segment_bytes:
                self._check_untouched(self.size)
                self._start_segment()
            elif self._fd < 0:
                self._check_untouched(self.size)
                self._fd = self._files.open(self.path, APPEND)
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            self._files.write_all(self._fd, data)
            self._written = len(data)
        except Exception as error:  # noqa: BLE001 - see _break
            self._break(error)

    def commit(self, last_seq: int) -> None:
        """Sync what `write` wrote, lines up to `last_seq`; sets `problem` instead of raising."""
        if self.problem is not None:
            return
        try:
            self.sync()
            self._check_untouched(self.size + self._written)
        except Exception as error:  # noqa: BLE001 - see _break
            self._break(error)
        else:
            self.size += self._written
            self.lines += last_seq - self.seq
            self.seq = last_seq

    def sync(self) -> None:
        """Make what was written durable."""
        self._files.fdatasync(self._fd)

    def _check_untouched(self, size: int) -> None:
        """Whether the segment's name still stands for the file that is written, `size` bytes long.

        By the name, since a descriptor does not know that its file was moved away: what is written to a
        file that no start will read is lost. After the sync, and right before it is told as durable.

        Raises:
            OSError: somebody else has moved, removed, replaced, shortened or lengthened it.
        """
        if self.path is None or self._file is None:
            return
        try:
            found = self._files.look(self.path)
        except FileNotFoundError:
            msg = "the segment that is written was moved or removed: put it back"
            raise FileNotFoundError(errno.ENOENT, msg, str(self.path)) from None
        if found == (*self._file, size):
            return
        if found[:2] != self._file:
            msg = "expected the segment that was opened, got another file: put the first one back"
            raise OSError(errno.ESTALE, msg, str(self.path))
        msg = (
            f"expected a segment of {size} bytes, got {found[2]}: somebody else has changed it, "
            "see with `understudy journal verify` what is missing"
        )
        raise OSError(errno.EIO, msg, str(self.path))

    def _break(self, error: Exception) -> None:
        """End writing. Also for errors that nobody expected: one thread serves all, and must go on."""
        if isinstance(error, OSError):
            self.problem = error
        else:
            code = errno.ENOMEM if isinstance(error, MemoryError) else errno.EIO
            self.problem = OSError(code, f"the journal could not be written: {error!r}")
            with suppress(MemoryError):
                logger.error(
                    "writing %s failed", self.path, exc_info=error,
                    extra={"action": "journal_write_failed", "file": str(self.path)},
                )  # fmt: skip
        self.close()

    def break_off(self, problem: OSError) -> None:
        """End writing, for an error outside of it; the first `problem` stays."""
        if self.problem is None:
            self.problem = problem
        self.close()

    def _start_segment(self) -> None:
        """Make the segment that begins after `seq`; its name is durable before a line goes into it."""
        self.close()
        if self.path is None:
            self._files.make_folders(self.folder)
            self._files.sync_folder(self.folder.parent)  # an attempt that failed may have made it
        path = segment_path(self.folder, self.seq + 1, self.epoch)
        self._fd = self._files.open(path, MAKE | APPEND)
        self._files.sync_folder(self.folder)
        self._file = self._files.look(self._fd)[:2]
        self.path, self.size, self.lines, self._leave = path, 0, 0, False

    def reopen(self) -> None:
        """Go on in a new, synced segment of the next epoch, which makes what failed void (rule J5).

        Raises:
            OSError: the disk is still bad; `problem` stays set.
        """
        failed, size = self.path, self.size
        self.epoch += 1  # also when an earlier attempt got half way: its file is not used again
        self._start_segment()
        self._check_disk()
        self.sync()
        self.problem = None
        if failed is not None:
            self._tidy(failed, size)

    def _check_disk(self) -> None:
        """Write and sync a page beside the segments: on a full disk an empty file can still be made."""
        probe = self.folder / ".probe"
        try:
            fd = self._files.open(probe, REPLACE)
            try:
                rest = _PROBE
                while rest:
                    rest = rest[self._files.write(fd, rest) :]
                self._files.fdatasync(fd)
            finally:
                self._files.close(fd)
        finally:
            with suppress(OSError):
                self._files.unlink(probe)

    def _tidy(self, failed: Path, size: int) -> None:
        """Move the void lines out of the failed segment, so that `jq` over all files sees none.

        Only what lies beyond the watermark is touched, only after the new segment is durable, and
        only once the copy is: a crash or an error anywhere leaves a part that is void by rule.
        """
        try:
            kept = cut_off(self._files, failed, size, "void")
        except OSError as error:
            logger.warning(
                "could not tidy %s: %s",
                failed,
                error,
                extra={"action": "journal_tidy_failed", "file": str(failed)},
            )
            return
        if kept is not None:
            logger.info("void lines moved to %s", kept, extra={"action": "journal_tidied", "file": str(kept)})

    def place(self) -> Place | None:
        """Where the line after `seq` will begin."""
        return None if self.path is None else Place(self.path.name, self.lines + 1, self.size)

    def close(self) -> None:
        """Give the descriptor back; the next commit opens the segment again."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                self._files.close(fd)
            except OSError as error:  # nothing depends on it: what counts was synced
                logger.warning(
                    "closing %s: %s",
                    self.path,
                    error,
                    extra={"action": "journal_close_failed", "file": str(self.path)},
                )
