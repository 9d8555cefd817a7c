"""When a schedule is due: expressions of wall times, by the rules for changes of a zone's clock.

* An expression that names an hour is due once for each time that it names: at the first moment when the
  clock shows that time or a later one. So what a spring change skips is due at the first moment after the
  gap, all of it together once; and what an autumn change repeats is due at the first of the two.
* One that names none (hour field `*`) follows the time that passes: it is due whenever the clock shows what
  it names. In an autumn change it runs through both hours, and a spring change skips what is not there.

croniter alone does neither: it fires a named hour twice in an autumn change.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from understudy.actors.cron import expressions, wall
from understudy.protocols.errors import BadSchedule

if TYPE_CHECKING:
    from understudy.actors.cron.expressions import Expression
    from understudy.protocols.schedules import ScheduleSpec

LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""Later times have no date in some zone."""
DAY_S = expressions.DAY_S


def find_zone(name: str) -> ZoneInfo:
    """The zone of that IANA name.

    Raises:
        BadSchedule: there is none.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # the last is what an unknown one raises
        raise BadSchedule(f"expected an IANA time zone such as Europe/Zurich, got {name!r}") from None


def problem_of(cron: str | None, timezone: str) -> str | None:
    """Why a stored schedule can't be reckoned on this machine now; None when it can."""
    try:
        find_zone(timezone)
        if cron is not None:
            expressions.parse(cron)
    except BadSchedule as error:
        return str(error)
    return None


def first_due(spec: ScheduleSpec, zone: ZoneInfo, now: float) -> float:
    """The first nominal time of a new schedule, in seconds since the epoch.

    Raises:
        BadSchedule: a bad expression, a date that never comes, a time that is past or beyond all calendars.
    """
    if spec.cron is not None:
        expressions.check(spec.cron)
        return next_due(spec.cron, zone, now)
    due = single_time(spec, zone)
    if due <= now:
        raise BadSchedule(f"expected a time to come, got {show(due, zone)}; it is {show(now, zone)}")
    if due >= LATEST:
        raise BadSchedule(f"expected a time before the year 9999, got {show(due, zone)}")
    return due


def single_time(spec: ScheduleSpec, zone: ZoneInfo) -> float:
    """The one time of a schedule with `at`, in seconds since the epoch."""
    assert spec.at is not None
    return moment_of(spec.at, zone)


def moment_of(time: datetime, zone: ZoneInfo) -> float:
    """When that is; without a zone of its own, the first moment when `zone`'s clock shows it or a later one.

    Raises:
        BadSchedule: it is not of this calendar in that zone.
    """
    try:
        if time.tzinfo is not None:
            return time.timestamp()
        shown = time.replace(tzinfo=UTC).timestamp()
        named = math.floor(shown)
        moment = wall.first_moment(zone, named)
        is_there = moment + wall.offset_at(zone, moment) == named
    except (ValueError, OverflowError):
        raise BadSchedule(f"expected a time between the years 1 and 9999, got {time.isoformat()}") from None
    return moment + (shown - named) if is_there else float(moment)


def next_due(expression: str, zone: ZoneInfo, after: float) -> float:
    """The first nominal time later than `after`.

    Raises:
        BadSchedule: see `first_due`.
    """
    parsed, moment = expressions.parse(expression), math.floor(after)
    try:
        if parsed.hourly:
            return float(_next_shown(parsed, zone, moment))
        named = parsed.after(wall.shown_until(zone, moment))
        while (due := wall.first_moment(zone, named)) <= moment:
            named = parsed.after(named)
        return float(due)
    except (ValueError, OverflowError):  # beyond the year 9999
        raise BadSchedule(f"expected a time before the year 9999 for {expression!r}") from None


def last_due(expression: str, zone: ZoneInfo, now: float) -> float:
    """The last nominal time that is not later than `now`. Raises: as `next_due`."""
    parsed, moment = expressions.parse(expression), math.floor(now)
    if parsed.hourly:
        return float(_last_shown(parsed, zone, moment))
    return float(wall.first_moment(zone, parsed.before(wall.shown_until(zone, moment) + 1)))


def next_runs(cron: str | None, zone: ZoneInfo, first: float, count: int) -> tuple[float, ...]:
    """`first` and the nominal times after it, `count` in all; fewer when they end."""
    runs = [first][:count]
    while cron is not None and runs and len(runs) < count:
        try:
            runs.append(next_due(cron, zone, runs[-1]))
        except BadSchedule:
            break
    return tuple(runs)


def show(moment: float, zone: ZoneInfo) -> str:
    """A time for people: `2026-11-20 15:00:00 CET`."""
    try:
        return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    except (ValueError, OverflowError, OSError):  # no year between 1 and 9999, in this zone or in UTC
        return f"{moment:.0f} seconds since 1970"


def _next_shown(parsed: Expression, zone: ZoneInfo, moment: int) -> int:
    """The first moment later than `moment` when the clock shows a time that `parsed` names.

    An autumn change shows again what was shown before `moment`, so a change within a day is looked at
    by itself: up to it with the old offset, and from it on.
    """
    offset = wall.offset_at(zone, moment)
    named = parsed.after(moment + offset)
    if wall.offset_at(zone, moment + DAY_S) != offset:
        changed = wall.change(zone, moment, moment + DAY_S)
        if named - offset < changed:
            return named - offset
        moment = changed - 1
        named = parsed.after(moment + wall.offset_at(zone, changed))
    while not (found := [at for at in wall.moments(zone, named) if at > moment]):
        named = parsed.after(named)
    return found[0]


def _last_shown(parsed: Expression, zone: ZoneInfo, moment: int) -> int:
    """The last moment not later than `moment` when the clock shows a time that `parsed` names."""
    offset = wall.offset_at(zone, moment)
    named = parsed.before(moment + offset + 1)
    old = wall.offset_at(zone, moment - DAY_S)
    if old != offset:
        changed = wall.change(zone, moment - DAY_S, moment)
        if named - offset >= changed:
            return named - offset
        moment = changed - 1
        named = parsed.before(moment + old + 1)
    while not (found := [at for at in wall.moments(zone, named) if at <= moment]):
        named = parsed.before(named)
    return found[-1]
