"""Reading a journal from a cursor on, while its actor goes on writing to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.supervision.journal.scan import SegmentReader
from understudy.supervision.journal.segments import list_segments, read_about, resolve
from understudy.supervision.time_travel import kept_seqs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from understudy.supervision.files import Files
    from understudy.supervision.journal.scan import Chunk


def incarnation_of(files: Files, folder: Path) -> int:
    """The incarnation of the journal's numbers (rule D4). Blocks.

    Raises:
        JournalDamaged, OSError.
    """
    return read_about(files, folder).incarnation


def begins_after(files: Files, folder: Path, durable: int) -> int:
    """The seq as of which a state stands in for the lines that retention has removed; 0 when none is. Blocks.

    Raises:
        JournalDamaged, OSError.
    """
    return kept_seqs(files, folder, durable).first


def gone_until(files: Files, folder: Path) -> int:
    """The last seq whose line retention has removed; 0 when none is. Blocks.

    Mostly lower than `begins_after`: a snapshot is rarely just before the first line that is left.

    Raises:
        JournalDamaged, OSError.
    """
    parts = resolve(list_segments(files, folder), read_about(files, folder).gaps)
    return parts[0].segment.first_seq - 1 if parts else 0


def chunks_after(files: Files, folder: Path, after: int, upto: int) -> Iterator[Chunk]:
    """The lines after seq `after`, up to and with `upto`, which must be durable. Blocks.

    Lines that `repair` has taken out, or that retention has, are missing: the next chunk's
    `first_seq` tells.

    Raises:
        JournalDamaged, OSError.
    """
    gaps = read_about(files, folder).gaps
    for part in resolve(list_segments(files, folder), gaps):
        end = upto + 1 if part.end_seq is None else min(part.end_seq, upto + 1)
        if end <= after + 1:
            continue
        reader = SegmentReader(files, part.segment.path, part.segment.first_seq)
        if after >= reader.seq:
            reader.skip(after + 1 - reader.seq)
        yield from reader.chunks(end)
        if reader.bad:
            raise reader.damaged(
                f"expected whole lines up to seq {end - 1}, got a bad one at seq {reader.seq}"
            )
