"""The restart window: its exact boundary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.supervision.restart_window import RestartWindow

pytestmark = pytest.mark.req("RT-6")


def restarted_at(window: RestartWindow, *times: float) -> RestartWindow:
    """The window after restarts at these times."""
    for at in times:
        window = window.add(at)
    return window


def test_as_many_restarts_as_the_intensity_are_allowed() -> None:
    """N restarts at the same moment are not too many."""
    assert not restarted_at(RestartWindow(3, 5), 1, 1, 1).exceeded


def test_one_more_restart_than_the_intensity_is_too_many() -> None:
    """Restart N + 1 within the period exceeds the window."""
    assert restarted_at(RestartWindow(3, 5), 1, 1, 1, 1).exceeded


def test_a_restart_exactly_one_period_old_still_counts() -> None:
    """The period is closed at its old end, as in OTP."""
    assert restarted_at(RestartWindow(1, 5), 10, 15).exceeded


def test_a_restart_older_than_the_period_no_longer_counts() -> None:
    """The smallest time past the period is enough."""
    assert not restarted_at(RestartWindow(1, 5), 10, 15.000001).exceeded


def test_an_intensity_of_zero_allows_no_restart() -> None:
    """The first restart is already too many."""
    assert RestartWindow(0, 5).add(0).exceeded


def test_a_window_without_restarts_is_not_exceeded() -> None:
    """Not even with an intensity of zero."""
    assert not RestartWindow(0, 5).exceeded


@pytest.mark.parametrize(("intensity", "period_s"), [(-1, 5), (1, 0), (1, -1), (1, float("nan"))])
def test_bounds_are_checked(intensity: int, period_s: float) -> None:
    """A negative intensity and a period that is no time are refused."""
    with pytest.raises(ValueError, match="expected"):
        RestartWindow(intensity, period_s)


@given(
    intensity=st.integers(0, 5),
    period_s=st.integers(1, 20),
    gaps=st.lists(st.integers(0, 10), max_size=40),
)
def test_it_is_exceeded_exactly_when_more_than_intensity_lie_in_the_last_period(
    intensity: int, period_s: int, gaps: list[int]
) -> None:
    """Equal to counting over the whole history, while it keeps no more than intensity + 1 times."""
    window, history, now = RestartWindow(intensity, period_s), list[int](), 0
    for gap in gaps:
        now += gap
        history.append(now)
        window = window.add(now)
        assert window.exceeded == (sum(at >= now - period_s for at in history) > intensity)
        assert len(window.restarts) <= intensity + 1
