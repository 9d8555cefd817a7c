"""What of a journal is kept: snapshots, and the lines behind the oldest of them (rules J6, J7).

Lines go a segment at a time, oldest first, and only what lies wholly before the older of the newest two
snapshots: recovery never needs it, also when the newest one is damaged. Everything here runs on the
writer's thread, and a crash at any operation leaves a journal that is whole.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from understudy.protocols.errors import JournalDamaged
from understudy.supervision.files import READ
from understudy.supervision.journal.segments import Part, list_segments, read_about, resolve
from understudy.supervision.journal.snapshots import KEEP, list_snapshots, read_snapshot, seq_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from understudy.supervision.files import Files

_TS = re.compile(rb'{"seq":\d+,"ts":(\d+),')
_LEAVE_PARTS = 16


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept, as one snapshot is published.

    Attributes:
        keep_bytes: segments and snapshots together; beyond that the oldest segments go.
        keep_age_s: segments whose last line is older go; None keeps them however old they are.
        now: seconds since the epoch.
        held: the last seq that everybody who follows the journal has read; None when nobody does.
        readable: whether the actor's class can read a snapshot's body. Lines that it stands in for are
            not removed before that is known.
    """

    keep_bytes: int
    keep_age_s: float | None
    now: float
    held: int | None
    readable: Callable[[bytes], bool]

    @property
    def leave_bytes(self) -> int:
        """A segment of this size is left at a snapshot, so that it can go before it is a large part."""
        return self.keep_bytes // _LEAVE_PARTS


def prune_snapshots(files: Files, folder: Path) -> None:
    """Remove the snapshots that nothing needs.

    Kept are the newest two, and for each segment the oldest one that time travel can begin with (the first
    segment of a whole journal needs none).

    Raises:
        JournalDamaged, OSError: nothing more was removed.
    """
    paths = list_snapshots(files, folder)
    seqs = sorted(map(seq_of, paths))
    begins = [part.segment.first_seq for part in _parts(files, folder)]
    needed = {next((seq for seq in seqs if seq >= first - 1), 0) for first in begins if first > 1}
    for path in paths[KEEP:]:
        if seq_of(path) not in needed:
            with suppress(FileNotFoundError):
                files.unlink(path)


def trim(files: Files, folder: Path, retention: Retention) -> int | None:
    """Remove the segments that are too many or too old, then the snapshots that led to them.

    Returns:
        The first seq that is kept, when something was removed.

    Raises:
        JournalDamaged: one of the snapshots that would be all there is is not whole. Nothing was removed.
        OSError: what was removed by then is gone, and the journal is whole.
    """
    snapshots = list_snapshots(files, folder)[:KEEP]
    if len(snapshots) < KEEP:
        return None
    upto = seq_of(snapshots[-1])
    if retention.held is not None:
        upto = min(upto, retention.held)
    parts = _parts(files, folder)
    count = _too_many(files, folder, parts, upto, retention)
    if count == 0:
        return None
    older = [read_snapshot(files, path) for path in snapshots][-1]
    if not retention.readable(older.body):
        reason = "the actor's class can't read it: no lines are removed for it"
        raise JournalDamaged(str(older.path), 1, 0, reason)
    first = parts[count].segment
    for segment in list_segments(files, folder):
        if (segment.epoch, segment.first_seq) >= (first.epoch, first.first_seq):
            break
        # In the order in which they were made, each one's end durable before the next one's: a segment that
        # came back would make lines count again that were void, or leave a hole.
        files.unlink(segment.path)
        files.sync_folder(folder)
    prune_snapshots(files, folder)
    return first.first_seq


def _too_many(files: Files, folder: Path, parts: list[Part], upto: int, retention: Retention) -> int:
    """How many of the first parts are to go."""
    sizes = {segment.path: _size(files, segment.path) for segment in list_segments(files, folder)}
    size = sum(sizes.values()) + sum(_size(files, path) for path in list_snapshots(files, folder))
    count = 0
    for part, behind in pairwise(parts):
        if part.end_seq is None or part.end_seq > upto + 1:
            break
        if size <= retention.keep_bytes and not _is_old(files, behind, retention):
            break
        size -= sizes[part.segment.path]
        count += 1
    return count


def _is_old(files: Files, behind: Part, retention: Retention) -> bool:
    """Whether a part is too old: the first line of the one behind it was made right after its last."""
    if retention.keep_age_s is None:
        return False
    fd = files.open(behind.segment.path, READ)
    try:
        found = _TS.match(files.read_at(fd, 64, 0))
    finally:
        files.close(fd)
    return found is not None and int(found[1]) / 1e6 < retention.now - retention.keep_age_s


def _parts(files: Files, folder: Path) -> list[Part]:
    return resolve(list_segments(files, folder), read_about(files, folder).gaps)


def _size(files: Files, path: Path) -> int:
    fd = files.open(path, READ)
    try:
        return files.size(fd)
    finally:
        files.close(fd)
