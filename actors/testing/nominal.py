"""When schedules are due, found by looking at each minute: not with the code that cron has for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

_DAY = 1440
_LARGEST_CHANGE = 180
_EMPTY_DAYS = 3


@dataclass(frozen=True)
class Fields:
    """Minutes and hours that an expression names; `hourly` when its hour field is `*`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    hourly: bool


def fields_of(cron: str) -> Fields:
    """Of an expression whose fields are `*`, `*/n` or a number, and whose last three are `*`."""
    minute, hour, *rest = cron.split()
    assert rest == ["*", "*", "*"], f"expected an expression of minutes and hours, got {cron!r}"
    return Fields(_values(minute, 60), _values(hour, 24), hour == "*")


def _values(field: str, end: int) -> frozenset[int]:
    every, _, step = field.partition("/")
    return frozenset(range(0, end, int(step or 1))) if every == "*" else frozenset({int(field)})


def next_nominal(spec: dict[str, Any], timezone: str, after: float) -> float | None:
    """The first nominal time later than `after` of a spec as the journal has it; None when there is none."""
    if spec.get("cron") is None:
        at = datetime.fromisoformat(spec["at"])
        moment = (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(timezone))).timestamp()
        return moment if moment > after else None
    day = int(after // 60) // _DAY
    for each in range(day, day + _EMPTY_DAYS):
        for minute in _due_on(spec["cron"], timezone, each):
            if minute * 60.0 > after:
                return minute * 60.0
    msg = f"{spec['cron']!r} is due on no day from {day} on"
    raise AssertionError(msg)


@lru_cache(maxsize=4096)
def _due_on(cron: str, timezone: str, day: int) -> tuple[int, ...]:
    """The minutes (since 1970) of a day of UTC at which it is due.

    With hours named: when the clock shows a named time, or a later one, for the first time. Else whenever
    it shows what is named.
    """
    fields, zone = fields_of(cron), ZoneInfo(timezone)
    due: list[int] = []
    latest = 0
    for minute in range(day * _DAY - _LARGEST_CHANGE, (day + 1) * _DAY):
        shown = _shown(zone, minute)
        passed = (shown,) if fields.hourly else range(max(latest, shown - _LARGEST_CHANGE) + 1, shown + 1)
        latest = max(latest, shown)
        if minute >= day * _DAY and any(_names(fields, wall) for wall in passed):
            due.append(minute)
    return tuple(due)


def _shown(zone: ZoneInfo, minute: int) -> int:
    """What the zone's clock shows, in minutes on that clock."""
    return int(datetime.fromtimestamp(minute * 60, zone).replace(tzinfo=UTC).timestamp()) // 60


def _names(fields: Fields, wall: int) -> bool:
    return wall % 60 in fields.minutes and wall // 60 % 24 in fields.hours
