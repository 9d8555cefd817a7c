from __future__ import annotations

import pytest

from tests.benchmarks.soak import soak
from tests.benchmarks.soak_child import Counted
from tests.benchmarks.soak_report import Report, Sample, render, slope


def _sample(at_s: float, rss_mib: float) -> Sample:
    return Sample(at_s=at_s, rss_mib=rss_mib, home_mib=1, history_mib=at_s, files=3)


def test_every_task_of_a_short_soak_is_done() -> None:
    """The harness of `make soak`: real process, HTTP, cast, compaction; no figure of it is looked at."""
    report = soak(20, 50)
    assert report.accepted == 1000
    assert report.counted.finished == 1000
    assert report.counted.failures == []
    assert report.counted.trimmed > 0
    assert len(report.samples) >= 3
    assert report.samples[-1].rss_mib > 1
    assert report.samples[-1].home_mib > 0.1


def test_slope_is_of_a_minute() -> None:
    """A MiB in ten seconds is six in a minute."""
    assert slope([0, 10, 20], [5, 6, 7]) == pytest.approx(6)
    assert slope([3], [1]) == 0


def test_slopes_are_of_the_second_half_alone() -> None:
    """A server that fills up and then stays is flat."""
    samples = [_sample(0, 50), _sample(10, 90), _sample(20, 100), _sample(30, 100), _sample(40, 100)]
    report = Report(seconds=40, rate=1, accepted=40, counted=Counted(finished=40), samples=samples)
    assert [sample.at_s for sample in report.later()] == [20, 30, 40]
    assert "memory 0, home 0, history 60" in render(report)
