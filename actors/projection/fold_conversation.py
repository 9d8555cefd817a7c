"""The manager's journal → messages, and what the manager is at."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from understudy.protocols.conversation import (
    ConversationMessage,
    CronDueReceived,
    InputReceived,
    NoticePosted,
    QueueCompacted,
    RunFailed,
    RunGivenUp,
    RunPaused,
    RunStarted,
    RunSucceeded,
    SessionRebuilt,
    TaskDoneReceived,
)
from understudy.protocols.read_model import Change, MessageRow

if TYPE_CHECKING:
    from understudy.actors.manager.state import ManagerState
    from understudy.actors.projection.model import QueueName, ReadModel
    from understudy.protocols import Event

EVENTS: tuple[type[Event], ...] = (
    InputReceived,
    TaskDoneReceived,
    CronDueReceived,
    RunStarted,
    RunFailed,
    RunPaused,
    SessionRebuilt,
    RunSucceeded,
    RunGivenUp,
    QueueCompacted,
    NoticePosted,
)


def fold_conversation(model: ReadModel, event: Event, at: float) -> list[Change]:
    """Apply one event of the manager."""
    changes: list[Change] = []
    match event:
        case InputReceived(input=given):
            row = MessageRow(id=given.id, role="user", text=given.text, at=at, session=given.session)
            changes = [_put(model, row), *_wake(model, given.id, "inputs")]
        case TaskDoneReceived(result=result):
            changes = _wake(model, result.task, "results")
        case CronDueReceived(due=due):
            changes = _wake(model, due.id, "inputs")
        case RunStarted():
            begun: dict[str, object] = {"run": event.run, "attempt": event.attempt, "engine": event.engine}
            changes = _manager(
                model, **begun, retry_at=None, **({} if event.attempt > 1 else {"error": None})
            )
        case RunFailed():
            changes = _said(model, event.messages, at)
            changes += _manager(model, error=event.error, retry_at=event.retry_at)
        case RunSucceeded() | RunGivenUp():
            changes = _over(model, event, at)
        case SessionRebuilt():
            changes = _manager(model, **_session(model, event.engine, event.new))
        case QueueCompacted(queue=queue):
            changes = _manager(model, **{f"{queue}_cursor": 0, f"{queue}_total": 0})
        case NoticePosted():
            changes = _said(model, event.messages, at)
        case _:
            pass
    return changes


def seed_conversation(model: ReadModel, state: ManagerState) -> list[Change]:
    """The rows of the inputs that wait for their reply, and the manager's."""
    changes = [
        _put(model, MessageRow(id=name, role="user", text=one.text, at=one.at, session=one.session))
        for name, one in state.inputs.items()
    ]
    for wake in state.wakes.values():
        model.manager_wakes[wake.id] = "results" if wake.wake == "task_done" else "inputs"
    run, sessions = state.run, state.sessions
    begun: dict[str, object] = {}
    if run is not None:
        begun = {"run": run.id, "attempt": run.attempt, "retry_at": run.retry_at, "error": run.error or None}
    return changes + _manager(
        model,
        **begun,
        engine=state.answering if run is None else run.engine,
        waiting=len(state.wakes),
        answering=state.answering,
        session_id=None if state.answering is None else sessions.get(state.answering),
        sessions=tuple(sorted(sessions.items())),
        inputs_cursor=state.inputs_queue.cursor,
        inputs_total=state.inputs_queue.total,
        results_cursor=state.results_queue.cursor,
        results_total=state.results_queue.total,
    )


def _said(model: ReadModel, messages: tuple[ConversationMessage, ...], at: float) -> list[Change]:
    return [change for message in messages for change in _reply(model, message, at)]


def _over(model: ReadModel, event: RunSucceeded | RunGivenUp, at: float) -> list[Change]:
    changes = _said(model, event.messages, at)
    update: dict[str, object] = {"run": None, "attempt": 0, "error": None, "retry_at": None}
    for queue in (model.manager_wakes.pop(wake, None) for wake in event.batch):
        if queue is not None:
            name = f"{queue}_cursor"
            update[name] = cast("int", update.get(name, getattr(model.manager, name))) + 1
    if isinstance(event, RunSucceeded):
        update["answering"] = event.engine or model.manager.answering
        update |= _session(model, event.engine, event.session_id)
    return changes + _manager(model, **update, waiting=len(model.manager_wakes))


def _session(model: ReadModel, engine: str, session: str | None) -> dict[str, object]:
    """The row's fields when `engine` has that session now."""
    sessions = {name: kept for name, kept in model.manager.sessions if name != engine}
    if session is not None:
        sessions[engine] = session
    return {"session_id": session, "sessions": tuple(sorted(sessions.items()))}


def _reply(model: ReadModel, message: ConversationMessage, at: float) -> list[Change]:
    """The reply's row, and those of the inputs that it answers."""
    reply = MessageRow(
        id=message.id,
        role=message.role,
        text=message.text,
        at=at,
        in_reply_to=message.in_reply_to,
        task=message.task,
        session=message.session,
    )
    inputs = [row for name in message.in_reply_to if (row := model.messages.get(name)) is not None]
    return [
        _put(model, reply),
        *(_put(model, row.model_copy(update={"reply": message.id})) for row in inputs),
    ]


def _wake(model: ReadModel, wake: str, queue: QueueName) -> list[Change]:
    model.manager_wakes[wake] = queue
    name = f"{queue}_total"
    update: dict[str, object] = {name: getattr(model.manager, name) + 1}
    return _manager(model, waiting=len(model.manager_wakes), **update)


def _manager(model: ReadModel, **update: object) -> list[Change]:
    model.manager = model.manager.model_copy(update=update)
    return [Change.model_construct(table="manager", id="manager", row=model.manager)]


def _put(model: ReadModel, row: MessageRow) -> Change:
    model.put_message(row)
    return Change.model_construct(table="messages", id=row.id, row=row)
