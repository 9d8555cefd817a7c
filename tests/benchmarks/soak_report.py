"""What a soak found: its samples, and the slopes of what may grow."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from pydantic import BaseModel

from tests.benchmarks.soak_child import Counted
from tests.benchmarks.table import number

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = 10


class Sample(BaseModel):
    """One look at the server, `at_s` seconds after its first task.

    Attributes:
        rss_mib: resident memory of the process.
        home_mib: all files of the home but the history.
        history_mib: `history/`, which keeps every message and so grows by design.
        files: how many there are.
    """

    at_s: float
    rss_mib: float
    home_mib: float
    history_mib: float
    files: int


class Report(BaseModel):
    """A whole soak."""

    seconds: float
    rate: float
    accepted: int
    counted: Counted
    samples: list[Sample]

    def later(self) -> list[Sample]:
        """The second half: what was to fill up has filled up by then."""
        half_s = self.samples[-1].at_s / 2
        return [sample for sample in self.samples if sample.at_s >= half_s]


def slope(times_s: list[float], values: list[float]) -> float:
    """By how much `values` grow in a minute: the straight line that fits them best; 0 for less than two."""
    if len(times_s) < 2:
        return 0.0
    return statistics.linear_regression(times_s, values).slope * 60


def render(report: Report) -> str:
    """As text: what was done, a few samples, the slopes of the second half."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    counted = report.counted
    yield (
        f"{report.accepted} tasks accepted in {report.seconds:.0f} s ({report.rate:.0f}/s asked for), "
        f"{counted.finished} finished, journals trimmed {counted.trimmed} times, "
        f"{len(counted.failures)} failures"
    )
    yield from (f"- {text}" for text in counted.failures)
    yield ""
    yield "| s | memory MiB | home MiB | history MiB | files |"
    yield "| --- | --- | --- | --- | --- |"
    step = max(1, len(report.samples) // SHOWN)
    for sample in report.samples[::step]:
        yield (
            f"| {sample.at_s:.0f} | {sample.rss_mib:.1f} | {sample.home_mib:.1f} | {sample.history_mib:.1f} "
            f"| {sample.files} |"
        )
    yield ""
    later = report.later()
    times = [sample.at_s for sample in later]
    memory = slope(times, [sample.rss_mib for sample in later])
    home = slope(times, [sample.home_mib for sample in later])
    history = slope(times, [sample.history_mib for sample in later])
    yield (
        f"second half, MiB a minute: memory {number(memory)}, home {number(home)}, history {number(history)} "
        "(which keeps every message)"
    )
