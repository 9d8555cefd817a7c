from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from croniter import croniter

from understudy.actors.cron import expressions, times
from understudy.actors.cron.machine import machine_zone
from understudy.protocols.errors import BadSchedule, Refused
from understudy.protocols.schedules import ScheduleSpec

ZURICH = times.find_zone("Europe/Zurich")


def at(text: str) -> float:
    """An ISO time of Zurich as seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=ZURICH).timestamp()


@pytest.mark.req("CR-1")
@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("*/5 * * * *", "2026-11-20T10:01:00", "2026-11-20T10:05:00"),
        ("*/5 * * * *", "2026-11-20T10:05:00", "2026-11-20T10:10:00"),
        ("*/5 * * * *", "2026-11-20T10:04:59.999", "2026-11-20T10:05:00"),
        ("0 7 * * 1-5", "2026-11-20T07:00:01", "2026-11-23T07:00:00"),
        ("0 0 29 2 *", "2026-11-20T10:00:00", "2028-02-29T00:00:00"),
        ("30 2 * * *", "2027-03-27T12:00:00", "2027-03-28T03:00:00"),
    ],
)
def test_the_next_due_time_is_read_in_the_zone(expression: str, after: str, expected: str) -> None:
    """Strictly later than `after`, on the wall clock of the zone, a spring gap included."""
    assert at(expected) == times.next_due(expression, ZURICH, at(after))


@pytest.mark.parametrize("now", ["2026-11-20T10:05:00", "2026-11-20T10:05:00.7", "2026-11-20T10:09:59.9"])
def test_the_last_due_time_is_not_later_than_now(now: str) -> None:
    """Also when a due time is less than a second away."""
    assert at("2026-11-20T10:05:00") == times.last_due("*/5 * * * *", ZURICH, at(now))


@pytest.mark.req("CR-1")
@pytest.mark.parametrize(
    "expression",
    [
        "",
        "nonsense",
        "61 * * * *",
        "* * * *",
        "* * * * * *",
        "0 0 30 2 *",
        "R * * * *",
        "H * * * *",
        "@reboot",
    ],
)
def test_a_bad_expression_is_refused_with_its_text(expression: str) -> None:
    """Also a date that never comes, found when the schedule is made and not at its first firing."""
    with pytest.raises(Refused, match="expected a cron expression") as caught:
        times.first_due(ScheduleSpec(title="x", cron=expression, command=("true",)), ZURICH, at("2026-11-20"))
    assert repr(expression) in str(caught.value)


@pytest.mark.req("CR-1")
@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("0 9 31W 2 *", "with a day that its months have, got '31w' where they end at 29, in"),
        ("0 9 31W 4,6 *", "with a day that its months have, got '31w' where they end at 30, in"),
        ("*/999999 * * * *", "whose minute has steps of at most 60, got '*/999999', in"),
        ("0 0 1-10/32 * *", "whose day of the month has steps of at most 31, got '1-10/32', in"),
        ("5-1 * * * *", "whose minute has ranges that go up, got '5-1' (write 5-59,0-1), in"),
        ("5-5 * * * *", "whose minute has ranges that go up, got '5-5' (write 5), in"),
        ("0 1,22-0 * * *", "whose hour has ranges that go up, got '22-0' (write 22-23,0), in"),
        ("0 0 * NOV-feb *", "whose month has ranges that go up, got 'nov-feb' (write 11-12,1-2), in"),
        ("0 0 * * sat-mon", "whose day of the week has ranges that go up, got 'sat-mon' (write 6,0-1), in"),
        ("0 0 * * 5-1/2", "whose day of the week has ranges that go up, got '5-1/2', in"),
        ("0 0 * * 0-0", "whose day of the week has ranges that go up, got '0-0' (write 0), in"),
    ],
)
def test_what_croniter_reads_otherwise_than_it_looks_is_refused(expression: str, told: str) -> None:
    """With what to write instead; a schedule that was made with it can still be reckoned with."""
    spec = ScheduleSpec(title="x", cron=expression, command=("true",))
    with pytest.raises(BadSchedule, match=re.escape(f"expected a cron expression {told} {expression!r}")):
        times.first_due(spec, ZURICH, at("2026-11-20"))
    assert times.next_due(expression, ZURICH, at("2026-11-20")) > at("2026-11-20")


@pytest.mark.parametrize(
    ("place", "low", "high"), [(0, 0, 59), (1, 0, 23), (2, 1, 31), (3, 1, 12), (4, 0, 7)]
)
def test_what_is_advised_for_a_range_that_does_not_go_up_is_taken_and_means_the_same(
    place: int, low: int, high: int
) -> None:
    """The advice for each such range of a field names the values up to the end, and on from the start."""
    for first in range(low, high + 1):
        for last in sorted({low, low + 1, first // 2, first - 1, first} & set(range(low, first + 1))):
            fields = ["*"] * 5
            fields[place] = f"{first}-{last}"
            if place == 4 and last == 0 < first < 7:
                continue  # up to Sunday, which ends a week too
            with pytest.raises(BadSchedule) as refused:
                expressions.check(" ".join(fields))
            advised = re.search(r"\(write (\S+)\)", str(refused.value))
            assert advised is not None
            fields[place] = advised[1]
            expressions.check(" ".join(fields))
            meant = _going_on(place, first, last)
            named = set(croniter(" ".join(fields)).expanded[place])
            assert named == meant or (named == {"*"} and len(meant) == (7 if place == 4 else high + 1 - low))


def _going_on(place: int, first: int, last: int) -> set[int]:
    if place == 4:
        days = (last - first % 7) % 7 if first % 7 != last % 7 else 0
        return {(first + step) % 7 for step in range(days + 1)}
    low, high = ((0, 59), (0, 23), (1, 31), (1, 12))[place]
    if first == last:
        return {first}
    return {*range(first, high + 1), *range(low, last + 1)}


@pytest.mark.parametrize("days", ["1,1#2", "1#2,1", "mon,fri#1", "5,L5", "1-3,2#2"])
def test_weekdays_of_which_only_some_are_counted_are_refused(days: str) -> None:
    """croniter drops the plain weekday beside a counted one, and refuses another without saying why."""
    with pytest.raises(BadSchedule):
        expressions.check(f"0 0 * * {days}")


@pytest.mark.req("CR-1")
@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("*/60 */24 */31 */12 */7", "0 0 1 1 0"),
        ("0 0 * * fri-sun", "0 0 * * 0,5,6"),
        ("0 0 * * Sat-0", "0 0 * * 0,6"),
        ("0 0 * * 6-7", "0 0 * * 0,6"),
        ("0 0 L * *", "0 0 l * *"),
        ("0 0 * * 1#2", "0 0 * * mon#2"),
        ("50-59/5 * * jan-mar *", "50,55 * * 1-3 *"),
    ],
)
def test_ranges_up_to_sunday_and_steps_as_long_as_the_field_are_taken(expression: str, same: str) -> None:
    """They mean what they say."""
    first, other = (ScheduleSpec(title="x", cron=cron, command=("true",)) for cron in (expression, same))
    now = at("2026-11-20T12:00:00")
    assert times.first_due(first, ZURICH, now) == times.first_due(other, ZURICH, now)


@pytest.mark.req("CR-1")
@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    """With a hint at what a zone looks like."""
    with pytest.raises(Refused, match="expected an IANA time zone such as Europe/Zurich"):
        times.find_zone(name)


@pytest.mark.req("CR-1")
def test_a_single_time_that_is_past_is_refused() -> None:
    """The text has both times."""
    spec = ScheduleSpec(title="x", at=datetime(2026, 11, 20, 9, 0, tzinfo=UTC), command=("true",))
    with pytest.raises(
        Refused, match=r"expected a time to come, got 2026-11-20 10:00:00 CET; it is .* 10:00:01"
    ):
        times.first_due(spec, ZURICH, at("2026-11-20T10:00:01"))


@pytest.mark.req("CR-1")
@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("0001-01-01T00:00:00+14:00", "expected a time to come, got -62135647200 seconds since 1970"),
        ("9999-12-31T23:59:59-14:00", "expected a time before the year 9999, got 253402351199 seconds"),
        ("9999-06-01T00:00:00+00:00", "expected a time before the year 9999, got 9999-06-01 02:00:00 CEST"),
    ],
)
def test_a_single_time_that_has_no_date_in_every_zone_is_refused(moment: str, reason: str) -> None:
    """Once accepted, nothing that shows all schedules would work any more."""
    spec = ScheduleSpec(title="x", at=datetime.fromisoformat(moment), command=("true",))
    with pytest.raises(Refused, match=reason):
        times.first_due(spec, ZURICH, at("2026-11-20T10:00:01"))


def test_a_single_time_without_a_zone_is_read_in_the_schedules() -> None:
    """So that `18:00` means what the wall clock shows."""
    spec = ScheduleSpec(title="x", at=datetime(2026, 11, 20, 18, 0), command=("true",))  # noqa: DTZ001
    assert at("2026-11-20T18:00:00") == times.first_due(spec, ZURICH, at("2026-11-20T10:00:00"))


def test_next_runs_go_on_from_the_first() -> None:
    """As many as asked for; one for a single time."""
    spec = ScheduleSpec(title="x", cron="0 * * * *", command=("true",))
    first = at("2026-11-20T11:00:00")
    assert (first, first + 3600, first + 7200) == times.next_runs(spec.cron, ZURICH, first, 3)
    assert times.next_runs(spec.cron, ZURICH, first, 0) == ()
    once = ScheduleSpec(title="x", at=datetime(2026, 11, 20, 18, 0, tzinfo=UTC), command=("true",))
    assert (first,) == times.next_runs(once.cron, ZURICH, first, 3)


def test_the_machines_zone_is_one_that_can_be_found() -> None:
    """Whatever this machine is set to."""
    assert times.find_zone(machine_zone()).key == machine_zone()
