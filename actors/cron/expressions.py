"""Cron expressions: croniter reads them and knows their days; the times of a day are a sorted list.

An expression names wall times (see `wall`), without a zone.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from croniter import croniter

from understudy.protocols.errors import BadSchedule

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY_S = 86_400
FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_FITS = ("0 to 59", "0 to 23", "1 to 31, or L", "1 to 12, or jan to dec", "0 to 7, or sun to sat")
_RANDOM = re.compile(r"(?i)(^|[,/])[rh](\(|$|[,/])")
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
    fields = text.split()
    if len(fields) != len(FIELDS) and not (len(fields) == 1 and text.startswith("@")):
        msg = f"expected a cron expression of five fields ({', '.join(FIELDS)}), got {text!r}"
        raise BadSchedule(msg)
    try:
        read = croniter(text, 0.0)
    except (ValueError, KeyError) as error:
        raise BadSchedule(_wrong(text, fields, error)) from None
    if len(read.expressions) != len(FIELDS) or any(_RANDOM.search(field) for field in fields):
        msg = f"expected a cron expression with fixed times, got {text!r} (R and H are random)"
        raise BadSchedule(msg)
    minutes, hours = _numbers(read.expanded[0], 60), _numbers(read.expanded[1], 24)
    expression = Expression(
        text=text,
        days=None if read.expanded[2:] == [["*"]] * 3 else f"0 0 {' '.join(read.expressions[2:])}",
        times=tuple(hour * 3600 + minute * 60 for hour in hours for minute in minutes),
        hourly=len(hours) == 24,  # noqa: PLR2004 -- hours of a day
    )
    expression.after(0)
    return expression


def _numbers(field: Sequence[int | str], all_of: int) -> list[int]:
    return list(range(all_of)) if list(field) == ["*"] else sorted({int(number) for number in field})


def _wrong(text: str, fields: list[str], error: Exception) -> str:
    """Which field it is: the first that does not fit into an expression that is otherwise all stars."""
    for place, (name, fits, field) in enumerate(zip(FIELDS, _FITS, fields, strict=False)):
        alone = ["*"] * len(FIELDS)
        alone[place] = field
        if len(fields) == len(FIELDS) and not croniter.is_valid(" ".join(alone)):
            return f"expected a cron expression whose {name} is {fits}, got {field!r} in {text!r}"
    return f"expected a cron expression, got {text!r}: {error}"


@lru_cache(_KEPT)
def _nearest_day(days: str, day: int, step: int) -> int:
    """62 µs in croniter, so kept: schedules that are due together ask the same."""
    start = float(day * DAY_S - step)
    iterator = croniter(days, start)
    return int(iterator.get_next() if step > 0 else iterator.get_prev()) // DAY_S
