"""The rules for changes of a zone's clock, for real zones (CR-4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from understudy.actors.cron import times

pytestmark = pytest.mark.req("CR-4")

# Zone, a day before a change, and what makes it worth a test.
CHANGES = [
    ("Europe/Zurich", "2027-03-27"),  # an hour forward, at 02:00
    ("Europe/Zurich", "2026-10-24"),  # an hour back, at 03:00
    ("America/New_York", "2027-03-13"),  # forward at 02:00
    ("America/New_York", "2026-10-31"),  # back at 02:00
    ("America/Santiago", "2026-09-05"),  # the southern half: forward at midnight
    ("America/Santiago", "2027-04-03"),  # back at midnight
    ("Australia/Sydney", "2026-10-03"),  # forward
    ("Australia/Sydney", "2027-04-03"),  # back
    ("Australia/Lord_Howe", "2026-10-03"),  # half an hour forward
    ("Australia/Lord_Howe", "2027-04-03"),  # half an hour back
    ("America/Sao_Paulo", "2018-11-03"),  # forward at midnight
    ("America/Sao_Paulo", "2018-02-17"),  # back at midnight
    ("Asia/Beirut", "2027-03-27"),  # forward at midnight
    ("Africa/Cairo", "2026-04-23"),  # forward at midnight, a Friday
    ("Africa/Cairo", "2026-10-29"),  # back at midnight
    ("Pacific/Apia", "2011-12-29"),  # 30 December was left out
    ("Antarctica/Troll", "2027-03-27"),  # two hours forward
    ("Africa/Casablanca", "2026-02-13"),  # back for Ramadan
    ("Asia/Kolkata", "2026-06-01"),  # never changes
]
EXPRESSIONS = [
    "30 2 * * *",
    "*/15 2 * * *",
    "0 0 * * *",
    "30 23,0,1 * * *",
    "0 */2 * * *",
    "*/20 1-3 * * 6,0",
    "0 12 30 * *",
    "*/30 * * * *",
    "0 * * * *",
    "45 * * * *",
    "*/7 * 25-31 * *",
    "15 * * * 0",
]


def runs(zone: ZoneInfo, expression: str, after: float, until: float) -> list[float]:
    """All due times in `after` < time <= `until`."""
    found = [after]
    while (due := times.next_due(expression, zone, found[-1])) <= until:
        found.append(due)
    return found[1:]


def shown(zone: ZoneInfo, moments: list[float]) -> list[str]:
    """Wall times with their offset: `10-25 02:30+0200`."""
    return [datetime.fromtimestamp(moment, zone).strftime("%m-%d %H:%M%z") for moment in moments]


def naive(zone: ZoneInfo, moment: float) -> datetime:
    """What the clock shows."""
    return datetime.fromtimestamp(moment, zone).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("zone", "start", "expression", "expected"),
    [
        # A named hour, in a gap: once, at the first moment after it.
        ("Europe/Zurich", "2027-03-27T12:00", "30 2 * * *", ["03-28 03:00+0200", "03-29 02:30+0200"]),
        ("America/New_York", "2027-03-13T12:00", "30 2 * * *", ["03-14 03:00-0400", "03-15 02:30-0400"]),
        ("Australia/Sydney", "2026-10-03T12:00", "30 2 * * *", ["10-04 03:00+1100", "10-05 02:30+1100"]),
        ("Australia/Lord_Howe", "2026-10-03T12:00", "15 2 * * *", ["10-04 02:30+1100", "10-05 02:15+1100"]),
        ("America/Santiago", "2026-09-05T12:00", "0 0 * * *", ["09-06 01:00-0300", "09-07 00:00-0300"]),
        ("America/Sao_Paulo", "2018-11-03T12:00", "0 0 * * *", ["11-04 01:00-0200", "11-05 00:00-0200"]),
        ("Asia/Beirut", "2027-03-27T12:00", "30 0 * * *", ["03-28 01:00+0300", "03-29 00:30+0300"]),
        ("Africa/Cairo", "2026-04-23T12:00", "0 0 * * 5", ["04-24 01:00+0300", "05-01 00:00+0300"]),
        # A list of times in the gap is one firing, with what is due at its end anyway.
        ("Europe/Zurich", "2027-03-27T12:00", "*/15 2 * * *", ["03-28 03:00+0200", "03-29 02:00+0200"]),
        ("Europe/Zurich", "2027-03-28T00:00", "0 2,3 * * *", ["03-28 03:00+0200", "03-29 02:00+0200"]),
        # A day that was left out.
        ("Pacific/Apia", "2011-12-29T12:00", "0 9 * * *", ["12-31 00:00+1400", "12-31 09:00+1400"]),
        ("Pacific/Apia", "2011-12-29T12:00", "0 9 30 12 *", ["12-31 00:00+1400", "12-30 09:00+1400"]),
        # A named hour that is repeated: the first of the two.
        ("Europe/Zurich", "2026-10-24T12:00", "30 2 * * *", ["10-25 02:30+0200", "10-26 02:30+0100"]),
        ("America/New_York", "2026-10-31T12:00", "30 1 * * *", ["11-01 01:30-0400", "11-02 01:30-0500"]),
        ("Australia/Sydney", "2027-04-03T12:00", "30 2 * * *", ["04-04 02:30+1100", "04-05 02:30+1000"]),
        ("Australia/Lord_Howe", "2027-04-03T12:00", "45 1 * * *", ["04-04 01:45+1100", "04-05 01:45+1030"]),
        ("America/Santiago", "2027-04-03T12:00", "30 23 * * *", ["04-03 23:30-0300", "04-04 23:30-0400"]),
        ("America/Sao_Paulo", "2018-02-17T12:00", "0 0 * * *", ["02-18 00:00-0300", "02-19 00:00-0300"]),
        ("Africa/Cairo", "2026-10-29T12:00", "30 23 * * *", ["10-29 23:30+0300", "10-30 23:30+0200"]),
        ("Europe/Zurich", "2026-10-25T00:30", "0 */2 * * *", ["10-25 02:00+0200", "10-25 04:00+0100"]),
        # Without an hour: on through both, and over the gap.
        (
            "Europe/Zurich",
            "2026-10-25T01:30",
            "*/30 * * * *",
            [
                "10-25 02:00+0200",
                "10-25 02:30+0200",
                "10-25 02:00+0100",
                "10-25 02:30+0100",
                "10-25 03:00+0100",
            ],
        ),
        ("Europe/Zurich", "2027-03-28T01:00", "*/30 * * * *", ["03-28 01:30+0100", "03-28 03:00+0200"]),
        ("Europe/Zurich", "2027-03-28T00:20", "15 * * * *", ["03-28 01:15+0100", "03-28 03:15+0200"]),
        (
            "Australia/Lord_Howe",
            "2027-04-04T01:00",
            "*/30 * * * *",
            ["04-04 01:30+1100", "04-04 01:30+1030", "04-04 02:00+1030"],
        ),
        # The minute that it names decides: where half an hour is repeated, 90 minutes lie in between.
        ("Australia/Lord_Howe", "2027-04-04T00:30", "0 * * * *", ["04-04 01:00+1100", "04-04 02:00+1030"]),
        ("Australia/Lord_Howe", "2027-04-04T01:00", "45 * * * *", ["04-04 01:45+1100", "04-04 01:45+1030"]),
    ],
)
def test_due_times_around_a_change(zone: str, start: str, expression: str, expected: list[str]) -> None:
    """What is written in docs/explanation/schedules-and-time.md, zone by zone."""
    there = ZoneInfo(zone)
    first = datetime.fromisoformat(start).replace(tzinfo=there).timestamp()
    found = list(times.next_runs(expression, there, times.next_due(expression, there, first), len(expected)))
    assert expected == shown(there, found)


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_the_rules_hold_minute_by_minute(zone: str, day: str) -> None:
    """Against a walk over every minute of three days."""
    there = ZoneInfo(zone)
    start = int(datetime.fromisoformat(day).replace(tzinfo=there).timestamp())
    end = start + 3 * 86_400
    for expression in EXPRESSIONS:
        assert (expression, _walked(there, expression, start, end)) == (
            expression,
            runs(there, expression, start, end),
        )


def _walked(zone: ZoneInfo, expression: str, start: int, end: int) -> list[float]:
    hourly = expression.split()[1] == "*"
    latest = naive(zone, start)
    named = _named(expression, latest - timedelta(days=2), latest + timedelta(days=6))
    found: list[float] = []
    for moment in range(start + 60, end + 1, 60):
        now = naive(zone, moment)
        passed = [now]  # the times that come up in this minute, those that a change skips included
        if not hourly:
            passed = [
                latest + timedelta(minutes=n + 1) for n in range((now - latest) // timedelta(minutes=1))
            ]
        latest = max(latest, now)
        if not named.isdisjoint(passed):
            found.append(float(moment))
    return found


def _named(expression: str, start: datetime, end: datetime) -> set[datetime]:
    """The times of a calendar without zones that croniter reads in it."""
    times_of_it: set[datetime] = set()
    iterator = croniter(expression, start)
    while (time := iterator.get_next(datetime)) <= end:
        times_of_it.add(time)
    return times_of_it


zones = st.sampled_from(sorted({ZoneInfo(name) for name, _ in CHANGES}, key=str))
moments = st.integers(
    int(datetime(2005, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2036, 1, 1, tzinfo=UTC).timestamp())
)


def _near(change: tuple[str, str], hours: int, seconds: int) -> tuple[ZoneInfo, float]:
    day = datetime.fromisoformat(change[1]).replace(tzinfo=UTC).timestamp()
    return ZoneInfo(change[0]), day + hours * 3600 + seconds


near_changes = st.builds(_near, st.sampled_from(CHANGES), st.integers(-12, 60), st.integers(0, 3599))
places = st.one_of(st.tuples(zones, moments), near_changes)
expressions = st.sampled_from(EXPRESSIONS)


@given(places, expressions, st.floats(0, 1))
def test_the_next_due_time_does_not_depend_on_when_one_asks(
    place: tuple[ZoneInfo, float], expression: str, share: float
) -> None:
    """It is later, the same from everywhere between two firings, and the last one from there on."""
    zone, moment = place
    first = times.next_due(expression, zone, moment)
    second = times.next_due(expression, zone, first)
    assert moment < first < second
    between = first + share * (second - first) * 0.999
    assert times.next_due(expression, zone, between) == second
    assert times.last_due(expression, zone, between) == first
    assert times.last_due(expression, zone, second) == second
    assert times.last_due(expression, zone, second - 1) == first


@given(places, st.integers(0, 23), st.integers(0, 59))
def test_a_daily_schedule_fires_once_for_each_day(
    place: tuple[ZoneInfo, float], hour: int, minute: int
) -> None:
    """Each of ten dates has the one firing at which the clock first shows its time, or is past it."""
    zone, start = place
    expression = f"{minute} {hour} * * *"
    first = times.next_due(expression, zone, start)
    found = [first, *runs(zone, expression, first, first + 12 * 86_400)]
    passages = [(naive(zone, moment - 1), naive(zone, moment)) for moment in found]
    date = passages[0][1].replace(hour=hour, minute=minute)
    named = [date + timedelta(days=n) for n in range(1, 11)]
    assert [sum(before < time <= now for before, now in passages) for time in named] == [1] * 10
    assert all(before < now for before, now in passages)


@given(places, expressions, st.lists(st.integers(1, 200_000), max_size=20))
def test_no_firing_is_lost_or_doubled_however_the_time_is_cut(
    place: tuple[ZoneInfo, float], expression: str, steps: list[int]
) -> None:
    """A process that asks at any moments what became due since its last one hears of each time once."""
    zone, start = place
    start = float(start)
    moment, heard = start, list[float]()
    for step in steps:
        heard += runs(zone, expression, moment, moment + step)
        moment += step
    assert runs(zone, expression, start, moment) == heard


@pytest.mark.parametrize(
    ("zone", "at", "expected"),
    [
        ("Europe/Zurich", "2027-03-28T02:30", "03-28 03:00+0200"),
        ("Europe/Zurich", "2027-03-28T02:30:15.5", "03-28 03:00+0200"),
        ("Europe/Zurich", "2026-10-25T02:30", "10-25 02:30+0200"),
        ("Europe/Zurich", "2026-10-25T02:30:00+01:00", "10-25 02:30+0100"),
        ("Australia/Lord_Howe", "2026-10-04T02:10", "10-04 02:30+1100"),
        ("Pacific/Apia", "2011-12-30T12:00", "12-31 00:00+1400"),
    ],
)
def test_a_single_time_in_a_change(zone: str, at: str, expected: str) -> None:
    """The first moment after a gap, to the second; the first of two; exactly what names its offset."""
    there = ZoneInfo(zone)
    moment = times.moment_of(datetime.fromisoformat(at), there)
    assert ([expected], 0) == (shown(there, [moment]), moment % 60)
