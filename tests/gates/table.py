"""The gates, in the order of the requirement."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tests.faults.stories import STORIES

_PYTEST = (sys.executable, "-m", "pytest", "-q", "--no-header", "--no-cov", "-p", "no:cacheprovider")


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate.

    Attributes:
        name: what it is about.
        command: ends with 0 when the gate is open.
    """

    name: str
    command: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The tests that it runs, without their names within the file."""
        return tuple(word.partition("::")[0] for word in self.command if word.startswith("tests/"))


def _tests(*paths: str) -> tuple[str, ...]:
    return (*_PYTEST, *paths)


GATES = (
    Gate(
        "task semantics and order",
        _tests(
            "tests/unit/actors/test_task_machine.py",
            "tests/unit/actors/test_pool.py",
            "tests/unit/actors/test_pool_rules.py",
        ),
    ),
    Gate(
        "cancel, retry and failure",
        _tests(
            "tests/unit/actors/test_pool_restart.py",
            "tests/unit/actors/test_pool_limits.py",
            "tests/unit/actors/test_pool_callables.py",
        ),
    ),
    Gate(
        "cron",
        _tests(
            "tests/unit/actors/test_cron.py",
            "tests/unit/actors/test_cron_clocks.py",
            "tests/unit/actors/test_times.py",
            "tests/unit/actors/test_reckoning.py",
            "tests/unit/actors/test_clock_changes.py",
        ),
    ),
    Gate(
        "session recovery rate",
        _tests("tests/gates/test_session_recovery.py", "tests/unit/actors/test_manager_sessions.py"),
    ),
    Gate(
        "viewer without loss or disorder",
        _tests("tests/gates/test_ten_thousand_events.py", "tests/unit/webui/test_sse.py"),
    ),
    Gate("fault injection: the twelve stories", _tests(*STORIES.values())),
    Gate(
        "fault injection: a crash at each operation, and hours of faults",
        _tests("tests/faults/test_crash_points.py", "tests/faults/test_simulation.py"),
    ),
    Gate(
        "fault injection: 100 kills, 100 % recovered",
        (sys.executable, "-m", "tests.faults.storm", "--kills", "100"),
    ),
)
