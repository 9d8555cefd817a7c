"""A look at every record of a segment, also past damage: what `verify` counts and `repair` keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from understudy.supervision.journal.line import is_sealed
from understudy.supervision.journal.scan import number_of, why_damaged, why_numbers_wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from understudy.supervision.files import Files
    from understudy.supervision.journal.segments import Part

_END = re.compile(rb',"crc":"[0-9a-f]{8}"}')


@dataclass(frozen=True, slots=True)
class Good:
    """A whole line, with the number that was expected or a later one (the ones between are missing)."""

    seq: int
    line: bytes


@dataclass(frozen=True, slots=True)
class Bad:
    """Bytes that are no line, or not the one that belongs there; none where lines are missing."""

    line: int
    offset: int
    data: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Torn:
    """The end of the last segment, as an append that was never acknowledged leaves it."""

    offset: int
    data: bytes


def survey(files: Files, part: Part) -> Iterator[Good | Bad | Torn]:
    """Every record of the part that counts, in order. Memory: the segment's size."""
    data = files.read_all(part.segment.path)
    judge = _Judge(part.segment.first_seq, part.end_seq)
    offset = number = 0
    for record in BytesIO(data):
        if judge.is_done():
            return
        if part.end_seq is None and not is_sealed(record):
            rest = data[offset:]
            if why_damaged(rest, offset, judge.seq, 0) is None:
                yield Torn(offset, rest)
                return
        number += 1
        yield from judge.look_at(record, number, offset)
        offset += len(record)
    if part.end_seq is not None and not judge.is_done() and not judge.excused:
        reason = f"expected lines up to seq {part.end_seq - 1}, got none after {judge.seq - 1}"
        yield Bad(number + 1, len(data), b"", reason)


class _Judge:
    """Says of each record whether it is the line that belongs there.

    Attributes:
        seq: the number that the next line should have.
        excused: whether a bad record was passed, so that the next good line may have a later one.
    """

    def __init__(self, seq: int, end_seq: int | None) -> None:
        self.seq = seq
        self.excused = False
        self._end_seq = end_seq

    def is_done(self) -> bool:
        """Whether all that counts was there; what follows is void."""
        return self._end_seq is not None and self.seq >= self._end_seq

    def look_at(self, record: bytes, number: int, offset: int) -> Iterator[Good | Bad]:
        """What one physical line holds: one record, or several with a wrong byte for a newline."""
        for start, piece in _unglue(record):
            if start:
                yield Bad(number, offset + start - 1, record[start - 1 : start], "the newline is wrong")
            if piece and not self.is_done():
                yield from self._look_at_piece(piece, number, offset + start)

    def _look_at_piece(self, piece: bytes, number: int, offset: int) -> Iterator[Good | Bad]:
        reason = _why_wrong(piece, self.seq)
        found = number_of(piece, "seq") if is_sealed(piece) else 0
        if reason is None or (found > self.seq and not self._is_void(found)):
            if reason is not None and not self.excused:
                yield Bad(number, offset, b"", reason)
            yield Good(found, piece)
            self.seq, self.excused = found + 1, False
        elif not self._is_void(found):
            yield Bad(number, offset, piece, reason)
            self.excused = True

    def _is_void(self, seq: int) -> bool:
        return self._end_seq is not None and seq >= self._end_seq


def _unglue(record: bytes) -> list[tuple[int, bytes]]:
    """The record's pieces and where they begin in it; more than one when all but the last are sealed."""
    pieces: list[tuple[int, bytes]] = []
    start = 0
    while not is_sealed(record[start:]):
        for match in _END.finditer(record, start):
            if is_sealed(piece := record[start : match.end()] + b"\n"):
                pieces.append((start, piece))
                start = match.end() + 1
                break
        else:
            break
    return [*pieces, (start, record[start:])]


def _why_wrong(record: bytes, seq: int) -> str | None:
    if not is_sealed(record):
        return "a NUL where none belongs" if b"\0" in record else "the checksum is wrong"
    return why_numbers_wrong(record, seq)
