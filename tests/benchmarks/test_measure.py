from __future__ import annotations

import contextlib
from datetime import date
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import measure, page, rows, run, table
from tests.benchmarks.measure import Samples
from tests.benchmarks.rows import Better, Row, Sides

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextlib.contextmanager
def _nothing(_options: rows.Options) -> Generator[Sides]:
    yield Sides(lambda: 1.0)


def _row(better: Better, unit: str = "x", must: float | None = 2.0, aim: float | None = 4.0) -> Row:
    if better is Better.LOWER and must is not None and aim is not None:
        must, aim = aim, must
    return Row("row", "work", "peer", must, aim, better, unit, "/s", _nothing)


def test_rounds_alternate_who_goes_first() -> None:
    """Neither side always runs on what the other one left behind."""
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return 1.0

    measure.rounds(Sides(lambda: side("ours"), lambda: side("peer")), 3)
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]


def test_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    """A slow moment of the machine hits both sides of its round, and only that round."""
    mode = measure.summary(Samples(ours=[10, 1, 12], peer=[5, 0.5, 4]))
    assert (mode.ratio, mode.ratios, mode.ours, mode.peer) == (2.0, (2.0, 3.0), 10, 4)


def test_worse_mode_counts() -> None:
    """The lower ratio where more is better, the higher where less is."""
    modes = [measure.summary(Samples(ours=[ours], peer=[1])) for ours in (3.0, 5.0)]
    assert measure.result(_row(Better.HIGHER), modes) == 3.0
    assert measure.result(_row(Better.LOWER), modes) == 5.0


def test_row_without_a_ratio_counts_its_own_value() -> None:
    """Memory and time of ours are bounded as they are, whatever the peer shown beside them has."""
    modes = [measure.summary(Samples(ours=[3.0], peer=[30.0]))]
    assert measure.result(_row(Better.LOWER, unit="KiB"), modes) == 3.0


def test_ratio_without_a_peer_is_refused() -> None:
    """A row that promises a ratio must not be filled in from one side."""
    modes = [measure.summary(Samples(ours=[3.0], peer=[]))]
    with pytest.raises(ValueError, match="expected a peer for row"):
        measure.result(_row(Better.HIGHER), modes)


@pytest.mark.parametrize(
    ("better", "figure", "expected"),
    [
        (Better.HIGHER, 4.0, "aim"),
        (Better.HIGHER, 2.0, "must"),
        (Better.HIGHER, 1.9, "MISSED"),
        (Better.LOWER, 2.0, "aim"),
        (Better.LOWER, 4.0, "must"),
        (Better.LOWER, 4.1, "MISSED"),
    ],
)
def test_bounds_are_inclusive_in_the_rows_direction(better: Better, figure: float, expected: str) -> None:
    """At the bound is within it; beyond the must is missed, and said."""
    assert measure.verdict(_row(better), figure) == expected


def test_row_without_a_must_is_reported() -> None:
    """Nothing can be missed where nothing was promised."""
    row = _row(Better.LOWER, unit="ms", must=None, aim=20.0)
    assert measure.verdict(row, 25.0) == "reported"
    assert measure.verdict(row, 20.0) == "aim"


def test_spread_is_the_distance_of_the_quartiles() -> None:
    """One outlier in five does not make a machine noisy, two do."""
    assert measure.spread([10, 10, 10, 10, 90]) == 0
    assert measure.spread([10, 10, 10, 20, 20]) == 1.0
    assert measure.spread([10]) == 0


def _report(outcome: run.Outcome) -> run.Report:
    machine = run.Machine(
        system="Linux", processor="p", cores=2, python="3.11", filesystem="ext4", sync_us=1, load=0
    )
    return run.Report(machine=machine, rounds=5, turns=1, warnings=[], rows=[outcome])


def _failed() -> run.Outcome:
    row = _row(Better.HIGHER)
    return run.Outcome(
        name=row.name, work="work", against="peer", unit="x", value_unit="/s", better="higher",
        must=2, aim=4, error="RuntimeError: no disk",
    )  # fmt: skip


def test_failed_row_is_told_in_the_table_with_its_error() -> None:
    """A row that could not be measured keeps its place and says why; the others keep theirs."""
    text = table.render(_report(_failed()))
    assert "**failed**" in text
    assert "row: failed: RuntimeError: no disk" in text


def test_a_run_takes_the_place_of_the_one_before_on_its_page(tmp_path: Path) -> None:
    """Only the section of the figures changes, and the JSON has what it shows."""
    shown = tmp_path / "benchmarks.md"
    shown.write_text("# Benchmarks\n\n## Measured\n\nan old run\n\n## Where it loses\n\nhere\n")
    report = _report(_failed())
    page.write(report, date(2026, 11, 2), shown)
    text = shown.read_text()
    assert text.startswith("# Benchmarks\n\n## Measured\n\nOne run of `make bench` on 2 November 2026")
    assert text.endswith("no disk\n\n## Where it loses\n\nhere\n")
    assert "an old run" not in text
    assert run.Report.model_validate_json((tmp_path / "benchmarks.json").read_bytes()) == report


def test_a_page_without_a_place_for_the_run_is_left_alone(tmp_path: Path) -> None:
    """The figures must not vanish in silence."""
    shown = tmp_path / "benchmarks.md"
    shown.write_text("# Benchmarks\n")
    with pytest.raises(ValueError, match="expected a section `## Measured`"):
        page.write(_report(_failed()), date(2026, 11, 2), shown)
    assert shown.read_text() == "# Benchmarks\n"
