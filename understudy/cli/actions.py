"""The actions of the cast in the log: who did what, taken from the journals' lines as they become durable.

Actors do not log what they do: their journals say it. So nothing is logged that did not happen, each event
is, and an actor's code need not know of it. What became durable right before a crash may be missing here;
the journals are the truth.
"""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, TypedDict, cast

from understudy.actors.registry import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from understudy.supervision.system import ActorSystem

ACTIONS = "understudy.actions"
"""The logger, and so the `category`, of these records."""

BY_REQUEST = frozenset(
    {
        "DeliveryRevived",
        "InputReceived",
        "ScheduleAdded",
        "ScheduleDisabled",
        "ScheduleEnabled",
        "ScheduleIdReserved",
        "ScheduleRemoved",
        "TaskCancelRequested",
        "TaskCreated",
        "TaskIdReserved",
    }
)
"""Events that follow from a command: where that came from no actor, it came over HTTP."""

IDS = {"workers": "task", "cron": "schedule", "notifier": "delivery"}
"""What an event's own `id` is the id of, by journal."""
CONTEXT = ("task", "run", "session", "schedule", "origin", "attempt", "sink", "receiver", "nominal_at")
NESTED = {"spec": "spec", "input": "input", "result": "task", "due": "due", "notification": "notification"}
"""Parts of events that hold ids too, and what their own `id` is the id of."""
PARAMETERS = (
    "command", "function", "arguments", "env", "queue", "timeout_s", "retries", "start_at",
    "cron", "at", "timezone",
)  # fmt: skip
SUBJECTS = ("delivery", "task", "schedule", "run", "input")
"""What a message begins with: the first of these ids that the event has."""
DETAILS = ("status", "reason", "error")
_DETAIL_CHARACTERS = 500

log = logging.getLogger(ACTIONS)


class _Event(TypedDict):
    type: str
    data: dict[str, Any]


class _Line(TypedDict):
    seq: int
    cause: str
    events: list[_Event]


def log_actions(system: ActorSystem) -> Callable[[], None]:
    """Log each event of the cast from now on; returns the end of it."""
    journals = {role.name for role in ROLES} - {"projection"}  # its events are checkpoints

    def note(journal: str, _seq: int, lines: bytes) -> None:
        if journal in journals and log.isEnabledFor(logging.INFO):
            for line in lines.splitlines():
                for message, extra in actions_of(journal, cast("_Line", json.loads(line))):
                    log.info("%s", message, extra=extra)

    return system.subscribe_journals(note)


def actions_of(journal: str, line: _Line) -> Iterator[tuple[str, dict[str, object]]]:
    """The message and the fields for each event of a line."""
    for event in line["events"]:
        kind, data = event["type"], event["data"]
        action = re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
        context = {"journal": journal, "seq": line["seq"], **_ids(journal, data)}
        spec = data.get("spec", data)
        extra: dict[str, object] = {
            "action": action,
            "operator": operator_of(journal, line["cause"], kind, data),
            "context": context,
            "tool": spec.get("executor") or data.get("engine"),
            "parameters": {name: spec[name] for name in PARAMETERS if spec.get(name)},
        }
        about = next((str(context[name]) for name in SUBJECTS if name in context), journal)
        details = "".join(f", {data[name]}" for name in DETAILS if data.get(name))
        yield f"{about}: {action.replace('_', ' ')}{details[:_DETAIL_CHARACTERS]}", extra


def operator_of(journal: str, cause: str, kind: str, data: dict[str, Any]) -> str:
    """Who did it: `api`, `runtime` (a start or stop, a limit), or the name of the actor that decided."""
    if isinstance(source := data.get("source"), str):
        return source
    sender = cause.partition("/")[0]
    if sender in ("start", "stop"):
        return "runtime"
    if sender != "outside":
        return sender
    return "api" if kind in BY_REQUEST else journal


def _ids(journal: str, data: dict[str, Any]) -> dict[str, object]:
    found: dict[str, object] = {}
    for part, named in NESTED.items():
        if isinstance(nested := data.get(part), dict):
            inner = cast("dict[str, object]", nested)
            found |= {name: inner[name] for name in CONTEXT if inner.get(name) is not None}
            if inner.get("id") is not None:
                found[named] = inner["id"]
    found |= {name: data[name] for name in CONTEXT if data.get(name) is not None}
    if data.get("id") is not None:
        found[IDS.get(journal, "id")] = data["id"]
    return found
