"""The clock on a zone's wall: what it shows when, and when it shows what.

Moments are whole seconds since the epoch. A *wall time* is what the clock shows, as the number of seconds
since 1970-01-01T00:00 on that same clock: a plain number that knows nothing of changes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)


def offset_at(zone: ZoneInfo, moment: int) -> int:
    """How many seconds the wall is ahead of UTC at `moment`."""
    return _offset(datetime.fromtimestamp(moment, zone))


def shown_until(zone: ZoneInfo, moment: int) -> int:
    """The latest wall time that was shown up to `moment`.

    In the second pass of an hour that an autumn change repeats it is the end of the first.
    """
    now = datetime.fromtimestamp(moment, zone)
    offset = _offset(now)
    if not now.fold:
        return moment + offset
    before = _offset(now.replace(fold=0))
    return change(zone, moment - (before - offset), moment) - 1 + before


def first_moment(zone: ZoneInfo, wall: int) -> int:
    """The first moment at which the clock shows `wall`, or has passed it in a spring change."""
    before, after = _offsets(zone, wall)
    if after <= before:
        return wall - before
    return change(zone, wall - after, wall - before)


def moments(zone: ZoneInfo, wall: int) -> tuple[int, ...]:
    """When the clock shows `wall`: once, in an autumn change twice, in a spring change never."""
    before, after = _offsets(zone, wall)
    if before == after:
        return (wall - before,)
    return () if after > before else (wall - before, wall - after)


def change(zone: ZoneInfo, low: int, high: int) -> int:
    """The first moment in `low` < moment <= `high` with another offset than `low`; there has to be one."""
    old = offset_at(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(zone, middle) == old:
            low = middle
        else:
            high = middle
    return high


def _offsets(zone: ZoneInfo, wall: int) -> tuple[int, int]:
    """The offsets before and after the change in which `wall` is skipped or repeated; else twice the same."""
    shown = datetime.fromtimestamp(wall, UTC).replace(tzinfo=zone)
    return _offset(shown), _offset(shown.replace(fold=1))


def _offset(time: datetime) -> int:
    offset = time.utcoffset()
    assert offset is not None
    return offset // _SECOND
