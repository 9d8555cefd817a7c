"""What becomes of a schedule's times that have come: which fire, which are missed, which is next. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from understudy.actors.cron import times
from understudy.protocols.errors import BadSchedule
from understudy.protocols.schedules import COUNTED, Missed

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from understudy.protocols.schedules import ScheduleSpec


class Firing(NamedTuple):
    """The nominal time, and whether it is a misfire that is made up for."""

    nominal_at: float
    caught_up: bool


class Reckoning(NamedTuple):
    """Earliest first: `missed` comes before `firings`, and these before `next_at` (None: that was all)."""

    missed: Missed | None
    firings: tuple[Firing, ...]
    next_at: float | None


def due_at(schedule_id: str, spec: ScheduleSpec, zone: ZoneInfo, nominal_at: float) -> float:
    """When the firing named so happens: its jitter later, but before the next nominal time.

    The jitter is drawn from the firing's name, so that it is the same after a restart.
    """
    if spec.jitter_s == 0.0:
        return nominal_at
    name = f"{schedule_id}@{nominal_at!r}".encode()
    share = int.from_bytes(blake2b(name, digest_size=6).digest()) / 2**48
    following = None if spec.cron is None else _following(spec.cron, zone, nominal_at)
    room = spec.jitter_s if following is None else min(spec.jitter_s, following - nominal_at)
    return nominal_at + share * room


def reckon(schedule_id: str, spec: ScheduleSpec, zone: ZoneInfo, first: float, now: float) -> Reckoning:
    """Sort the nominal times from `first`, which is due, up to `now`, by the schedule's misfire policy.

    Firings that are late by at most the grace happen in any case. Of the others, `once` has the last one
    fire, unless one that is not late fires now anyway; `all` the newest `misfire_limit`; `skip` none.
    """
    latest, following = _latest_due(schedule_id, spec, zone, first, now)
    on_time, late = _back_to(schedule_id, spec, zone, first, latest, now - spec.misfire_grace_s)
    made_up = late[: _made_up_for(spec, len(on_time))]
    firings = [Firing(nominal, caught_up=True) for nominal in reversed(made_up)]
    firings += [Firing(nominal, caught_up=False) for nominal in reversed(on_time)]
    missed = late[len(made_up) :]
    return Reckoning(
        missed=Missed(count=min(len(missed), COUNTED), first_at=first, last_at=missed[0]) if missed else None,
        firings=tuple(firings),
        next_at=following,
    )


def _made_up_for(spec: ScheduleSpec, on_time: int) -> int:
    match spec.misfire:
        case "skip":
            return 0
        case "once":
            return 0 if on_time else 1
        case "all":
            return spec.misfire_limit


def _latest_due(
    schedule_id: str, spec: ScheduleSpec, zone: ZoneInfo, first: float, now: float
) -> tuple[float, float | None]:
    """The last nominal time that is due, and the one after it."""
    if spec.cron is None:
        return first, None
    following = _following(spec.cron, zone, first)
    if following is None or following > now:
        return first, following
    latest = max(first, times.last_due(spec.cron, zone, now))
    if latest > first and due_at(schedule_id, spec, zone, latest) > now:
        return max(first, times.last_due(spec.cron, zone, latest - 1)), latest
    return latest, _following(spec.cron, zone, latest)


def _back_to(
    schedule_id: str, spec: ScheduleSpec, zone: ZoneInfo, first: float, latest: float, late_from: float
) -> tuple[list[float], list[float]]:
    """The nominal times from `latest` back to `first`: those due since `late_from`, and those before.

    Of more than can fire and be counted only enough to do so.
    """
    on_time: list[float] = []
    late: list[float] = []
    nominal_at = latest
    while True:
        is_late = bool(late) or len(on_time) == COUNTED
        is_late = is_late or due_at(schedule_id, spec, zone, nominal_at) < late_from
        (late if is_late else on_time).append(nominal_at)
        if spec.cron is None or nominal_at <= first or len(late) == COUNTED + spec.misfire_limit:
            return on_time, late
        nominal_at = max(first, times.last_due(spec.cron, zone, nominal_at - 1))


def _following(cron: str, zone: ZoneInfo, nominal_at: float) -> float | None:
    try:
        return times.next_due(cron, zone, nominal_at)
    except BadSchedule:  # the calendar ends
        return None
