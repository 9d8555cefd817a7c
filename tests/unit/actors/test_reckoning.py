"""Which of the times that have come fire, and which are missed (CR-3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.actors.cron import times
from understudy.actors.cron.reckoning import Reckoning, due_at, reckon
from understudy.protocols.schedules import COUNTED, Missed, ScheduleSpec

pytestmark = pytest.mark.req("CR-3")

ZURICH = times.find_zone("Europe/Zurich")
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()
MINUTE = 60.0


def spec(**fields: Any) -> ScheduleSpec:
    """One that is due each minute, unless told otherwise."""
    return ScheduleSpec.model_validate({"title": "x", "command": ("true",), "cron": "* * * * *", **fields})


def after(seconds: float, **fields: Any) -> Reckoning:
    """What becomes of a schedule that was due at noon, so much later."""
    return reckon("sched-1", spec(**fields), ZURICH, NOON, NOON + seconds)


def at_minutes(*minutes: int, caught_up: bool) -> list[tuple[float, bool]]:
    """Firings of that many minutes past noon."""
    return [(NOON + MINUTE * minute, caught_up) for minute in minutes]


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
def test_what_is_late_within_the_grace_fires_under_each_policy(misfire: str) -> None:
    """To the second; a misfire is what is later than that."""
    for seconds in (0.0, 30.0, 59.9):
        reckoning = after(seconds, misfire=misfire)
        assert reckoning == (None, ((NOON, False),), NOON + MINUTE)
    assert after(60.0, misfire=misfire).firings == ((NOON, False), (NOON + MINUTE, False))


def test_skip_fires_nothing_that_is_late() -> None:
    """And says what that was."""
    reckoning = after(10.5 * MINUTE, misfire="skip", misfire_grace_s=10)
    assert reckoning == (Missed(count=11, first_at=NOON, last_at=NOON + 600), (), NOON + 660)


def test_once_makes_up_for_all_by_the_last_of_them() -> None:
    """The others are missed."""
    reckoning = after(10.5 * MINUTE, misfire="once", misfire_grace_s=10)
    assert list(reckoning.firings) == at_minutes(10, caught_up=True)
    assert reckoning.missed == Missed(count=10, first_at=NOON, last_at=NOON + 540)


def test_once_adds_nothing_to_a_firing_that_is_on_time() -> None:
    """One runs now anyway."""
    reckoning = after(10.5 * MINUTE, misfire="once", misfire_grace_s=60)
    assert list(reckoning.firings) == at_minutes(10, caught_up=False)
    assert reckoning.missed == Missed(count=10, first_at=NOON, last_at=NOON + 540)


def test_all_fires_the_newest_up_to_its_limit() -> None:
    """In their order; what is older is missed."""
    reckoning = after(10.5 * MINUTE, misfire="all", misfire_limit=3, misfire_grace_s=60)
    expected = [*at_minutes(7, 8, 9, caught_up=True), *at_minutes(10, caught_up=False)]
    assert list(reckoning.firings) == expected
    assert reckoning.missed == Missed(count=7, first_at=NOON, last_at=NOON + 360)
    everything = after(10.5 * MINUTE, misfire="all", misfire_limit=10)
    assert (len(everything.firings), everything.missed) == (11, None)


@pytest.mark.parametrize(
    ("misfire", "late"),
    [
        ("skip", (Missed(count=1, first_at=NOON, last_at=NOON), (), None)),
        ("once", (None, ((NOON, True),), None)),
        ("all", (None, ((NOON, True),), None)),
    ],
)
def test_a_single_time_follows_the_policy_too(misfire: str, late: Reckoning) -> None:
    """After it there is nothing."""
    once = {"cron": None, "at": datetime.fromtimestamp(NOON, UTC), "misfire": misfire}
    assert after(3600, **once) == late
    assert after(60, **once) == (None, ((NOON, False),), None)


def test_a_year_of_minutes_is_reckoned_without_walking_it() -> None:
    """A thousand are counted, and a thousand fire together at most."""
    year = 365 * 86_400
    missed = after(year, misfire="skip").missed
    assert missed is not None
    assert (missed.count, missed.first_at) == (COUNTED, NOON)
    graceful = after(year, misfire_grace_s=31_536_000)
    assert (len(graceful.firings), graceful.missed is None) == (COUNTED, False)


names = st.integers(1, 10_000).map(lambda number: f"sched-{number}")


@given(names, st.integers(0, 10_000), st.floats(0, 86_400), st.sampled_from(["* * * * *", "0 */6 * * *"]))
def test_jitter_stays_before_the_next_time(name: str, steps: int, jitter_s: float, cron: str) -> None:
    """And within its bound; the same whenever it is asked."""
    jittery = spec(cron=cron, jitter_s=jitter_s)
    nominal = times.next_due(cron, ZURICH, NOON + steps * 977)
    due = due_at(name, jittery, ZURICH, nominal)
    assert nominal <= due <= nominal + jitter_s
    assert due < times.next_due(cron, ZURICH, nominal)
    assert due == due_at(name, spec(cron=cron, jitter_s=jitter_s, title="another"), ZURICH, nominal)


def test_jitter_spreads_schedules_and_firings() -> None:
    """Neither all schedules at once, nor each at the same second of every hour."""
    hourly = spec(cron="0 * * * *", jitter_s=600)
    schedules = [due_at(f"sched-{n}", hourly, ZURICH, NOON) - NOON for n in range(200)]
    hours = [due_at("sched-1", hourly, ZURICH, NOON + 3600 * n) - NOON - 3600 * n for n in range(200)]
    for delays in (schedules, hours):
        thirds = [sum(200 * n <= delay < 200 * (n + 1) for delay in delays) for n in range(3)]
        assert sum(thirds) == 200
        assert min(thirds) > 40


@given(
    st.fixed_dictionaries(
        {
            "cron": st.sampled_from(
                ["* * * * *", "*/15 2 * * *", "30 2 * * *", "0 * * * *", "*/20 1-3 * * *"]
            ),
            "misfire": st.sampled_from(["skip", "once", "all"]),
            "misfire_limit": st.integers(1, 5),
            "misfire_grace_s": st.sampled_from([1.0, 60.0, 4000.0]),
            "jitter_s": st.sampled_from([0.0, 30.0, 5000.0]),
        }
    ),
    st.sampled_from(["2026-10-24T20:00", "2027-03-27T20:00", "2026-06-01T00:00"]),
    st.lists(st.floats(0.5, 10_000), min_size=1, max_size=25),
)
def test_each_time_fires_or_is_missed_once_however_often_the_process_starts(
    fields: dict[str, Any], start: str, steps: list[float]
) -> None:
    """At each start, or tick, what is due is reckoned; nothing is lost, doubled or out of order."""
    a_spec = spec(**fields)
    cron = fields["cron"]
    now = datetime.fromisoformat(start).replace(tzinfo=ZURICH).timestamp()
    first = following = times.next_due(cron, ZURICH, now)
    settled: list[float] = []
    for step in steps:
        now += step
        if due_at("sched-1", a_spec, ZURICH, following) > now:
            continue
        missed, firings, next_at = reckon("sched-1", a_spec, ZURICH, following, now)
        assert next_at is not None
        if missed is not None:
            skipped = _nominal(cron, missed.first_at, missed.last_at)
            assert (len(skipped), skipped[0]) == (missed.count, following)
            settled += skipped
        settled += [firing.nominal_at for firing in firings]
        assert due_at("sched-1", a_spec, ZURICH, next_at) > now
        following = next_at
    assert _nominal(cron, first, following)[:-1] == settled


def _nominal(cron: str, first: float, last: float) -> list[float]:
    found = [first]
    while found[-1] < last:
        found.append(times.next_due(cron, ZURICH, found[-1]))
    return found
