"""`journal tail | verify | repair`: what the files say. The first two take no lock and no server."""

from __future__ import annotations

import heapq
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt
from pydantic import BaseModel
from rich.text import Text

from understudy.cli import records
from understudy.cli.exits import Exit
from understudy.cli.output import console, print_json, styled, table, when
from understudy.cli.server import require_home
from understudy.cli.settings import COMMON, Common, home_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from understudy.supervision.home import Home

app = App(name="journal", help="The journals: every actor's truth, read from the files.")


JournalName = Annotated[str, Parameter(help="The journal's name (an actor's) [default: all].")]


class TailLine(records.Line):
    """A line with the name of its journal, as `tail --json` prints it."""

    journal: str


class VerifyAnswer(BaseModel):
    """What `verify --json` prints."""

    home: str
    whole: bool
    journals: list[records.JournalReport]


@app.command
def tail(
    journal: JournalName | None = None,
    /,
    *,
    lines: Annotated[PositiveInt, Parameter(alias="-n", help="How many turns.")] = 20,
    common: Common = COMMON,
) -> int:
    """Show the last turns of one journal, or of all in the order of their time.

    With --json: JSON Lines, each turn as it is in the file plus the journal's name.
    """
    home = require_home(home_path(common))
    chosen = [journal] if journal is not None else records.names(home)
    last = heapq.merge(*(_last(home, name, lines) for name in chosen), key=attrgetter("ts", "seq"))
    for line in deque(last, maxlen=lines):
        if common.json:
            print_json(line.model_dump(by_alias=True))
        else:
            _print_line(line)
    return Exit.OK


def _last(home: Home, name: str, count: int) -> Iterator[TailLine]:
    """The last `count` turns of a journal, oldest first."""
    for seq, line in deque(records.read_lines(home, name), maxlen=count):
        parsed = records.parse_line(name, seq, line)
        yield TailLine.model_validate(parsed.model_dump(by_alias=True) | {"journal": name})


def _print_line(line: TailLine) -> None:
    events = ", ".join(event.type for event in line.events) or "no event"
    more = f" +{len(line.sends)} sent" if line.sends else ""
    parts = [(when(line.ts / 1e6), "dim"), " ", (f"{line.journal} {line.seq}", "bold")]
    text = Text.assemble(*parts, "  ", (events, "cyan"), more, "  ", (f"by {line.cause or 'itself'}", "dim"))
    console().print(text)


@app.command
def verify(journal: JournalName | None = None, /, *, common: Common = COMMON) -> int:
    """Check every line, number and checksum of one journal, or of all. Changes nothing.

    Exit code 7 when something is damaged.
    """
    home = require_home(home_path(common))
    chosen = [journal] if journal is not None else records.names(home)
    for name in chosen:
        records.folder_of(home, name)
    reports = [records.verify(home, name) for name in chosen]
    whole = all(report.damage is None for report in reports)
    if common.json:
        print_json(VerifyAnswer(home=str(home.path), whole=whole, journals=reports))
    else:
        _print_reports(home, reports)
    return Exit.OK if whole else Exit.DAMAGED


def _print_reports(home: Home, reports: list[records.JournalReport]) -> None:
    out = console()
    if not reports:
        out.print(Text(f"{home.path} has no journals yet"))
        return
    rows = [[one.journal, styled(one.state), str(one.lines), _remarks(one)] for one in reports]
    out.print(table(["journal", "state", "turns", "remarks"], rows))
    for report in reports:
        if report.damage is not None:
            _print_damage(report.journal, report.damage)


def _remarks(report: records.JournalReport) -> str:
    remarks = [f"seq {report.first_seq} to {report.last_seq}"] if report.lines else ["empty"]
    if report.unfinished_bytes:
        remarks.append(f"{report.unfinished_bytes} bytes of an unfinished write at the end")
    if report.gaps:
        remarks.append("given up: " + ", ".join(f"{first} to {last}" for first, last in report.gaps))
    if report.bad_snapshots:
        remarks.append(f"{len(report.bad_snapshots)} of {report.snapshots} snapshots not whole")
    return "; ".join(remarks)


def _print_damage(name: str, damage: records.Damage) -> None:
    text = Text.assemble(
        (f"{name} is damaged", "bold red"),
        f": {damage.file}, line {damage.line}, offset {damage.offset}: {damage.reason}. Nothing was changed. "
        f"What to do: stop the server, then `understudy journal repair {name}` sets the bad records aside",
    )
    console().print(text, soft_wrap=True)
