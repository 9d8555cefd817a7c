"""`verify`: what is there, what is torn, what is damaged; changes nothing (JR-10)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from understudy.protocols.errors import JournalDamaged
from understudy.supervision.journal.exchange import NO_CLAIM, Claim, claims_on
from understudy.supervision.journal.segments import (
    About,
    Part,
    journal_names,
    list_segments,
    read_about,
    resolve,
    segment_path,
    unless_trimmed,
)
from understudy.supervision.journal.snapshots import list_snapshots, read_snapshot
from understudy.supervision.journal.survey import Bad, Good, survey

if TYPE_CHECKING:
    from pathlib import Path

    from understudy.supervision.files import Files


class Damage(BaseModel):
    """A place that no crash explains. `line` counts from 1, `offset` in bytes from 0."""

    model_config = ConfigDict(frozen=True)

    file: str
    line: int
    offset: int
    reason: str


class JournalReport(BaseModel):
    """What `verify_journal` found.

    Attributes:
        name: the journal's.
        incarnation: of its numbers (rule D4).
        segments: the files that count.
        lines: whole lines that count.
        first_seq, last_seq: of those lines; 0 when there are none.
        size_bytes: of those lines.
        gaps: (first, last) numbers that an earlier repair gave up.
        unfinished_bytes: at the end of the last segment: an append under way, or one that a crash
            interrupted before it was acknowledged. The next start cuts it off.
        snapshots: those that are whole.
        trimmed_to: the lines up to here were removed for the snapshots; 0 when none were.
        damage: everything else; the actor is blocked until `repair`, except for a snapshot's damage.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    incarnation: int
    segments: int
    lines: int
    first_seq: int
    last_seq: int
    size_bytes: int
    gaps: tuple[tuple[int, int], ...]
    unfinished_bytes: int
    snapshots: int
    damage: tuple[Damage, ...]
    trimmed_to: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage


def verify_journal(
    files: Files, folder: Path, proven: tuple[int, int] = (0, 0), claim: Claim = NO_CLAIM
) -> JournalReport:
    """Look at every line and snapshot of the journal in `folder`. Takes no lock, changes nothing.

    Args:
        files: how it is read.
        folder: the journal's.
        proven: up to which seq of which incarnation a reader has read it (incarnation, seq): lines that
            were there, and are damage when they are missing.
        claim: what receivers know of it, from `claims_on`: what they have consumed was there too.

    Raises:
        OSError: a file can't be read.
    """
    return unless_trimmed(files, folder, partial(_verify_journal, files, folder, proven, claim))


def _verify_journal(files: Files, folder: Path, proven: tuple[int, int], claim: Claim) -> JournalReport:
    about, damage = about_or_damage(files, folder)
    parts = resolve(list_segments(files, folder), about.gaps)
    snapshots, bad_snapshots = check_snapshots(files, folder)
    lines = first_seq = last_seq = size = unfinished = 0
    for part in parts:
        for item in survey(files, part):
            if isinstance(item, Good):
                first_seq = first_seq or item.seq
                lines, last_seq, size = lines + 1, item.seq, size + len(item.line)
            elif isinstance(item, Bad):
                damage.append(damage_of(part.segment.path, item))
            else:
                unfinished = len(item.data)
    damage += edge_damage(folder, parts, about, snapshots, last_seq)
    damage += proven_damage(folder, parts, about, last_seq, proven)
    damage += claim_damage(folder, parts, claim)
    return JournalReport(
        name=folder.name,
        incarnation=about.incarnation,
        segments=len(parts),
        lines=lines,
        first_seq=first_seq,
        last_seq=last_seq,
        size_bytes=size,
        gaps=about.gaps,
        unfinished_bytes=unfinished,
        snapshots=len(snapshots),
        damage=(*damage, *bad_snapshots),
        trimmed_to=_trimmed_to(parts, about, snapshots),
    )


def verify(files: Files, journals: Path) -> list[JournalReport]:
    """A report for each journal in the folder, by name; also of what they say of each other."""
    claims = claims_on(files, journals)
    return [
        verify_journal(files, journals / name, claim=claims.get(name, NO_CLAIM))
        for name in sorted({*journal_names(files, journals), *claims})
    ]


def about_or_damage(files: Files, folder: Path) -> tuple[About, list[Damage]]:
    """`journal.json`, or what is wrong with it."""
    try:
        return read_about(files, folder), []
    except JournalDamaged as error:
        return About(), [_damage_of_error(error)]


def check_snapshots(files: Files, folder: Path) -> tuple[list[int], list[Damage]]:
    """The seqs of the snapshots that are whole, newest first, and what is wrong with the others."""
    whole: list[int] = []
    damage: list[Damage] = []
    for path in list_snapshots(files, folder):
        try:
            whole.append(read_snapshot(files, path).seq)
        except FileNotFoundError:
            continue  # newer ones were published, and this one was removed
        except JournalDamaged as error:
            damage.append(_damage_of_error(error))
    return whole, damage


def _trimmed_to(parts: list[Part], about: About, snapshots: list[int]) -> int:
    before = parts[0].segment.first_seq - 1 if parts else 0
    given_up = any(first == 1 and last == before for first, last in about.gaps)
    return 0 if given_up or max(snapshots, default=0) < before else before


def edge_damage(
    folder: Path, parts: list[Part], about: About, snapshots: list[int], last_seq: int
) -> list[Damage]:
    """Lines that are missing at the journal's beginning or end, where no file shows it."""
    damage: list[Damage] = []
    first = parts[0].segment.first_seq if parts else 1
    covered = max(snapshots, default=0) >= first - 1 or (1, first - 1) in about.gaps
    if first > 1 and not covered:
        path = segment_path(folder, 1, 1)
        damage.append(
            Damage(
                file=str(path), line=1, offset=0, reason=f"expected seq 1, got no segment before seq {first}"
            )
        )
    end = max(last_seq, parts[-1].segment.first_seq - 1 if parts else 0)
    if snapshots and snapshots[0] > end:
        path = parts[-1].segment.path if parts else segment_path(folder, 1, 1)
        reason = f"expected lines up to seq {snapshots[0]}, of which there is a snapshot, got up to seq {end}"
        damage.append(Damage(file=str(path), line=1, offset=0, reason=reason))
    return damage


def proven_damage(
    folder: Path, parts: list[Part], about: About, last_seq: int, proven: tuple[int, int]
) -> list[Damage]:
    """Lines that are missing at the end, and that a reader has read (rule J4)."""
    incarnation, seq = proven
    if parts and incarnation != about.incarnation:
        return []
    end = max(last_seq, parts[-1].segment.first_seq - 1 if parts else 0)
    if seq <= end:
        return []
    path = parts[-1].segment.path if parts else segment_path(folder, 1, 1)
    reason = f"expected lines up to seq {seq}, which a reader has read, got up to seq {end}"
    return [Damage(file=str(path), line=1, offset=0, reason=reason)]


def claim_damage(folder: Path, parts: list[Part], claim: Claim) -> list[Damage]:
    """Lines that are missing, and whose sends receivers have consumed (rule D4)."""
    path = parts[-1].segment.path if parts else segment_path(folder, 1, 1)
    return [Damage(file=str(path), line=1, offset=0, reason=reason) for reason in claim.lost]


def damage_of(path: Path, bad: Bad) -> Damage:
    """The place of a bad record."""
    return Damage(file=str(path), line=bad.line, offset=bad.offset, reason=bad.reason)


def _damage_of_error(error: JournalDamaged) -> Damage:
    return Damage(file=error.file, line=error.line, offset=error.offset, reason=error.reason)
