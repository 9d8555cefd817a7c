"""One journal line → changes of the read model: pure, so that a rebuild equals what was followed live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from understudy.actors.projection import fold_conversation, fold_schedules, fold_tasks
from understudy.protocols.errors import NewerVersion, RecordNotUnderstood
from understudy.protocols.read_model import Change, Cursor
from understudy.protocols.upcasting import by_name, upcast

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.actors.projection.model import ReadModel
    from understudy.protocols import Event

    Fold = Callable[[ReadModel, Event, float], list[Change]]
    Seed = Callable[[ReadModel, Any], list[Change]]


class Folded(NamedTuple):
    """What a line did: the changes, and what of it could not be taken in (None when all was)."""

    changes: list[Change]
    problem: str | None


class _Entry(BaseModel):
    """An event as a line holds it."""

    model_config = ConfigDict(extra="ignore")

    type: str
    v: int
    data: dict[str, Any]


class _Line(BaseModel):
    """What the fold needs of a line; `ts` is in microseconds."""

    model_config = ConfigDict(extra="ignore")

    seq: int
    ts: int
    events: list[_Entry]


_FOLDS: Final[dict[str, tuple[dict[str, type[Event]], Fold]]] = {
    name: (by_name(events), fold)
    for name, events, fold in (
        ("workers", fold_tasks.EVENTS, fold_tasks.fold_task),
        ("manager", fold_conversation.EVENTS, fold_conversation.fold_conversation),
        ("cron", fold_schedules.EVENTS, fold_schedules.fold_schedule),
    )
}


_SEEDS: Final[dict[str, Seed]] = {
    "workers": fold_tasks.seed_tasks,
    "manager": fold_conversation.seed_conversation,
    "cron": fold_schedules.seed_schedules,
}


def seed(model: ReadModel, cursor: Cursor, state: BaseModel) -> list[Change]:
    """Begin a journal whose first lines are gone with its actor's state as of `cursor`.

    The rows are those of what is not over; what was is not in the state.
    """
    model.cursors[cursor.journal] = cursor
    return _SEEDS[cursor.journal](model, state)


def is_folded(journal: str) -> bool:
    """Whether rows come from this journal; of the others only the cursor is kept."""
    return journal in _FOLDS


def fold_line(model: ReadModel, cursor: Cursor, line: bytes) -> Folded:
    """Apply one line of `cursor.journal` to `model`; `cursor` is what the model's becomes.

    What this program does not know in the line is left out, and said: a viewer must not stop the work.
    """
    model.cursors[cursor.journal] = cursor
    changes: list[Change] = []
    known = _FOLDS.get(cursor.journal)
    if known is None:
        return Folded(changes, None)
    kinds, fold = known
    try:
        parsed = _Line.model_validate_json(line)
        for entry in parsed.events:
            if (kind := kinds.get(entry.type)) is None:
                continue
            data = upcast(kind, entry.v, entry.data)
            changes += fold(model, kind.model_validate(data), parsed.ts / 1e6)
    except (ValidationError, NewerVersion, RecordNotUnderstood) as error:
        return Folded(changes, f"{cursor.journal}, seq {cursor.seq}: {error}")
    return Folded(changes + model.take_evicted(), None)
