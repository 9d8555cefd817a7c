"""Snapshots beside the segments: `snapshot-<seq>.json`, one sealed JSON line each (rule J6).

    {"seq":1200,"segment":"0000000000000001-0001.jsonl","line":1201,"offset":281344,"body":{…},"crc":"…"}

`segment`, `line` and `offset` are where the line after `seq` begins (empty and 0 when that was not
known): a hint that saves reading what the snapshot covers.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, cast

from understudy.protocols.errors import JournalDamaged
from understudy.supervision.files import READ
from understudy.supervision.journal.line import TAIL_BYTES, is_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from understudy.protocols.errors import UnderstudyError
    from understudy.supervision.files import Files

_NAME = re.compile(r"snapshot-(\d{16})\.json")
_UNPUBLISHED = re.compile(r"snapshot-\d{16}\.json\.tmp")
KEEP = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line begins: the segment's file name, the line's number in it from 1, its byte offset."""

    segment: str
    line: int
    offset: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state as of `seq`: `body` is what the actor gave to `publish_snapshot`."""

    seq: int
    body: bytes
    path: Path
    after: Place | None


class _Head(TypedDict):
    seq: int
    segment: str
    line: int
    offset: int


def list_snapshots(files: Files, folder: Path) -> list[Path]:
    """The snapshots' files, newest first."""
    return [folder / name for name in reversed(files.listdir(folder)) if _NAME.fullmatch(name)]


def seq_of(path: Path) -> int:
    """The seq in a snapshot's name."""
    return int(path.name[len("snapshot-") : -len(".json")])


def read_snapshot(files: Files, path: Path) -> Snapshot:
    """One snapshot, checked.

    Raises:
        JournalDamaged: it is not whole, or not what its name says.
    """
    data = files.read_all(path)
    head, found, _ = data.partition(b',"body":')
    if not is_sealed(data) or not found:
        raise JournalDamaged(str(path), 1, 0, "the checksum is wrong")
    fields = cast("_Head", json.loads(head + b"}"))
    if path.name != _file_name(fields["seq"]):
        raise JournalDamaged(str(path), 1, 0, f"expected the snapshot of its name, got seq {fields['seq']}")
    after = Place(fields["segment"], fields["line"], fields["offset"]) if fields["segment"] else None
    return Snapshot(fields["seq"], data[len(head) + len(found) : -TAIL_BYTES], path, after)


def newest_snapshot(
    files: Files, folder: Path, unfit: Mapping[Path, UnderstudyError], end_seq: int | None = None
) -> tuple[Snapshot | None, list[UnderstudyError]]:
    """The newest snapshot up to `end_seq` that is whole and not `unfit`, and why newer ones are not."""
    skipped: list[UnderstudyError] = []
    for path in list_snapshots(files, folder):
        if end_seq is not None and seq_of(path) > end_seq:
            continue
        if path in unfit:
            skipped.append(unfit[path])
            continue
        try:
            return read_snapshot(files, path), skipped
        except FileNotFoundError:
            continue  # a newer one has just been published, and this one removed
        except JournalDamaged as damage:
            skipped.append(damage)
    return None, skipped


def write_snapshot(files: Files, folder: Path, seq: int, body: bytes, after: Place | None) -> None:
    """Publish a snapshot, durable when it returns. Everything up to `seq` must be durable before."""
    place = after or Place("", 0, 0)
    head = b'{"seq":%d,"segment":%b,"line":%d,"offset":%d,"body":%b' % (
        seq,
        json.dumps(place.segment).encode(),
        place.line,
        place.offset,
        body,
    )
    files.publish(folder / _file_name(seq), seal(head))
    for name in files.listdir(folder):
        if _UNPUBLISHED.fullmatch(name):
            with suppress(FileNotFoundError):
                files.unlink(folder / name)


def place_holds(files: Files, path: Path, place: Place, seq: int) -> bool:
    """Whether the line of `seq` (or the file's end) is at `place`, right behind a newline."""
    try:
        fd = files.open(path, READ)
    except FileNotFoundError:
        return False
    try:
        if place.offset == 0:
            return place.line == 1
        around = files.read_at(fd, 64, place.offset - 1)
    finally:
        files.close(fd)
    return around == b"\n" or around.startswith(b'\n{"seq":%d,' % seq)


def _file_name(seq: int) -> str:
    return f"snapshot-{seq:016d}.json"
