"""Backoff: its bounds, its cap and when it starts anew."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.supervision.backoff import Backoff

pytestmark = pytest.mark.req("RT-6")

backoffs = st.builds(
    Backoff,
    initial_s=st.floats(0, 10),
    factor=st.floats(1, 10),
    cap_s=st.floats(10, 1000),
    jitter=st.floats(0, 1),
)


@given(backoff=backoffs, failures=st.integers(1, 100_000), seed=st.integers())
def test_a_wait_stays_within_its_bounds(backoff: Backoff, failures: int, seed: int) -> None:
    """Never negative, never over the cap, and never further from the plain exponential than the jitter."""
    try:
        plain = min(backoff.cap_s, backoff.initial_s * backoff.factor ** (failures - 1))
    except OverflowError:
        plain = backoff.cap_s if backoff.initial_s else 0.0
    wait = backoff.delay_s(failures, Random(seed))
    assert 0 <= wait <= backoff.cap_s
    assert plain * (1 - backoff.jitter) * 0.999999 <= wait <= plain * (1 + backoff.jitter) * 1.000001


def test_waits_without_jitter_double_up_to_the_cap() -> None:
    """The exact row of an exponential backoff."""
    backoff = Backoff(initial_s=1, factor=2, cap_s=10, jitter=0)
    assert [backoff.delay_s(n, Random(0)) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_jitter_spreads_the_waits() -> None:
    """Children that failed together do not come back together."""
    random = Random(0)
    waits = {Backoff().delay_s(1, random) for _ in range(20)}
    assert len(waits) == 20


def test_the_same_seed_gives_the_same_waits() -> None:
    """The random source is the injected one."""
    backoff = Backoff()
    waits = [[backoff.delay_s(n, random) for n in range(1, 9)] for random in (Random(7), Random(7))]
    assert waits[0] == waits[1]


def test_a_child_that_failed_before_its_stable_time_waits_longer() -> None:
    """Its failures in a row go up."""
    assert Backoff(stable_s=10).failures_in_a_row(3, 9.999) == 4


def test_a_child_that_ran_for_its_stable_time_starts_anew() -> None:
    """Exactly the stable time is enough."""
    assert Backoff(stable_s=10).failures_in_a_row(3, 10) == 1


def test_an_initial_wait_of_zero_never_waits() -> None:
    """Zero times anything."""
    assert Backoff(initial_s=0).delay_s(50, Random(0)) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial_s": -1},
        {"factor": 0.5},
        {"cap_s": 0.01},
        {"cap_s": float("inf")},
        {"jitter": 1.1},
        {"jitter": -0.1},
        {"stable_s": float("nan")},
    ],
)
def test_numbers_out_of_bounds_are_refused(wrong: dict[str, float]) -> None:
    """With an error that names the number."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Backoff(**wrong)


def test_the_number_of_a_failure_starts_at_one() -> None:
    """A wait for no failure is a mistake of the caller."""
    with pytest.raises(ValueError, match="from 1"):
        Backoff().delay_s(0, Random(0))
