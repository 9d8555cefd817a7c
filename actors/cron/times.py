"""When a schedule is due: pure functions over croniter and the IANA zones.

A time that a spring change skips is due at the first moment after the gap. A time that an autumn
change repeats is due twice for now, as croniter has it; hourly and `*/N` expressions run on through
both hours.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from croniter import croniter

from understudy.protocols.errors import Refused
from understudy.protocols.schedules import ScheduleSpec

FIELDS = 5
LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""Later times have no date in some zone."""
_RANDOM = re.compile(r"(?i)(^|[\s,/])[rh](\(|$|[\s,/])")


def find_zone(name: str) -> ZoneInfo:
    """The zone of that IANA name.

    Raises:
        Refused: there is none.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # the last is what an unknown one raises
        raise Refused(f"expected an IANA time zone such as Europe/Zurich, got {name!r}") from None


def first_due(spec: ScheduleSpec, zone: ZoneInfo, now: float) -> float:
    """When a new schedule is due first, in seconds since the epoch.

    Raises:
        Refused: a bad expression, a date that never comes, a time that is past or beyond all calendars.
    """
    if spec.cron is not None:
        return next_due(spec.cron, zone, now)
    due = single_time(spec, zone)
    if due <= now:
        raise Refused(f"expected a time to come, got {show(due, zone)}; it is {show(now, zone)}")
    if due >= LATEST:
        raise Refused(f"expected a time before the year 9999, got {show(due, zone)}")
    return due


def single_time(spec: ScheduleSpec, zone: ZoneInfo) -> float:
    """The one time of a schedule with `at`, in seconds since the epoch."""
    assert spec.at is not None
    at = spec.at if spec.at.tzinfo is not None else spec.at.replace(tzinfo=zone)
    return at.timestamp()


def next_due(expression: str, zone: ZoneInfo, after: float) -> float:
    """The first due time later than `after`.

    Raises:
        Refused: see `first_due`.
    """
    return _iterate(expression, zone, after, backwards=False)


def last_due(expression: str, zone: ZoneInfo, now: float) -> float:
    """The last due time that is not later than `now`."""
    # Due times are whole seconds, and `get_prev` looks for one before its start.
    return _iterate(expression, zone, math.floor(now) + 1, backwards=True)


def next_runs(spec: ScheduleSpec, zone: ZoneInfo, first: float, count: int) -> tuple[float, ...]:
    """`first` and the due times after it, `count` in all."""
    runs = [first][:count]
    while spec.cron is not None and runs and len(runs) < count:
        runs.append(next_due(spec.cron, zone, runs[-1]))
    return tuple(runs)


def show(moment: float, zone: ZoneInfo) -> str:
    """A time for people: `2026-11-20 15:00:00 CET`."""
    try:
        return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    except (ValueError, OverflowError, OSError):  # no year between 1 and 9999, in this zone or in UTC
        return f"{moment:.0f} seconds since 1970"


def machine_zone() -> str:
    """The IANA name of the machine's zone, from /etc/localtime; `UTC` when that does not tell."""
    target = str(Path("/etc/localtime").resolve())
    name = target.partition("zoneinfo/")[2]
    try:
        return ZoneInfo(name).key if name else "UTC"
    except (OSError, ValueError, KeyError):
        return "UTC"


def _iterate(expression: str, zone: ZoneInfo, start: float, *, backwards: bool) -> float:
    fields = expression.split()
    if not (len(fields) == FIELDS or (len(fields) == 1 and expression.startswith("@"))):
        raise Refused(
            f"expected a cron expression of five fields (minute hour day month weekday), got {expression!r}"
        )
    if _RANDOM.search(expression):
        raise Refused(f"expected a cron expression with fixed times, got {expression!r} (R and H are random)")
    try:
        times = croniter(expression, datetime.fromtimestamp(start, zone), ret_type=float)
        return float(times.get_prev() if backwards else times.get_next())
    except (ValueError, KeyError, OverflowError) as error:  # croniter's own are ValueErrors
        raise Refused(
            f"expected a cron expression that is due some day, got {expression!r}: {error}"
        ) from None
