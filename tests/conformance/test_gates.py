"""The gates run what is there, and one that is shut is not passed over."""

from __future__ import annotations

import sys

import pytest

from tests.gates.__main__ import run
from tests.gates.table import GATES, Gate
from tests.mutants.table import ROOT


@pytest.mark.req("NF-2")
@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_a_gate_runs_tests_that_are_there(gate: Gate) -> None:
    """A path that has moved would shut the gate for the wrong reason."""
    assert [path for path in gate.paths if not (ROOT / path).exists()] == []


@pytest.mark.req("NF-2")
def test_a_gate_that_is_shut_is_counted_and_shown_and_the_others_are_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One failure fails the whole, and says what it was."""
    shut = Gate("shut", (sys.executable, "-c", "print('because'); raise SystemExit(3)"))
    is_open = Gate("good", (sys.executable, "-c", "print('fine')"))

    assert run([is_open, shut, is_open]) == 1

    said = capsys.readouterr().out
    assert "shut: SHUT (exit code 3)" in said
    assert "because" in said
    assert said.count("good: open") == 2
    assert said.endswith("2 passed, 1 failed\n")
