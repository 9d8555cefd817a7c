"""Replay: the newest whole snapshot, then the later lines, across segments (rules J4, J5, J6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from understudy.protocols.errors import JournalDamaged, UnderstudyError
from understudy.supervision.files import EDIT
from understudy.supervision.journal.scan import (
    Chunk,
    SegmentReader,
    number_of,
    why_damaged,
    why_numbers_wrong,
)
from understudy.supervision.journal.segments import (
    About,
    Part,
    cut_off,
    list_segments,
    read_about,
    resolve,
    segment_path,
)
from understudy.supervision.journal.snapshots import Snapshot, newest_snapshot, place_holds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from understudy.supervision.files import Files


@dataclass(frozen=True, slots=True)
class TornTail:
    """What a crash left of an append that was never acknowledged, now in a file of its own.

    Attributes:
        file: the segment that it was cut off from.
        offset: where it began.
        size: in bytes.
        kept: the file that holds it now.
    """

    file: Path
    offset: int
    size: int
    kept: Path


@dataclass
class Replay:
    """One reading of a journal. Iterate `run()` to its end, then the other fields are filled.

    Attributes:
        end_seq: read up to here (a rebuild); None reads all there is (a start, or a look from outside).
        proven: a seq that something outside knows to be durable.
        repair_tail: cut a torn tail off and keep it aside; else it is only left out.
        unfit: snapshots that the reader can't use, and why: passed over as damaged ones are.
        seq: the last sequence number that was read.
        lines, size: how many lines and bytes of the last segment count.
        last: its last line, b"" when none was read.
    """

    files: Files
    folder: Path
    end_seq: int | None = None
    proven: int = 0
    repair_tail: bool = False
    unfit: Mapping[Path, UnderstudyError] | None = None
    about: About = field(default_factory=About)
    torn: TornTail | None = None
    skipped: list[UnderstudyError] = field(default_factory=list[UnderstudyError])
    part: Part | None = None
    epoch: int = 1
    seq: int = 0
    lines: int = 0
    size: int = 0
    last: bytes = b""

    def run(self) -> Iterator[Snapshot | Chunk]:
        """At most one snapshot, then chunks in order.

        Raises:
            JournalDamaged: something that no crash can explain. Nothing was changed.
            OSError: the disk.
        """
        self.about = read_about(self.files, self.folder)
        segments = list_segments(self.files, self.folder)
        parts = resolve(segments, self.about.gaps)
        self.epoch = max((segment.epoch for segment in segments), default=1)
        snapshot = self._snapshot()
        if snapshot is not None:
            yield snapshot
            self.seq = snapshot.seq
            self.proven = max(self.proven, snapshot.seq)
        parts = [part for part in parts if part.end_seq is None or part.end_seq > self.seq + 1]
        self._check_start(parts)
        for part in parts:
            if self.end_seq is None or self.seq < self.end_seq:
                yield from self._read_part(part, snapshot)
        self._check_end()

    def _snapshot(self) -> Snapshot | None:
        snapshot, self.skipped = newest_snapshot(self.files, self.folder, self.unfit or {}, self.end_seq)
        return snapshot

    def _check_start(self, parts: list[Part]) -> None:
        """The line after the snapshot (or the first of all) must be in the first part, or in a gap."""
        if not parts:
            return
        first, wanted = parts[0].segment.first_seq, self.seq + 1
        if first <= wanted or any(a <= wanted and b == first - 1 for a, b in self.about.gaps):
            return
        if self.skipped:
            raise _needed(self.skipped[0], wanted, first)
        missing = segment_path(self.folder, wanted, parts[0].segment.epoch)
        raise JournalDamaged(str(missing), 1, 0, f"expected seq {wanted}, got no segment before seq {first}")

    def _read_part(self, part: Part, snapshot: Snapshot | None) -> Iterator[Chunk]:
        reader = SegmentReader(self.files, part.segment.path, part.segment.first_seq)
        if snapshot is not None and self.seq >= part.segment.first_seq:
            self._pass_over(reader, snapshot)
        end = part.end_seq
        if self.end_seq is not None:
            end = self.end_seq + 1 if end is None else min(end, self.end_seq + 1)
        for chunk in reader.chunks(end):
            yield chunk
            self.seq = chunk.first_seq + len(chunk.lines) - 1
            _check_numbers(chunk)
        if end is not None and reader.seq < end:
            raise reader.damaged(_why_short(self.files, reader, end))
        if reader.bad and end is None:
            self._end_is_bad(reader)
        self.seq = max(self.seq, reader.seq - 1)
        self.part, self.lines, self.size = part, reader.line - 1, reader.offset
        self.last = reader.last or self.last

    def _pass_over(self, reader: SegmentReader, snapshot: Snapshot) -> None:
        """Go to the line after the snapshot: at once where its hint is right, else by counting."""
        place = snapshot.after
        if (
            place is not None
            and place.segment == reader.path.name
            and place_holds(self.files, reader.path, place, snapshot.seq + 1)
        ):
            reader.start_at(snapshot.seq + 1, place.line, place.offset)
        else:
            reader.skip(snapshot.seq + 1 - reader.seq)
        if reader.seq != snapshot.seq + 1:
            reason = f"expected lines up to seq {snapshot.seq}, of which there is a snapshot, got the end"
            raise reader.damaged(reason)

    def _end_is_bad(self, reader: SegmentReader) -> None:
        rest = self.files.read_all(reader.path, reader.offset)
        reason = why_damaged(rest, reader.offset, reader.seq, self.proven)
        if reason is not None:
            raise reader.damaged(reason)
        if self.repair_tail:
            kept = cut_off(self.files, reader.path, reader.offset, "torn")
            if kept is not None:
                self.torn = TornTail(reader.path, reader.offset, len(rest), kept)

    def _check_end(self) -> None:
        wanted = self.proven if self.end_seq is None else self.end_seq
        if self.seq >= wanted:
            return
        path = self.part.segment.path if self.part else segment_path(self.folder, 1, 1)
        raise JournalDamaged(
            str(path),
            self.lines + 1,
            self.size,
            f"expected everything up to seq {wanted}, which was durable, got lines up to seq {self.seq}",
        )


def _needed(skipped: UnderstudyError, wanted: int, first: int) -> UnderstudyError:
    """The error of a snapshot that was passed over, and that the removed lines do not stand in for."""
    gone = f"the lines from seq {wanted} on that it stands for were removed, up to seq {first - 1}"
    if isinstance(skipped, JournalDamaged):
        reason = f"{skipped.reason}; {gone}"
        return JournalDamaged(skipped.file, skipped.line, skipped.offset, reason)
    return type(skipped)(f"{skipped}; {gone}")


def _check_numbers(chunk: Chunk) -> None:
    """The last line of a chunk tells whether all its numbers can be right; the caller looks at each."""
    if why_numbers_wrong(chunk.lines[-1], chunk.first_seq + len(chunk.lines) - 1) is None:
        return
    for index, line in enumerate(chunk.lines):
        if (reason := why_numbers_wrong(line, chunk.first_seq + index)) is not None:
            raise chunk.damaged(index, reason)


def _why_short(files: Files, reader: SegmentReader, end: int) -> str:
    if not reader.bad:
        return f"expected lines up to seq {end - 1}, got the end of the file before seq {reader.seq}"
    rest = files.read_all(reader.path, reader.offset)
    return why_damaged(rest, reader.offset, reader.seq, reader.seq) or "the line is not whole"


def write_again(files: Files, replay: Replay) -> None:
    """Write the lines that no mark proves once more where they are, and sync the segment.

    After a failed sync the kernel takes the pages for clean, so an fdatasync alone would "succeed"
    for lines that are only in the page cache; as dirty pages they are really written (rule J5: what
    the page cache shows proves nothing). The bytes stay the same, so a crash in between is harmless.
    """
    part = replay.part
    if part is None:
        return
    mark = number_of(replay.last, "mark") if replay.last else 0
    unproven = min(replay.seq - max(mark, replay.proven), replay.lines)
    fd = files.open(part.segment.path, EDIT)
    try:
        tail, offset = _last_lines(files, fd, replay.size, unproven) if unproven else (b"", 0)
        while tail:
            taken = files.write_at(fd, tail, offset)
            tail, offset = tail[taken:], offset + taken
        files.fdatasync(fd)
    finally:
        files.close(fd)


def _last_lines(files: Files, fd: int, size: int, count: int) -> tuple[bytes, int]:
    """At least the last `count` lines (all, when there are fewer), and where they begin."""
    want = 64 << 10
    while True:
        offset = max(0, size - want)
        data = files.read_at(fd, size - offset, offset)
        if offset == 0 or data.count(b"\n") > count:
            return data, offset
        want *= 4
