"""Reading journals from their files, without a lock, while their owner may be writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudy.protocols.errors import JournalDamaged, NotFound
from understudy.supervision.journal import journal_names
from understudy.supervision.journal.scan import SegmentReader, why_damaged
from understudy.supervision.journal.segments import list_segments, read_about, resolve
from understudy.supervision.journal.snapshots import list_snapshots, read_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from understudy.supervision.home import Home
    from understudy.supervision.journal.segments import Part


class EventEntry(BaseModel):
    """An event as a line holds it."""

    model_config = ConfigDict(extra="allow")

    type: str
    v: int = 1
    data: dict[str, object] = {}


class Line(BaseModel):
    """A journal's line as people look at it; `ts` is in microseconds since the epoch."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    seq: int
    ts: int
    cause: str = ""
    sender: str = Field(default="", alias="from")
    n: int = 0
    events: list[EventEntry] = []
    sends: list[object] = []


class Damage(BaseModel):
    """Where a journal is damaged, and how."""

    file: str
    line: int
    offset: int
    reason: str


class JournalReport(BaseModel):
    """What a look at a whole journal found.

    Attributes:
        lines: how many whole lines count; `first_seq` and `last_seq` are of the first and last.
        gaps: sequence numbers that `repair` gave up, (first, last) each.
        unfinished_bytes: at the end, of an append that was never acknowledged (or is just under way).
        damage: what no crash can explain; None for a whole journal.
        bad_snapshots: snapshots that are not whole; an older one or the lines stand in for them.
    """

    journal: str
    state: str = "whole"
    lines: int = 0
    first_seq: int = 0
    last_seq: int = 0
    incarnation: int = 1
    segments: int = 0
    size_bytes: int = 0
    gaps: tuple[tuple[int, int], ...] = ()
    unfinished_bytes: int = 0
    snapshots: int = 0
    bad_snapshots: list[Damage] = []
    damage: Damage | None = None


def names(home: Home) -> list[str]:
    """The home's journals, sorted."""
    return journal_names(home.files, home.journals) if home.journals.is_dir() else []


def folder_of(home: Home, name: str) -> Path:
    """The journal's folder.

    Raises:
        NotFound: the home has no such journal.
    """
    known = names(home)
    if name not in known:
        msg = f"{home.path} has no journal {name!r}; it has: {', '.join(known) or 'none'}"
        raise NotFound(msg)
    return home.journals / name


def read_lines(home: Home, name: str, report: JournalReport | None = None) -> Iterator[tuple[int, bytes]]:
    """All kept lines that count, oldest first: (seq, line). Fills `report` when one is given. Blocks.

    Raises:
        JournalDamaged: at a line that no crash can explain; what came before it was good.
    """
    folder = folder_of(home, name)
    report = report or JournalReport(journal=name)
    about = read_about(home.files, folder)
    segments = list_segments(home.files, folder)
    report.incarnation, report.gaps, report.segments = about.incarnation, about.gaps, len(segments)
    for part in resolve(segments, about.gaps):
        yield from _read_part(home, part, report)


def _read_part(home: Home, part: Part, report: JournalReport) -> Iterator[tuple[int, bytes]]:
    reader = SegmentReader(home.files, part.segment.path, part.segment.first_seq)
    for chunk in reader.chunks(part.end_seq):
        for index, line in enumerate(chunk.lines):
            seq = chunk.first_seq + index
            report.first_seq = report.first_seq or seq
            report.lines, report.last_seq = report.lines + 1, seq
            report.size_bytes += len(line)
            yield seq, line
    if part.end_seq is not None and reader.seq < part.end_seq:
        reason = f"expected lines up to seq {part.end_seq - 1}, got none after seq {reader.seq - 1}"
        raise reader.damaged(reason)
    if reader.bad:
        rest = home.files.read_all(part.segment.path, reader.offset)
        if (reason := why_damaged(rest, reader.offset, reader.seq, 0)) is not None:
            raise reader.damaged(reason)
        report.unfinished_bytes = len(rest)


def parse_line(name: str, seq: int, line: bytes) -> Line:
    """A line as a model.

    Raises:
        JournalDamaged: its checksum is right, but it is no turn, or not the one that belongs there.
    """
    try:
        parsed = Line.model_validate_json(line)
    except ValidationError as error:
        raise JournalDamaged(name, seq, 0, f"expected a turn: {error.errors()[0]['msg']}") from error
    if parsed.seq != seq:
        raise JournalDamaged(name, seq, 0, f"expected seq {seq}, got {parsed.seq}")
    return parsed


def verify(home: Home, name: str) -> JournalReport:
    """Look at every line and snapshot of a journal; damage is in the report, not raised. Blocks."""
    report = JournalReport(journal=name)
    try:
        for seq, line in read_lines(home, name, report):
            parse_line(name, seq, line)
    except JournalDamaged as damaged:
        report.damage, report.state = _damage(damaged), "damaged"
    for path in list_snapshots(home.files, home.journals / name):
        report.snapshots += 1
        try:
            read_snapshot(home.files, path)
        except JournalDamaged as damaged:
            report.bad_snapshots.append(_damage(damaged))
    return report


def _damage(damaged: JournalDamaged) -> Damage:
    return Damage(file=damaged.file, line=damaged.line, offset=damaged.offset, reason=damaged.reason)
