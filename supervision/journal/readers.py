"""Reading journals from outside, without a lock, while their owner may be writing (rule H2).

What a reader sees may be ahead of the watermark: lines that are written but not yet durable. A
reader for whom that matters bounds itself by the watermark.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from understudy.supervision.journal.line import is_sealed
from understudy.supervision.journal.scan import Chunk, SegmentReader, why_damaged
from understudy.supervision.journal.segments import (
    Part,
    Segment,
    list_segments,
    read_about,
    resolve,
    unless_trimmed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from understudy.supervision.files import Files


class JournalReader:
    """Reads a journal's lines in order and remembers where it is: `read()` again gives what is new.

    Lines that retention has removed are left out: the next chunk's `first_seq` tells.

    Args:
        after_seq: begin behind this number. Lines before it are not read where a whole segment is,
            and not checked where a part is.

    Attributes:
        seq: of the last line that was read (or given up in a gap).
    """

    def __init__(self, files: Files, folder: Path, after_seq: int = 0) -> None:
        self.seq = after_seq
        self._files = files
        self._folder = folder
        self._place: tuple[Path, int, int, int] | None = None  # segment, next seq, line, offset

    def read(self) -> Iterator[Chunk]:
        """The whole lines that are there now. An unfinished last line is left for the next time.

        Raises:
            JournalDamaged: at a record that no crash and no append under way can explain.
        """
        while True:
            segments = list_segments(self._files, self._folder)
            try:
                yield from self._read_parts(segments)
            except FileNotFoundError:
                if list_segments(self._files, self._folder)[:1] == segments[:1]:
                    raise
                # else the owner has removed lines meanwhile: go on behind them
            else:
                return

    def _read_parts(self, segments: list[Segment]) -> Iterator[Chunk]:
        for part in resolve(segments, read_about(self._files, self._folder).gaps):
            if part.end_seq is None or part.end_seq > self.seq + 1:
                yield from self._read_part(part)

    def _read_part(self, part: Part) -> Iterator[Chunk]:
        reader = SegmentReader(self._files, part.segment.path, part.segment.first_seq)
        if self._place is not None and self._place[0] == part.segment.path:
            reader.start_at(*self._place[1:])
        elif self.seq >= part.segment.first_seq:
            reader.skip(self.seq + 1 - part.segment.first_seq)
        for chunk in reader.chunks(part.end_seq):
            self.seq = chunk.first_seq + len(chunk.lines) - 1
            self._place = (part.segment.path, reader.seq, reader.line, reader.offset)
            yield chunk
        self._check_stop(reader, part)

    def _check_stop(self, reader: SegmentReader, part: Part) -> None:
        if part.end_seq is not None and reader.seq < part.end_seq:
            raise reader.damaged(
                f"expected lines up to seq {part.end_seq - 1}, got none after {reader.seq - 1}"
            )
        if reader.bad and part.end_seq is None:
            rest = self._files.read_all(reader.path, reader.offset)
            # by now the owner may have finished the line: only what stays bad is damage
            reason = why_damaged(rest, reader.offset, reader.seq, 0) if rest else None
            if reason is not None and _stays_bad(rest):
                raise reader.damaged(reason)


def _stays_bad(rest: bytes) -> bool:
    first = rest.partition(b"\n")[0] + b"\n"
    return not is_sealed(first)


def last_lines(files: Files, folder: Path, count: int) -> list[bytes]:
    """The last `count` lines, oldest first; fewer when there are fewer. Reads as few segments as it can.

    Raises:
        JournalDamaged: among the lines that it reads.
    """
    return unless_trimmed(files, folder, partial(_last_lines, files, folder, count))


def _last_lines(files: Files, folder: Path, count: int) -> list[bytes]:
    parts = resolve(list_segments(files, folder), read_about(files, folder).gaps)
    for part in reversed(parts):
        lines: deque[bytes] = deque(maxlen=count)
        seen = 0
        for chunk in JournalReader(files, folder, part.segment.first_seq - 1).read():
            lines.extend(chunk.lines)
            seen += len(chunk.lines)
        if seen >= count or part is parts[0]:
            return list(lines)
    return []
