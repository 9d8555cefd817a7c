from __future__ import annotations

import calendar
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from understudy.actors.cron import expressions

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH = date(1970, 1, 1)
STARTS = [
    date(year, month, day) for year in (2027, 2028, 2029) for month in range(1, 13) for day in (1, 15, 28)
]


def ends_a_month(day: date) -> bool:
    """Whether the next day is of another month."""
    return day.day == calendar.monthrange(day.year, day.month)[1]


NAMED: dict[str, Callable[[date], bool]] = {
    "L * *": ends_a_month,
    "31,L * *": ends_a_month,
    "15,L * *": lambda day: day.day == 15 or ends_a_month(day),
    "29,L 2 *": lambda day: day.month == 2 and ends_a_month(day),
    "29 2 *": lambda day: (day.month, day.day) == (2, 29),
    "29 * *": lambda day: day.day == 29,
    "31 * *": lambda day: day.day == 31,
    "*/10 * *": lambda day: day.day in {1, 11, 21, 31},
    "*/10 2,3 *": lambda day: day.month in {2, 3} and day.day in {1, 11, 21, 31},
    "13 * 5": lambda day: day.day == 13 or day.weekday() == 4,
    "* * 5#2": lambda day: day.weekday() == 4 and 8 <= day.day <= 14,
    "* * L5": lambda day: day.weekday() == 4 and (day + timedelta(7)).month != day.month,
}


@pytest.mark.parametrize("days", NAMED)
@pytest.mark.parametrize("step", [1, -1])
def test_the_nearest_named_day_is_the_one_that_the_calendar_has(days: str, step: int) -> None:
    """Forwards and backwards, from days around the ends of months and a 29 February."""
    expression = expressions.parse(f"0 0 {days}")
    ask = expression.after if step > 0 else expression.before
    for start in STARTS:
        found = EPOCH + timedelta(seconds=ask((start - EPOCH).days * expressions.DAY_S))
        expected = start + timedelta(step)
        while not NAMED[days](expected):
            expected += timedelta(step)
        assert (start, found) == (start, expected)
