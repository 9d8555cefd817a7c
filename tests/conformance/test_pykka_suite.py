"""pykka 4.5.0's own suite passes with `understudy.Actor` as the runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import pykka_suite

MOST_NOT_APPLICABLE = 5


@pytest.mark.req("RT-2")
def test_pykkas_own_suite_passes_with_our_actors_as_a_second_runtime(tmp_path: Path) -> None:
    """With as many tests as its own runtime has, but for the listed ones."""
    verdict = pykka_suite.run(tmp_path / "collected.txt")

    assert verdict.exit_code == 0, verdict.output
    ours, theirs = verdict.of_runtime("understudy"), verdict.of_runtime("threading")
    assert len(ours) == len(theirs) - len(pykka_suite.NOT_APPLICABLE)
    assert len(ours) > 100


def test_few_tests_of_pykka_are_left_out_and_each_with_a_reason() -> None:
    """A list that grows would hollow the promise out."""
    assert len(pykka_suite.NOT_APPLICABLE) <= MOST_NOT_APPLICABLE
    assert all(pykka_suite.NOT_APPLICABLE.values())
