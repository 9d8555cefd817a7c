"""Which files make up a journal, and which part of each counts.

A journal's folder holds segments `<first seq>-<epoch>.jsonl`. A segment of a later epoch, or one with
a higher first seq in the same epoch, makes the lines of earlier segments from its first seq on void
(rule J5). `journal.json` (absent = incarnation 1, no gaps) is written by `repair` only: `incarnation`
(rule D4), and `gaps`, the sequence numbers that were lost to damage; a gap always lies right before
a segment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from understudy.protocols.errors import JournalDamaged
from understudy.supervision.files import EDIT
from understudy.supervision.journal.line import TAIL_BYTES, is_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from understudy.supervision.files import Files

T = TypeVar("T")

_NAME = re.compile(r"(\d{16})-(\d{4,})\.jsonl")
ABOUT = "journal.json"


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment's file: its first sequence number, and the epoch it was made in."""

    path: Path
    first_seq: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a segment that counts: lines `segment.first_seq` up to, not including, `end_seq`.

    `end_seq` is None for the last segment, whose end only its bytes tell.
    """

    segment: Segment
    end_seq: int | None


class About(BaseModel):
    """What `journal.json` says. A gap is (first, last), both missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    incarnation: int = 1
    gaps: tuple[tuple[int, int], ...] = ()


def journal_names(files: Files, folder: Path) -> list[str]:
    """The journals in `folder`, sorted; reads names only."""
    return [
        name for name in files.listdir(folder) if not name.startswith(".") and files.is_folder(folder / name)
    ]


def segment_path(folder: Path, first_seq: int, epoch: int) -> Path:
    """Where the segment lies."""
    return folder / f"{first_seq:016d}-{epoch:04d}.jsonl"


def list_segments(files: Files, folder: Path) -> list[Segment]:
    """All segments, in the order in which they were made."""
    found = [
        Segment(folder / name, int(match[1]), int(match[2]))
        for name in files.listdir(folder)
        if (match := _NAME.fullmatch(name))
    ]
    return sorted(found, key=lambda segment: (segment.epoch, segment.first_seq))


def resolve(segments: list[Segment], gaps: tuple[tuple[int, int], ...] = ()) -> list[Part]:
    """The parts that count, in order of sequence; what later segments made void is left out."""
    before = {last + 1: first for first, last in gaps}
    parts: list[Part] = []
    bound: int | None = None
    for segment in reversed(segments):
        if bound is None or segment.first_seq < bound:
            parts.append(Part(segment, bound))
            bound = before.get(segment.first_seq, segment.first_seq)
    return parts[::-1]


def unless_trimmed(files: Files, folder: Path, read: Callable[[], T]) -> T:
    """What `read` makes of the journal's files; read again when its owner has removed old ones meanwhile.

    Raises:
        FileNotFoundError: a file is missing that was there, and not for that reason.
    """
    while True:
        before = list_segments(files, folder)[:1]
        try:
            return read()
        except FileNotFoundError:
            if list_segments(files, folder)[:1] == before:
                raise


def read_about(files: Files, folder: Path) -> About:
    """What `repair` wrote down about the journal.

    Raises:
        JournalDamaged: the file is there, but not whole.
    """
    path = folder / ABOUT
    try:
        data = files.read_all(path)
    except FileNotFoundError:
        return About()
    if is_sealed(data):
        try:
            return About.model_validate_json(data[:-TAIL_BYTES] + b"}")
        except ValidationError as error:
            raise JournalDamaged(str(path), 1, 0, f"expected incarnation and gaps: {error}") from error
    raise JournalDamaged(str(path), 1, 0, "the checksum is wrong")


def publish_about(files: Files, folder: Path, about: About) -> None:
    """Write `journal.json`, durable when it returns."""
    files.publish(folder / ABOUT, seal(about.model_dump_json().encode()[:-1]))


def set_aside(files: Files, path: Path, offset: int, kind: str, data: bytes) -> Path:
    """Keep `data` (from `offset` of `path`) in `<path>.<kind>-<offset>`, durable when it returns.

    A file of that name with other bytes is left alone; another number is added instead.
    """
    attempt = 1
    while True:
        suffix = f".{kind}-{offset}" if attempt == 1 else f".{kind}-{offset}-{attempt}"
        kept = path.with_name(path.name + suffix)
        try:
            files.write_new(kept, data)
        except FileExistsError:
            old = files.read_all(kept)
            if data.startswith(old):
                files.publish(kept, data)
                return kept
            attempt += 1
        else:
            files.sync_folder(path.parent)
            return kept


def cut_off(files: Files, path: Path, offset: int, kind: str) -> Path | None:
    """Move what follows `offset` into a file of its own, then cut it off. Durable when it returns.

    The copy is durable before the cut: a crash in between leaves both, and the next cut finds the
    copy again. None when nothing follows.
    """
    data = files.read_all(path, offset)
    if not data:
        return None
    kept = set_aside(files, path, offset, kind, data)
    fd = files.open(path, EDIT)
    try:
        files.truncate(fd, offset)
        files.fdatasync(fd)
    finally:
        files.close(fd)
    return kept
