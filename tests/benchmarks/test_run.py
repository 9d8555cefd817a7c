from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import run
from tests.benchmarks.__main__ import main
from tests.benchmarks.catalog import ROWS
from tests.benchmarks.rows import Better

if TYPE_CHECKING:
    from pathlib import Path


def test_a_row_is_measured_in_every_mode_and_written_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line through child processes to table and JSON, with the shortest row."""
    into = tmp_path / "report.json"
    assert main(["spawn-stop", "--rounds", "1", "--json", str(into)]) == 0
    report = run.Report.model_validate_json(into.read_bytes())
    (row,) = report.rows
    assert set(row.modes) == set(run.cores())
    assert row.verdict in {"aim", "must", "MISSED"}
    assert "1 rounds: figures that count have 5" in report.warnings
    assert "| spawn-stop |" in capsys.readouterr().out


def test_an_unknown_row_is_refused_with_the_names_of_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A typo must not pass for a run without results."""
    assert main(["spwan-stop"]) == 2
    assert "expected rows among tell, ask," in capsys.readouterr().err


@pytest.mark.parametrize("name", ROWS)
def test_an_aim_is_never_easier_than_its_must(name: str) -> None:
    """Swapped bounds would turn a miss into a success."""
    row = ROWS[name]
    if row.must is not None and row.aim is not None:
        assert row.aim >= row.must if row.better is Better.HIGHER else row.aim <= row.must
