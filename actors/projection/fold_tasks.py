"""The pool's journal → rows of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.actors.projection.fold_schedules import fold_skipped
from understudy.protocols.read_model import EXCERPT_CHARACTERS, Change, TaskRow
from understudy.protocols.tasks import (
    FiringSkipped,
    TaskCancelRequested,
    TaskCreated,
    TaskFinished,
    TaskRequeued,
    TaskRetried,
    TaskStarted,
    TaskSummarized,
)

if TYPE_CHECKING:
    from understudy.actors.projection.model import ReadModel
    from understudy.actors.workers.state import ActiveTask, PoolState
    from understudy.protocols import Event

EVENTS: tuple[type[Event], ...] = (
    TaskCreated,
    TaskStarted,
    TaskRequeued,
    TaskRetried,
    TaskCancelRequested,
    TaskFinished,
    TaskSummarized,
    FiringSkipped,
)


def fold_task(model: ReadModel, event: Event, at: float) -> list[Change]:
    """Apply one event of the pool. An event of a task that the model does not have changes nothing."""
    if isinstance(event, TaskCreated):
        return _put(model, _created(event, at))
    if isinstance(event, FiringSkipped):
        fold_skipped(model, event, at)
        return []
    task = getattr(event, "id", None)
    old = model.tasks.get(task) if isinstance(task, str) else None
    if old is None:
        return []
    update = _update(event, at)
    if isinstance(event, TaskRetried | TaskFinished) and event.output.total_bytes:
        model.put_output(old.id, event.output)
    return _put(model, old.model_copy(update=update)) if update else []


def seed_tasks(model: ReadModel, state: PoolState) -> list[Change]:
    """The rows of the tasks that are not over, as far as the pool's state tells."""
    return [change for task in state.active.values() for change in _put(model, _as_seeded(task))]


def _as_seeded(task: ActiveTask) -> TaskRow:
    row = _created(TaskCreated(id=task.id, spec=task.spec, due_at=task.due_at), task.created_at)
    update: dict[str, object] = {
        "status": task.status,
        "attempts": task.attempts,
        "started_at": task.started_at,
    }
    if task.status == "running":
        update["why"] = ""
    elif task.attempts:
        update |= {"why": "waits for its next attempt", "retry_at": task.due_at}
    if task.cancel is not None:
        update |= {"canceling": True, "why": task.cancel.reason, "source": task.cancel.source}
    return row.model_copy(update=update)


def _update(event: Event, at: float) -> dict[str, object]:
    """What the event changes in its task's row."""
    update: dict[str, object] = {}
    match event:
        case TaskStarted():
            update = {"status": "running", "attempts": event.attempt, "started_at": at, "why": ""}
            update |= {"due_at": None, "retry_at": None, "canceling": False}
        case TaskRequeued():
            update = {"status": "pending", "why": event.reason, "retry_at": None}
        case TaskRetried():
            why = f"{event.reason}; {event.why}" if event.why else event.reason
            update = {"status": "pending", "why": why, "retry_at": event.retry_at, "due_at": event.retry_at}
            update |= _outcome(event)
        case TaskCancelRequested():
            update = {"canceling": True, "why": event.reason, "source": event.source}
        case TaskFinished():
            update = {"status": event.status, "why": event.reason, "source": event.source}
            update |= {"finished_at": at, "due_at": None, "retry_at": None, "canceling": False}
            update |= {"value": event.value, **_outcome(event)}
        case TaskSummarized():
            update = {"summary": event.text}
        case _:
            pass
    return update


def _outcome(event: TaskRetried | TaskFinished) -> dict[str, object]:
    return {
        "exit_code": event.exit_code,
        "output_bytes": event.output.total_bytes,
        "excerpt": event.output.text[-EXCERPT_CHARACTERS:],
    }


def _created(event: TaskCreated, at: float) -> TaskRow:
    spec = event.spec
    return TaskRow(
        id=event.id,
        title=spec.title,
        status="pending",
        command=spec.command,
        executor=spec.executor,
        function=spec.function,
        queue=spec.queue,
        priority=spec.priority,
        timeout_s=spec.timeout_s,
        retries=spec.retries,
        session=spec.session,
        origin=spec.origin,
        schedule=spec.schedule,
        created_at=at,
        due_at=event.due_at,
        why=event.why or "waits for a free place",
    )


def _put(model: ReadModel, row: TaskRow) -> list[Change]:
    model.put_task(row)
    return [Change.model_construct(table="tasks", id=row.id, row=row)]
