"""What the files say when no server runs: the read model, folded from the journals. Takes no lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from understudy.actors.projection.fold import fold_line, is_folded, seed
from understudy.actors.projection.journal_lines import begins_after
from understudy.actors.projection.model import ReadModel
from understudy.actors.registry import ROLES
from understudy.cli import records
from understudy.cli.exits import Exit, Problem
from understudy.cli.output import print_problem
from understudy.protocols.errors import JournalDamaged, UnderstudyError
from understudy.protocols.read_model import Cursor
from understudy.supervision.journal import JournalReport
from understudy.supervision.time_travel import replay_state

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
    reports: list[JournalReport] = field(default_factory=list[JournalReport])
    not_folded: list[str] = field(default_factory=list[str])

    @property
    def whole(self) -> bool:
        """Whether no journal is damaged."""
        return all(report.whole for report in self.reports)


def look_at(home: Home) -> Look:
    """Read all journals and fold those that make rows. Blocks; a million lines take some seconds."""
    look = Look()
    look.reports = records.verify(home, records.known(home))
    for report in look.reports:
        if is_folded(report.name):
            _fold(look, home, report.name, report)
    return look


def _fold(look: Look, home: Home, name: str, report: JournalReport) -> None:
    try:
        base = _begin(look, home, name, report)
        for seq, line in records.read_lines(home, name):
            if seq <= base:
                continue
            cursor = Cursor(journal=name, incarnation=report.incarnation, seq=seq)
            if (problem := fold_line(look.model, cursor, line).problem) is not None:
                look.not_folded.append(problem)
    except JournalDamaged:
        return  # the report has it
    except UnderstudyError as error:
        look.not_folded.append(f"{name}: {error}")


def _begin(look: Look, home: Home, name: str, report: JournalReport) -> int:
    """Begin with the actor's state where the first lines are gone. Returns the seq that it is of."""
    folder = records.folder_of(home, name)
    base = begins_after(home.files, folder, report.last_seq)
    if base:
        actor = next(role.actor for role in ROLES if role.name == name)
        cursor = Cursor(journal=name, incarnation=report.incarnation, seq=base)
        seed(look.model, cursor, replay_state(actor, home.files, folder, base, report.last_seq))
    return base


def report_damage(look: Look, *, as_json: bool) -> Exit:
    """Say on standard error what the answer lacks; the exit code, 7 when it lacks something."""
    damaged = [report.name for report in look.reports if not report.whole]
    if not damaged:
        return Exit.OK
    detail = (
        f"{', '.join(damaged)}: what is damaged or lost is not shown. "
        "`understudy journal verify` says where it is, `understudy journal repair` sets it aside"
    )
    code = Exit.DAMAGED
    problem = Problem(title="Journal damaged", detail=detail, code="journal_damaged", exit=int(code))
    print_problem(problem, as_json=as_json)
    return code
