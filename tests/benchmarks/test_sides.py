from __future__ import annotations

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.benchmarks import schedules
from tests.benchmarks.threads import Done, in_flight
from tests.benchmarks.times import Moment


def test_callers_do_each_job_once() -> None:
    """The rate is of jobs that were done, by all callers."""
    done: list[int] = []
    assert in_flight(3, 4, lambda: done.append(1)) > 0
    assert len(done) == 12


def test_a_callers_failure_leaves_no_figure() -> None:
    """A peer whose jobs fail fast would look fast."""
    with pytest.raises(RuntimeError, match="2 of 2 callers failed") as caught:
        in_flight(2, 1, lambda: 1 / 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_end_that_comes_before_its_caller_waits_is_not_lost() -> None:
    """A job may be done before its caller has its id."""
    done = Done()
    done.tell("job")
    done.wait("job")


def test_lateness_is_of_the_last_start() -> None:
    """One that starts a second late makes the row a second late."""
    moment = Moment()
    assert moment.late_ms([moment.due + 0.001, moment.due + 1, moment.due + 0.002]) == pytest.approx(1000)


def test_a_start_before_its_time_leaves_no_figure() -> None:
    """Lateness counts from the nominal time, so it can't be negative."""
    moment = Moment()
    with pytest.raises(RuntimeError, match="expected nothing to start early"):
        moment.late_ms([moment.due - 0.5, moment.due + 1])


def test_arming_that_ends_after_the_moment_leaves_no_figure() -> None:
    """Else the row would measure how long arming takes."""
    moment = Moment()
    assert moment.due > time.time() + 1
    moment.due -= 10
    with pytest.raises(RuntimeError, match="armed in time"):
        moment.armed()


def test_no_armed_schedule_is_due_while_they_are_armed() -> None:
    """A firing in between would be measured with them."""
    now = datetime.now(ZoneInfo(schedules.ZONE))
    minute = now.hour * 60 + now.minute
    for expression in set(schedules.daily()):
        due_minute, due_hour, *_ = expression.split()
        ahead = (int(due_hour) * 60 + int(due_minute) - minute) % schedules.DAY_MIN
        assert schedules.SOON_MIN - 1 <= ahead <= schedules.DAY_MIN - schedules.SOON_MIN
