"""The manager's journal → messages, and what the manager is at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.protocols.conversation import (
    ConversationMessage,
    CronDueReceived,
    InputReceived,
    RunFailed,
    RunGivenUp,
    RunStarted,
    RunSucceeded,
    TaskDoneReceived,
)
from understudy.protocols.read_model import Change, MessageRow

if TYPE_CHECKING:
    from understudy.actors.projection.model import ReadModel
    from understudy.protocols import Event

EVENTS: tuple[type[Event], ...] = (
    InputReceived,
    TaskDoneReceived,
    CronDueReceived,
    RunStarted,
    RunFailed,
    RunSucceeded,
    RunGivenUp,
)


def fold_conversation(model: ReadModel, event: Event, at: float) -> list[Change]:
    """Apply one event of the manager."""
    changes: list[Change] = []
    match event:
        case InputReceived(input=given):
            row = MessageRow(id=given.id, role="user", text=given.text, at=at, session=given.session)
            changes = [_put(model, row), *_wake(model, given.id)]
        case TaskDoneReceived(result=result):
            changes = _wake(model, result.task)
        case CronDueReceived(due=due):
            changes = _wake(model, due.id)
        case RunStarted():
            begun: dict[str, object] = {"run": event.run, "attempt": event.attempt, "engine": event.engine}
            changes = _manager(model, **begun, error=None, retry_at=None)
        case RunFailed():
            changes = _manager(model, error=event.error, retry_at=event.retry_at)
        case RunSucceeded() | RunGivenUp():
            changes = _over(model, event, at)
        case _:
            pass
    return changes


def _over(model: ReadModel, event: RunSucceeded | RunGivenUp, at: float) -> list[Change]:
    changes = [change for message in event.messages for change in _reply(model, message, at)]
    for wake in event.batch:
        model.manager_wakes.pop(wake, None)
    idle: dict[str, object] = {"run": None, "attempt": 0, "error": None, "retry_at": None}
    if isinstance(event, RunSucceeded):
        idle["session_id"] = event.session_id
    return changes + _manager(model, **idle, waiting=len(model.manager_wakes))


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


def _wake(model: ReadModel, wake: str) -> list[Change]:
    model.manager_wakes[wake] = None
    return _manager(model, waiting=len(model.manager_wakes))


def _manager(model: ReadModel, **update: object) -> list[Change]:
    model.manager = model.manager.model_copy(update=update)
    return [Change.model_construct(table="manager", id="manager", row=model.manager)]


def _put(model: ReadModel, row: MessageRow) -> Change:
    model.put_message(row)
    return Change.model_construct(table="messages", id=row.id, row=row)
