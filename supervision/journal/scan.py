"""Reading a segment: whole lines, checked, in chunks; and what a bad end means (rule J4)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, cast
from zlib import crc32

from understudy.protocols.errors import JournalDamaged
from understudy.supervision.files import READ
from understudy.supervision.journal.line import TAIL_BYTES, is_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from understudy.supervision.files import Files

CHUNK_LINES = 64
"""A decoded line is about six containers. More lines than this pass the collector's threshold of 700, and
each chunk then costs a pass over all of them: a third of the time of a recovery."""
_BLOCK_BYTES = 256 << 10
_SECTOR_BYTES = 512
_NULS = re.compile(rb"\0+")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of a segment, in order, each whole (newline included) and with a right checksum.

    That line i has `seq == first_seq + i` is for the caller to check, who decodes it anyway.

    Attributes:
        lines: at most 64.
        first_seq: the sequence number that the first line must have.
        path: the segment.
        first_line: line number of the first line in its file, from 1.
        offset: byte offset of the first line in its file.
    """

    lines: list[bytes]
    first_seq: int
    path: Path
    first_line: int
    offset: int

    def damaged(self, index: int, reason: str) -> JournalDamaged:
        """The error that names the chunk's line `index`."""
        offset = self.offset + sum(map(len, self.lines[:index]))
        return JournalDamaged(str(self.path), self.first_line + index, offset, reason)


class SegmentReader:
    """Reads one segment from a line's start on, until its end, a bad line, or as far as asked.

    Attributes:
        seq: the sequence number that the next line must have.
        line: its line number, from 1 (counted from where the reader started).
        offset: its byte offset. After `chunks()` has ended: where the first byte that was not
            accepted lies, if there is one.
        last: the last good line, or b"".
        bad: whether it stopped at something that is not a whole, checked line.
    """

    def __init__(self, files: Files, path: Path, first_seq: int) -> None:
        self.path = path
        self.seq = first_seq
        self.line = 1
        self.offset = 0
        self.last = b""
        self.bad = False
        self._files = files

    def start_at(self, seq: int, line: int, offset: int) -> None:
        """Begin at a line whose place is known, instead of the segment's first."""
        self.seq, self.line, self.offset = seq, line, offset

    def skip(self, count: int) -> None:
        """Pass over `count` lines without checking them; stops early at the file's end."""
        fd = self._files.open(self.path, READ)
        try:
            self._files.seek(fd, self.offset)
            rest = b""
            while count and (block := self._files.read(fd, _BLOCK_BYTES)):
                lines = BytesIO(rest + block).readlines()
                rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
                if lines:
                    self._pass(lines[:count])
                    count -= min(count, len(lines))
        finally:
            self._files.close(fd)

    def chunks(self, end_seq: int | None) -> Iterator[Chunk]:
        """The good lines up to, not including, `end_seq` (None: up to the file's end)."""
        fd = self._files.open(self.path, READ)
        try:
            self._files.seek(fd, self.offset)
            rest = b""
            while not self.bad and (end_seq is None or self.seq < end_seq):
                block = self._files.read(fd, _BLOCK_BYTES)
                if not block:
                    self.bad = bool(rest)
                    return
                lines = BytesIO(rest + block).readlines()
                rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
                if end_seq is not None:
                    del lines[end_seq - self.seq :]
                good = _count_sealed(lines)
                self.bad = good < len(lines)
                del lines[good:]
                yield from self._split(lines)
        finally:
            self._files.close(fd)

    def _split(self, lines: list[bytes]) -> Iterator[Chunk]:
        for at in range(0, len(lines), CHUNK_LINES):
            some = lines[at : at + CHUNK_LINES]
            chunk = Chunk(some, self.seq, self.path, self.line, self.offset)
            self._pass(some)
            yield chunk

    def _pass(self, lines: list[bytes]) -> None:
        self.seq += len(lines)
        self.line += len(lines)
        self.offset += sum(map(len, lines))
        self.last = lines[-1]

    def damaged(self, reason: str) -> JournalDamaged:
        """The error that names the place where the reader stands."""
        return JournalDamaged(str(self.path), self.line, self.offset, reason)


def _count_sealed(lines: list[bytes]) -> int:
    """How many of the first lines are sealed. `is_sealed` inlined: half of a replay's time goes here."""
    crc = crc32
    for index, line in enumerate(lines):
        if not line.endswith(b',"crc":"%08x"}\n' % crc(line[:-TAIL_BYTES])):
            return index
    return len(lines)


def number_of(line: bytes, field: str) -> int:
    """The integer `field` of a sealed line ("seq", "mark"); -1 when there is none."""
    value = _fields(line).get(field)
    return value if isinstance(value, int) else -1


def why_numbers_wrong(line: bytes, seq: int) -> str | None:
    """What is wrong with the numbers of a sealed line that should be `seq`; None when nothing is."""
    fields = _fields(line)
    found, mark = fields.get("seq"), fields.get("mark")
    if found != seq:
        return f"expected seq {seq}, got {found}"
    if not isinstance(mark, int) or not 0 <= mark < seq:
        return f"expected a mark from 0 to {seq - 1}, got {mark}"
    return None


def _fields(line: bytes) -> dict[str, object]:
    try:
        decoded = cast("object", json.loads(line))
    except ValueError:
        return {}
    return cast("dict[str, object]", decoded) if isinstance(decoded, dict) else {}


def why_damaged(rest: bytes, offset: int, seq: int, proven: int) -> str | None:
    """Whether the end of a journal's last segment is damaged, or only torn by a crash (rule J4).

    Args:
        rest: the file from the first line that is not whole and checked (never empty).
        offset: where `rest` begins in the file.
        seq: the sequence number that this line should have had.
        proven: the highest seq that something else knows to be durable.

    Returns:
        what is wrong; None when an append that was never acknowledged can have left this.
    """
    first, newline, later = rest.partition(b"\n")
    if proven >= seq:
        return f"seq {seq} is not readable, but everything up to seq {proven} was durable"
    for line in later.split(b"\n"):
        if line and is_sealed(line + b"\n") and number_of(line, "mark") >= seq:
            return f"seq {seq} is not readable, but a later line knows it as durable"
    if b"\0" in first:
        return None if _are_unwritten(first + newline, offset, last=not later) else "a NUL where none belongs"
    if newline:
        return "the checksum is wrong"
    if is_sealed(first[:-1] + b"\n"):
        return "the newline is wrong"
    return None


def _are_unwritten(line: bytes, offset: int, *, last: bool) -> bool:
    """Whether all NULs in `line` can be sectors that a crash left unwritten.

    They then begin where the append began (a line's start) or at a sector's start, and end with a
    sector or with the file. A single NUL that a flipped bit made does not.
    """
    for run in _NULS.finditer(line):
        start, end = offset + run.start(), offset + run.end()
        starts = run.start() == 0 or start % _SECTOR_BYTES == 0
        ends = end % _SECTOR_BYTES == 0 or (last and run.end() == len(line))
        if not (starts and ends):
            return False
    return True
