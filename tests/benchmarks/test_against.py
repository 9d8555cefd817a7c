from __future__ import annotations

import pytest

from tests.benchmarks import against, run

STEADY = [100.0, 101.0, 99.0]
NOISY = [70.0, 100.0, 130.0]


@pytest.mark.parametrize(
    ("new", "old", "better", "ratio", "slower"),
    [
        ([96.0] * 3, STEADY, "higher", 0.96, False),
        ([94.0] * 3, STEADY, "higher", 0.94, True),
        ([94.0] * 3, NOISY, "higher", 0.94, False),
        ([89.0] * 3, NOISY, "higher", 0.89, True),
        ([110.0] * 3, STEADY, "lower", 100 / 110, True),
        ([80.0] * 3, STEADY, "lower", 1.25, False),
        ([0.0], [0.0], "lower", 1.0, False),
        ([1.0], [0.0], "lower", 0.0, True),
    ],
)
def test_a_row_is_slower_below_what_its_noise_explains(
    new: list[float], old: list[float], better: str, ratio: float, *, slower: bool
) -> None:
    """95 hundredths where the rounds agree, nine tenths where their quartiles are far apart."""
    found = against.compared(new, old, better)
    assert (found.ratio, found.slower) == (pytest.approx(ratio), slower)


def test_a_short_run_compares_this_tree_with_its_commit(capsys: pytest.CaptureFixture[str]) -> None:
    """Each side's children import from its own tree, else the round fails."""
    assert against.main(["HEAD", "spawn-stop", "--rounds", "1"]) in {0, 3}
    told = capsys.readouterr().out
    assert [line.split(" | ")[1] for line in told.splitlines() if line.startswith("| spawn-stop")] == list(
        run.cores()
    )
    assert ", 0 failed" in told


def test_an_unknown_commit_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is measured."""
    assert against.main(["no-such-commit"]) == 2
    assert "expected a commit, got 'no-such-commit'" in capsys.readouterr().err
