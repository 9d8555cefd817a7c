"""The short form of the kill storm; `make storm` runs the long one."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.faults.storm import storm

SEED = 2026
KILLS = 6


@pytest.mark.req("JR-2")
@pytest.mark.req("JR-4")
@pytest.mark.req("MG-2")
@pytest.mark.req("WK-1")
@pytest.mark.req("WK-5")
@pytest.mark.rule("E2")
@pytest.mark.rule("H1")
async def test_a_server_killed_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """SIGKILL under a load of inputs and tasks: every acknowledged one is answered or done once."""
    with trio.fail_after(240):
        report = await storm(tmp_path, KILLS, SEED)
    assert report.violations == [], report.text()
