"""What the files say when no server runs: the read model, folded from the journals. Takes no lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from understudy.actors.projection.fold import fold_line, is_folded
from understudy.actors.projection.model import ReadModel
from understudy.cli import records
from understudy.protocols.errors import JournalDamaged
from understudy.protocols.read_model import Cursor

if TYPE_CHECKING:
    from understudy.supervision.home import Home


@dataclass
class Look:
    """A home as its files have it.

    Attributes:
        model: folded from every line that could be read.
        reports: one for each journal; one that is damaged was read up to the damage.
        not_folded: lines that this version does not understand.
    """

    model: ReadModel = field(default_factory=ReadModel)
    reports: list[records.JournalReport] = field(default_factory=list[records.JournalReport])
    not_folded: list[str] = field(default_factory=list[str])

    @property
    def damaged(self) -> list[records.JournalReport]:
        """The journals that are damaged."""
        return [report for report in self.reports if report.damage is not None]


def look_at(home: Home) -> Look:
    """Read all journals and fold those that make rows. Blocks; a million lines take some seconds."""
    look = Look()
    for name in records.names(home):
        report = records.verify(home, name)
        look.reports.append(report)
        if is_folded(name):
            _fold(look, home, name, report)
    return look


def _fold(look: Look, home: Home, name: str, report: records.JournalReport) -> None:
    try:
        for seq, line in records.read_lines(home, name):
            cursor = Cursor(journal=name, incarnation=report.incarnation, seq=seq)
            if (problem := fold_line(look.model, cursor, line).problem) is not None:
                look.not_folded.append(problem)
    except JournalDamaged:
        return  # the report has it
