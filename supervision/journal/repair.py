"""`repair`: set the bad records of a journal aside, keep every good one, begin a new incarnation (JR-3).

Later good lines are kept although turns before them are lost: they are facts that were
acknowledged, and what left the actor depended on them. Nothing is renumbered: the lost numbers
become a declared gap, and a gap always ends where a segment begins.

Each step leaves a journal that is either still damaged at the same place (then repair is simply run
again) or repaired:

1. bad bytes are copied to `<file>.bad-<offset>`;
2. `journal.json` declares the gaps and the new incarnation (rule D4): first, so that no healthy
   journal can have the old one. A gap means nothing until the segment behind it is there;
3. the lines behind a gap become segments of their own, the last one first;
4. the damaged segment is kept as `<file>.before-repair-<incarnation>`, and its name goes to a copy
   without what was set aside.

A journal whose files are whole, and that lacks sends which receivers have consumed, gets the new
incarnation alone: what it has sent since is lost, and what it sends from now on is taken as new.

A snapshot that includes lost turns keeps what they did: recovery begins there as before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from understudy.supervision.journal.exchange import NO_CLAIM, Claim
from understudy.supervision.journal.segments import (
    ABOUT,
    About,
    Part,
    list_segments,
    publish_about,
    resolve,
    segment_path,
    set_aside,
)
from understudy.supervision.journal.survey import Bad, Good, survey
from understudy.supervision.journal.verify import (
    Damage,
    about_or_damage,
    check_snapshots,
    claim_damage,
    damage_of,
    edge_damage,
    proven_damage,
)

if TYPE_CHECKING:
    from pathlib import Path

    from understudy.supervision.files import Files

_INCARNATION = re.compile(rb'"incarnation":(\d{1,9})')
_FAR = 1000  # added when journal.json itself was damaged: higher than any repair has counted


class RepairReport(BaseModel):
    """What `repair_journal` did.

    Attributes:
        name: the journal's.
        damage: what was wrong; empty when nothing had to be done.
        kept: the files that hold what was set aside.
        gaps: (first, last) of all numbers that this journal has lost.
        lines: good lines that it holds now.
        incarnation: of its numbers from now on.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    damage: tuple[Damage, ...]
    kept: tuple[str, ...]
    gaps: tuple[tuple[int, int], ...]
    lines: int
    incarnation: int


@dataclass
class _Run:
    """Good lines without a gap between them."""

    first_seq: int
    count: int = 0
    lines: list[bytes] = field(default_factory=list[bytes])

    @property
    def end_seq(self) -> int:
        return self.first_seq + self.count


@dataclass
class _Sorted:
    """A part's records: good runs in order, and what does not belong."""

    part: Part
    runs: list[_Run] = field(default_factory=list[_Run])
    bad: list[Bad] = field(default_factory=list[Bad])


def repair_journal(
    files: Files, folder: Path, proven: tuple[int, int] = (0, 0), claim: Claim = NO_CLAIM
) -> RepairReport:
    """Repair the journal in `folder`, durable when it returns. The caller owns the home.

    Args:
        files: how it is read and written.
        folder: the journal's.
        proven: as for `verify_journal`; lines that are missing up to there become a gap.
        claim: as for `verify_journal`. What receivers have consumed and is missing can't be had back: the
            new incarnation is one that none of them knows, so that its numbers are not taken for those.

    Raises:
        OSError: the disk; the journal is as damaged as before, run it again.
    """
    about, damage = about_or_damage(files, folder)
    if damage:
        set_aside(files, folder / ABOUT, 0, "bad", files.read_all(folder / ABOUT))
    parts = resolve(list_segments(files, folder), about.gaps)
    snapshots, bad_snapshots = check_snapshots(files, folder)
    found = [_sort(files, part) for part in parts]
    damage += [damage_of(some.part.segment.path, bad) for some in found for bad in some.bad]
    last_seq = max((run.end_seq - 1 for some in found for run in some.runs), default=0)
    damage += edge_damage(folder, parts, about, snapshots, last_seq)
    lost = proven_damage(folder, parts, about, last_seq, proven)
    damage += lost
    damage += claim_damage(folder, parts, claim)
    gaps = _gaps(found, max([0, *snapshots, *(proven[1] for _ in lost)]))
    lines = sum(run.count for some in found for run in some.runs)
    kept = _set_aside(files, folder, found, bad_snapshots)
    if damage or gaps != about.gaps:
        known = max(claim.incarnation, proven[0] if lost else 0)
        incarnation = max(_next_incarnation(files, folder, about), known + 1)
        files.make_folders(folder)  # it may be what was lost
        about = About(incarnation=incarnation, gaps=gaps)
        publish_about(files, folder, about)
        _publish(files, folder, found, about)
    return RepairReport(
        name=folder.name,
        damage=(*damage, *bad_snapshots),
        kept=tuple(map(str, kept)),
        gaps=about.gaps,
        lines=lines,
        incarnation=about.incarnation,
    )


def _sort(files: Files, part: Part, *, keep: bool = False) -> _Sorted:
    """The part's runs; a second look keeps the lines when the segment has to be written anew."""
    found = _Sorted(part)
    for item in survey(files, part):
        if isinstance(item, Good):
            if not found.runs or found.runs[-1].end_seq != item.seq:
                found.runs.append(_Run(item.seq))
            found.runs[-1].count += 1
            if keep:
                found.runs[-1].lines.append(item.line)
        elif isinstance(item, Bad):
            found.bad.append(item)
    return _sort(files, part, keep=True) if found.bad and not keep else found


def _gaps(found: list[_Sorted], snapshot_seq: int) -> tuple[tuple[int, int], ...]:
    """All numbers that are missing between the first line (or what a snapshot covers) and the last."""
    runs = [run for some in found for run in some.runs]
    first = found[0].part.segment.first_seq if found else 1
    wanted = first if 1 < first <= snapshot_seq + 1 else 1
    gaps: list[tuple[int, int]] = []
    for run in runs:
        if run.first_seq > wanted:
            gaps.append((wanted, run.first_seq - 1))
        wanted = run.end_seq
    # the last segment may be empty and begin behind a gap, or a snapshot may know more than the lines
    end = max(snapshot_seq + 1, found[-1].part.segment.first_seq if found else 1)
    if end > wanted:
        gaps.append((wanted, end - 1))
    return tuple(gaps)


def _set_aside(files: Files, folder: Path, found: list[_Sorted], bad_snapshots: list[Damage]) -> list[Path]:
    kept: list[Path] = []
    for some in found:
        for offset, data in _ranges(some.bad):
            kept.append(set_aside(files, some.part.segment.path, offset, "bad", data))
    for damage in bad_snapshots:
        path = folder / damage.file.rpartition("/")[2]
        kept.append(set_aside(files, path, 0, "bad", files.read_all(path)))
        files.unlink(path)
    return kept


def _ranges(bad: list[Bad]) -> list[tuple[int, bytes]]:
    """Bad records that follow one another as one."""
    ranges: list[tuple[int, bytes]] = []
    for record in bad:
        if ranges and ranges[-1][0] + len(ranges[-1][1]) == record.offset:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + record.data)
        elif record.data:
            ranges.append((record.offset, record.data))
    return ranges


def _next_incarnation(files: Files, folder: Path, about: About) -> int:
    try:
        match = _INCARNATION.search(files.read_all(folder / ABOUT))
    except FileNotFoundError:
        return 2
    found = int(match[1]) if match else 1
    return found + 1 if found == about.incarnation and match else found + _FAR


def _publish(files: Files, folder: Path, found: list[_Sorted], about: About) -> None:
    """The repaired segments, last first (steps 3 and 4)."""
    last_epoch = max((some.part.segment.epoch for some in found), default=1)
    if about.gaps and not any(run.first_seq > about.gaps[-1][1] for some in found for run in some.runs):
        end = segment_path(folder, about.gaps[-1][1] + 1, last_epoch)
        if end.name not in files.listdir(folder):
            files.publish(end, b"")
    for some in reversed(found):
        if not some.bad:
            continue
        segment = some.part.segment
        behind = [run for run in some.runs if run.first_seq != segment.first_seq]
        for run in reversed(behind):
            files.publish(segment_path(folder, run.first_seq, segment.epoch), b"".join(run.lines))
        before = [run for run in some.runs if run.first_seq == segment.first_seq]
        if any(bad.data for bad in some.bad) or behind:
            old = segment.path.with_name(f"{segment.path.name}.before-repair-{about.incarnation}")
            files.link(segment.path, old)
            files.publish(segment.path, b"".join(before[0].lines) if before else b"")
