"""`journal`: what the files say. All but `repair` take no lock and need no server."""

from __future__ import annotations

import heapq
import sys
import time
from collections import deque
from operator import attrgetter
from typing import Annotated, NoReturn

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt
from pydantic import BaseModel

from understudy.cli import records
from understudy.cli.exits import Exit
from understudy.cli.output import Text, console, print_json, styled, table, when
from understudy.cli.server import require_home
from understudy.cli.settings import COMMON, Common, home_path
from understudy.supervision.home import Home
from understudy.supervision.journal import Damage, JournalReport, RepairReport

app = App(name="journal", help="The journals: every actor's truth, read from the files.")

app.command("understudy.cli.journal_export:export", name="export", help="Print turns as JSON Lines.")
app.command("understudy.cli.journal_state:state", name="state", help="Show a state as of a turn.")
app.command("understudy.cli.journal_state:diff", name="diff", help="Show what changed between two turns.")

_LOOK_S = 0.5

JournalName = Annotated[str, Parameter(help="The journal's name (an actor's) [default: all].")]


class VerifyAnswer(BaseModel):
    """What `verify --json` prints."""

    home: str
    whole: bool
    journals: list[JournalReport]


class RepairAnswer(BaseModel):
    """What `repair --json` prints."""

    home: str
    journals: list[RepairReport]


@app.command
def tail(
    journal: JournalName | None = None,
    /,
    *,
    lines: Annotated[PositiveInt, Parameter(alias="-n", help="How many turns.")] = 20,
    follow: Annotated[
        bool, Parameter(alias="-f", negative="", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    common: Common = COMMON,
) -> int:
    """Show the last turns of one journal, or of all in the order of their time.

    With --json: JSON Lines, each turn as it is in the file, and the journal's name.
    """
    home = require_home(home_path(common))
    found = {name: records.last(home, name, lines) for name in _chosen(home, journal)}
    for line in deque(heapq.merge(*found.values(), key=attrgetter("ts", "seq")), maxlen=lines):
        _print_line(line, as_json=common.json)
    if follow:
        seen = {name: turns[-1].seq for name, turns in found.items() if turns}
        _follow(home, journal, records.Follower(home, seen), as_json=common.json)
    return Exit.OK


def _follow(home: Home, journal: str | None, follower: records.Follower, *, as_json: bool) -> NoReturn:
    """Look for new turns again and again: files tell nobody that they grew, and no server is needed."""
    while True:
        for line in follower.look(_chosen(home, journal)):
            _print_line(line, as_json=as_json)
        sys.stdout.flush()
        time.sleep(_LOOK_S)


def _chosen(home: Home, journal: str | None) -> list[str]:
    """The names that a command is about.

    Raises:
        NotFound: there is no journal of that name.
    """
    return records.names(home) if journal is None else [records.folder_of(home, journal).name]


def _chosen_of_all(home: Home, journal: str | None) -> list[str]:
    """As `_chosen`; also those that are gone, and that others know of: that is damage too."""
    known = records.known(home)
    return known if journal is None else [journal] if journal in known else _chosen(home, journal)


def _print_line(line: records.Line, *, as_json: bool) -> None:
    if as_json:
        print_json(line.model_dump(by_alias=True))
        return
    events = ", ".join(event.type for event in line.events) or "no event"
    more = f" +{len(line.sends)} sent" if line.sends else ""
    parts = [(when(line.ts / 1e6), "dim"), " ", (f"{line.journal} {line.seq}", "bold")]
    text = Text.assemble(*parts, "  ", (events, "cyan"), more, "  ", (f"by {line.cause or 'itself'}", "dim"))
    console().print(text)


@app.command
def verify(journal: JournalName | None = None, /, *, common: Common = COMMON) -> int:
    """Check every line, number and checksum of one journal, or of all, and what they say of each other.

    Changes nothing. Exit code 7 when something is damaged.
    """
    home = require_home(home_path(common))
    reports = records.verify(home, _chosen_of_all(home, journal))
    whole = all(report.whole for report in reports)
    if common.json:
        print_json(VerifyAnswer(home=str(home.path), whole=whole, journals=reports))
    else:
        _print_reports(home, reports)
    return Exit.OK if whole else Exit.DAMAGED


def _print_reports(home: Home, reports: list[JournalReport]) -> None:
    out = console()
    if not reports:
        out.print(Text(f"{home.path} has no journals yet"))
        return
    rows = [[one.name, state_of(one), str(one.lines), _remarks(one)] for one in reports]
    out.print(table(["journal", "state", "turns", "remarks"], rows))
    for report in reports:
        for damage in report.damage:
            out.print(Text.assemble((f"{report.name}: ", "bold red"), place_of(damage)), soft_wrap=True)
    if any(not report.whole for report in reports):
        out.print(Text("Nothing was changed. What to do: stop the server, then `understudy journal repair`"))


def state_of(report: JournalReport) -> Text:
    """`whole` or `damaged`, in colour."""
    return styled("whole" if report.whole else "damaged")


def place_of(damage: Damage) -> str:
    """Where the damage is, and what."""
    return f"{damage.file}, line {damage.line}, offset {damage.offset}: {damage.reason}"


def _remarks(report: JournalReport) -> str:
    remarks = [f"seq {report.first_seq} to {report.last_seq}"] if report.lines else ["empty"]
    if report.trimmed_to:
        remarks.append(f"up to seq {report.trimmed_to} removed by age or size")
    if report.unfinished_bytes:
        remarks.append(f"{report.unfinished_bytes} bytes of an unfinished write at the end")
    if report.gaps:
        remarks.append("given up: " + _ranges(report.gaps))
    return "; ".join(remarks)


def _ranges(gaps: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(f"seq {first} to {last}" if first < last else f"seq {first}" for first, last in gaps)


@app.command
def repair(journal: JournalName | None = None, /, *, common: Common = COMMON) -> int:
    """Set the bad records of damaged journals aside; every good line and all that is cut out is kept.

    Takes the home for itself: stop its server first (exit code 4 while one runs).
    """
    home = require_home(home_path(common))
    with home.own():
        reports = records.repair(home, _chosen_of_all(home, journal))
    if common.json:
        print_json(RepairAnswer(home=str(home.path), journals=reports))
    else:
        _print_repairs(reports)
    return Exit.OK


def _print_repairs(reports: list[RepairReport]) -> None:
    out = console()
    for report in reports:
        if not report.damage:
            out.print(Text(f"{report.name}: nothing to repair"))
            continue
        lost = f", given up: {_ranges(report.gaps)}" if report.gaps else ""
        out.print(Text.assemble((f"{report.name}: repaired", "bold"), f", {report.lines} turns kept{lost}"))
        for damage in report.damage:
            out.print(Text(f"  {place_of(damage)}"), soft_wrap=True)
        for path in report.kept:
            out.print(Text(f"  set aside in {path}", style="dim"), soft_wrap=True)
