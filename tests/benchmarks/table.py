"""The report as Markdown, for a terminal and for a page of the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.benchmarks.measure import Mode
    from tests.benchmarks.run import Outcome, Report

HEAD = ("row", "work", "against", "must", "aim", "result", "", "pinned: ours, peer", "unpinned: ours, peer")
TIMES = "\N{MULTIPLICATION SIGN}"
MARKS = {"aim": "aim", "must": "must", "MISSED": "**missed**", "FAILED": "**failed**", "reported": "reported"}


def render(report: Report) -> str:
    """The machine, the table, then what is to be said about rows: warnings, notes, errors."""
    machine = report.machine
    lines = [
        (
            f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}, "
            f"{machine.filesystem or 'unknown file system'}, write + fdatasync {machine.sync_us:.0f} us, "
            f"load {machine.load}; medians of {report.rounds} rounds, the worse of the modes counts."
        ),
        "",
        _cells(HEAD),
        _cells("---" for _ in HEAD),
        *(_cells(_row(outcome)) for outcome in report.rows),
        "",
        *(f"- warning: {text}" for text in report.warnings),
    ]
    for outcome in report.rows:
        lines.extend(_remarks(outcome))
    return "\n".join(lines) + "\n"


def _row(outcome: Outcome) -> Iterator[str]:
    sign = "≥" if outcome.better == "higher" else "≤"
    yield outcome.name
    yield outcome.work
    yield outcome.against
    yield "report" if outcome.must is None else f"{sign} {number(outcome.must)}{_unit(outcome.unit)}"
    yield "" if outcome.aim is None else f"{number(outcome.aim)}{_unit(outcome.unit)}"
    yield "" if outcome.result is None else f"{number(outcome.result)}{_unit(outcome.unit)}"
    yield MARKS[outcome.verdict]
    for name in ("pinned", "unpinned"):
        mode = outcome.modes.get(name)
        yield "" if mode is None else _mode(mode, outcome.value_unit)


def _mode(mode: Mode, unit: str) -> str:
    ours = f"{number(mode.ours)}{_unit(unit)}"
    if mode.peer is None:
        return ours
    ratio = "" if mode.ratio is None else f" ({number(mode.ratio)}{TIMES})"
    return f"{ours}, {number(mode.peer)}{_unit(unit)}{ratio}"


def _remarks(outcome: Outcome) -> Iterator[str]:
    if outcome.error:
        yield f"- {outcome.name}: failed: {outcome.error}"
    for text in outcome.warnings:
        yield f"- {outcome.name}: warning: {text}"
    for name, mode in outcome.modes.items():
        if mode.samples.notes:
            told = ", ".join(
                f"{key} {number(value) if isinstance(value, int | float) else value}"
                for key, value in mode.samples.notes.items()
            )
            yield f"- {outcome.name}, {name}: {told}"


def _cells(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _unit(unit: str) -> str:
    return {"x": TIMES, "/s": "/s"}.get(unit, f" {unit}")


def number(value: float) -> str:
    """Three digits, and no fractions of what is counted in hundreds."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
