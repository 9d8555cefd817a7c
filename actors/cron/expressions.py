"""Cron expressions: croniter reads them and knows their days; the times of a day are a sorted list.

An expression names wall times (see `wall`), without a zone.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

from croniter import croniter

from understudy.protocols.errors import BadSchedule

DAY_S = 86_400
FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_FITS = ("0 to 59", "0 to 23", "1 to 31, or L", "1 to 12, or jan to dec", "0 to 7, or sun to sat")
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NUMBERS = {
    name: number
    for names, first in (
        ("jan feb mar apr may jun jul aug sep oct nov dec", 1),
        ("sun mon tue wed thu fri sat", 0),
    )
    for number, name in enumerate(names.split(), first)
}
_RANGE = re.compile(r"(\d+|[a-z]{3})-(\d+|[a-z]{3})(/\d+)?")
_STEP = re.compile(r".*/(\d+)")
_NEAR = re.compile(r"(\d+)w|w(\d+)")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_RANDOM = re.compile(r"(?i)(^|[,/])[rh](\(|$|[,/])")
_DAYS = 2
"""The first of the three fields that name days."""
_WEEKDAY = 4
_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Expression:
    """The wall times that an expression names; all whole minutes.

    Attributes:
        days: its day fields as an expression for midnights; None for every day.
        times: seconds of the day, ascending.
        hourly: whether it names no hour (`*`, or all of them): it follows the time that passes.
    """

    text: str
    days: str | None
    times: tuple[int, ...]
    hourly: bool

    def after(self, wall: int) -> int:
        """The first named time later than `wall`.

        Raises:
            BadSchedule: there is none within fifty years.
        """
        day, second = divmod(wall, DAY_S)
        place = bisect_right(self.times, second)
        if place < len(self.times) and self._day(day, 1) == day:
            return day * DAY_S + self.times[place]
        return self._day(day + 1, 1) * DAY_S + self.times[0]

    def before(self, wall: int) -> int:
        """The last named time earlier than `wall`. Raises: as `after`."""
        day, second = divmod(wall, DAY_S)
        place = bisect_left(self.times, second)
        if place and self._day(day, -1) == day:
            return day * DAY_S + self.times[place - 1]
        return self._day(day - 1, -1) * DAY_S + self.times[-1]

    def _day(self, day: int, step: int) -> int:
        """The nearest named day from `day` on, forwards (`step` 1) or backwards (-1)."""
        if self.days is None:
            return day
        try:
            return _nearest_day(self.days, day, step)
        except (ValueError, KeyError, OverflowError) as error:  # croniter's own are ValueErrors
            msg = f"expected a cron expression that is due some day, got {self.text!r}: {error}"
            raise BadSchedule(msg) from None


@lru_cache(_KEPT)
def parse(text: str) -> Expression:
    """Read an expression of five fields, or a name such as `@daily`.

    Raises:
        BadSchedule: it is none, or one of days that never come; the text names the field.
    """
    fields = _NAMED.get(text.strip().lower(), text).split()
    if len(fields) != len(FIELDS):
        msg = f"expected a cron expression of five fields ({', '.join(FIELDS)}), got {text!r}"
        raise BadSchedule(msg)
    try:
        minutes, hours, *days = (_numbers(place, field.lower()) for place, field in enumerate(fields))
    except _BadFieldError as error:
        raise BadSchedule(f"expected a cron expression {error}, in {text!r}") from None
    expression = Expression(
        text=text,
        days=None if days == [None, None, None] else f"0 0 {' '.join(fields[2:])}",
        times=_times(minutes, hours),
        hourly=hours is None,
    )
    expression.after(0)
    return expression


def check(text: str) -> None:
    """Refuse what croniter reads, and what hardly anybody means who writes it, in a new schedule.

    croniter takes `5-1` for a range that goes on at the other end, `5-5` for everything, `*/999999` for its
    first value, and `31W` in February for `29W`. `parse` reads them still: schedules made with them go on.

    Raises:
        BadSchedule: as `parse`, and for ranges that do not go up, steps beyond the field, days near which
            none of the months has one, and weekdays of which some are counted (`1#2`) and some are not.
    """
    parse(text)
    fields = _NAMED.get(text.strip().lower(), text).split()
    try:
        for place, field in enumerate(fields):
            for part in field.lower().split(","):
                _check_step(place, part)
                _check_range(place, part)
        _check_weekday_near(fields[2].lower(), fields[3].lower())
        _check_counted_weekdays(fields[_WEEKDAY].lower())
    except _BadFieldError as error:
        raise BadSchedule(f"expected a cron expression {error}, in {text!r}") from None


def _check_step(place: int, part: str) -> None:
    low, high = _BOUNDS[place]
    size = high - low + 1
    if (step := _STEP.fullmatch(part)) is not None and int(step[1]) > size:
        raise _BadFieldError(f"whose {FIELDS[place]} has steps of at most {size}, got {part!r}")


def _check_range(place: int, part: str) -> None:
    if (ends := _RANGE.fullmatch(part)) is None:
        return
    low, high = _BOUNDS[place]
    first, last = (_NUMBERS[end] if end in _NUMBERS else int(end) for end in ends.group(1, 2))
    if first < last or (place == _WEEKDAY and last == low < first <= high):  # Sunday ends a week too
        return
    instead = _in_ranges_that_go_up(place, first, last)
    what = f"whose {FIELDS[place]} has ranges that go up, got {part!r}"
    raise _BadFieldError(what if ends[3] else f"{what} (write {instead})")


def _check_weekday_near(days: str, months: str) -> None:
    named = croniter(f"0 0 1 {months} *", 0.0).expanded[3]
    longest = max(_LONGEST if list(named) == ["*"] else [_LONGEST[int(month) - 1] for month in named])
    for part in days.split(","):
        if (near := _NEAR.fullmatch(part)) is not None and int(near[1] or near[2]) > longest:
            raise _BadFieldError(f"with a day that its months have, got {part!r} where they end at {longest}")


def _check_counted_weekdays(field: str) -> None:
    """croniter drops the `1` of `1,1#2` without a word."""
    counted = ["#" in part or "l" in part for part in field.split(",")]
    if any(counted) and not all(counted):
        what = f"whose {FIELDS[_WEEKDAY]} counts all weekdays in the month (1#2, L5) or none"
        raise _BadFieldError(f"{what}, got {field!r} (add one schedule for each kind)")


def _in_ranges_that_go_up(place: int, first: int, last: int) -> str:
    """What `first`-`last` means when it goes on at the field's other end."""
    low, high = _BOUNDS[place]
    if first == last or (first > high and last == low):
        return str(first)
    if first > high:  # 7 is Sunday, which 0 is too: the range goes on with Monday
        return f"{first},{_span(low + 1, last)}"
    return f"{_span(first, high)},{_span(low, last)}"


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


class _BadFieldError(Exception):
    """Says which field it is, and what fits there."""


@lru_cache(_KEPT)
def _numbers(place: int, field: str) -> tuple[int, ...] | None:
    """What the field at `place` names, ascending; None for all that there is.

    Of the days it says only whether it is all: what they mean together is croniter's to know.
    """
    if _RANDOM.search(field):
        raise _BadFieldError(f"with fixed times, got the {FIELDS[place]} {field!r} (H and R are random)")
    alone = ["*"] * len(FIELDS)
    alone[place] = field
    try:
        named = croniter(" ".join(alone), 0.0).expanded[place]
    except (ValueError, KeyError):  # croniter's own are ValueErrors
        raise _BadFieldError(f"whose {FIELDS[place]} is {_FITS[place]}, got {field!r}") from None
    if list(named) == ["*"]:
        return None
    return tuple(sorted(int(number) for number in named)) if place < _DAYS else ()


@lru_cache(_KEPT // 10)
def _times(minutes: tuple[int, ...] | None, hours: tuple[int, ...] | None) -> tuple[int, ...]:
    """Shared by all expressions of the same times: `* *` has 1,440."""
    return tuple(hour * 3600 + minute * 60 for hour in hours or range(24) for minute in minutes or range(60))


@lru_cache(_KEPT)
def _nearest_day(days: str, day: int, step: int) -> int:
    """62 µs in croniter, so kept: schedules that are due together ask the same."""
    start = float(day * DAY_S - step)
    iterator = croniter(days, start)
    return int(iterator.get_next() if step > 0 else iterator.get_prev()) // DAY_S
