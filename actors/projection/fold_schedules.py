"""Cron's journal → rows of schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.protocols.read_model import Change, ScheduleRow
from understudy.protocols.schedules import (
    FiringsMissed,
    ScheduleAdded,
    ScheduleDisabled,
    ScheduleEnabled,
    ScheduleFired,
    ScheduleRemoved,
)

if TYPE_CHECKING:
    from understudy.actors.projection.model import ReadModel
    from understudy.protocols import Event

EVENTS: tuple[type[Event], ...] = (
    ScheduleAdded,
    ScheduleFired,
    FiringsMissed,
    ScheduleEnabled,
    ScheduleDisabled,
    ScheduleRemoved,
)


def fold_schedule(model: ReadModel, event: Event, at: float) -> list[Change]:
    """Apply one event of cron. An event of a schedule that the model does not have changes nothing."""
    if isinstance(event, ScheduleAdded):
        return _put(model, _added(event, at))
    schedule = getattr(event, "id", None)
    old = model.schedules.get(schedule) if isinstance(schedule, str) else None
    if old is None:
        return []
    update: dict[str, object] = {}
    match event:
        case ScheduleFired():
            update = {"next_at": event.next_at, "last_at": event.nominal_at, "firings": old.firings + 1}
            update["status"] = "done" if event.next_at is None else old.status
        case FiringsMissed():
            update = {"next_at": event.next_at, "missed": old.missed + event.missed.count}
            update |= {"last_missed": event.missed}
            update["status"] = "done" if event.next_at is None else old.status
        case ScheduleEnabled():
            update = {"status": "enabled", "next_at": event.next_at}
        case ScheduleDisabled():
            update = {"status": "disabled", "next_at": None}
        case ScheduleRemoved():
            model.schedules.remove(old.id)
            return [Change.model_construct(table="schedules", id=old.id, row=None)]
        case _:
            return []
    return _put(model, old.model_copy(update=update))


def _added(event: ScheduleAdded, at: float) -> ScheduleRow:
    spec = event.spec
    return ScheduleRow(
        id=event.id,
        title=spec.title,
        cron=spec.cron,
        at=event.next_at if spec.cron is None else None,
        timezone=event.timezone,
        command=spec.command,
        kind=spec.kind,
        text=spec.text,
        wake=spec.wake,
        misfire=spec.misfire,
        misfire_limit=spec.misfire_limit,
        misfire_grace_s=spec.misfire_grace_s,
        overlap=spec.overlap,
        jitter_s=spec.jitter_s,
        session=spec.session,
        origin=spec.origin,
        created_at=at,
        next_at=event.next_at,
    )


def _put(model: ReadModel, row: ScheduleRow) -> list[Change]:
    model.schedules.put(row)
    return [Change.model_construct(table="schedules", id=row.id, row=row)]
