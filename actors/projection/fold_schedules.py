"""Cron's journal → rows of schedules; and what the pool's says of them, in a table of its own (rule P1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.actors.cron import times
from understudy.protocols.read_model import Change, ScheduleDetail, ScheduleRow, SkippedFirings
from understudy.protocols.schedules import (
    FiringsMissed,
    ScheduleAdded,
    ScheduleDisabled,
    ScheduleEnabled,
    ScheduleFired,
    ScheduleRemoved,
)

if TYPE_CHECKING:
    from understudy.actors.cron.cron import CronState
    from understudy.actors.projection.model import ReadModel
    from understudy.protocols import Event
    from understudy.protocols.tasks import FiringSkipped

SKIPPED_KEPT = 10_000
"""Schedules of which it is known what the pool skipped; the first of more are forgotten."""

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


def fold_skipped(model: ReadModel, event: FiringSkipped, at: float) -> None:
    """Count a firing that the pool refused. Nobody is told: lists show it beside the schedule."""
    old = model.skipped.get(event.schedule)
    row = SkippedFirings(
        id=event.schedule,
        count=1 if old is None else old.count + 1,
        nominal_at=event.nominal_at,
        rule=event.rule,
        task=event.task,
        at=at,
    )
    model.skipped.put(row)
    if len(model.skipped) > SKIPPED_KEPT:
        model.skipped.remove(next(model.skipped.names()))


def detail_of(model: ReadModel, row: ScheduleRow, runs: int) -> ScheduleDetail:
    """The row with its next `runs` nominal times, and what the pool skipped of it."""
    following: tuple[float, ...] = ()
    problem = None if row.status == "done" else times.problem_of(row.cron, row.timezone)
    if row.next_at is not None and problem is None:
        following = times.next_runs(row.cron, times.find_zone(row.timezone), row.next_at, runs)
    return ScheduleDetail.model_construct(
        **dict(row), next_runs=following, problem=problem, skipped=model.skipped.get(row.id)
    )


def seed_schedules(model: ReadModel, state: CronState) -> list[Change]:
    """The rows of the schedules that there are."""
    changes: list[Change] = []
    for one in state.schedules.values():
        first_at = one.next_at if one.next_at is not None else one.last_nominal_at
        event = ScheduleAdded(id=one.id, spec=one.spec, timezone=one.timezone, next_at=first_at or 0.0)
        update: dict[str, object] = {
            "status": one.status,
            "next_at": one.next_at,
            "last_at": one.last_nominal_at,
            "firings": one.firings,
            "missed": one.missed,
            "last_missed": one.last_missed,
        }
        changes += _put(model, _added(event, one.created_at).model_copy(update=update))
    return changes


def _added(event: ScheduleAdded, at: float) -> ScheduleRow:
    spec = event.spec
    return ScheduleRow(
        id=event.id,
        title=spec.title,
        cron=spec.cron,
        at=event.next_at if spec.cron is None else None,
        timezone=event.timezone,
        command=spec.command,
        executor=spec.executor,
        function=spec.function,
        arguments=spec.arguments,
        queue=spec.queue,
        priority=spec.priority,
        timeout_s=spec.timeout_s,
        retries=spec.retries,
        workspace=spec.workspace,
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
