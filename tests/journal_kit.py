"""Journals for tests of the reading side: lines made of events, written as an actor's writer would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.actors.projection.model_dump import dump_of
from understudy.protocols.conversation import ConversationMessage, InputReceived, RunStarted, RunSucceeded
from understudy.protocols.engine import UserInput
from understudy.protocols.schedules import ScheduleAdded, ScheduleFired, ScheduleRemoved, ScheduleSpec
from understudy.protocols.tasks import (
    Output,
    TaskCreated,
    TaskFinished,
    TaskSpec,
    TaskStarted,
)
from understudy.supervision.journal.line import seal
from understudy.supervision.journal.segments import segment_path

if TYPE_CHECKING:
    from understudy.actors.projection import ReadModel
    from understudy.protocols import Event

START_S = 1_795_000_000
"""2026-11-18 05:46:40 UTC: when the first line was written; each one a minute later."""


def made_line(seq: int, *events: Event, mark: int = 0) -> bytes:
    """The sealed line of a turn with these events."""
    entries = [
        {"type": event.kind, "v": event.version, "data": event.model_dump(mode="json")} for event in events
    ]
    ts = (START_S + 60 * seq) * 1_000_000
    body = {"seq": seq, "ts": ts, "cause": "outside/1", "from": "", "n": 0, "mark": mark, "events": entries}
    return seal(json.dumps(body, separators=(",", ":")).encode()[:-1])


def write_journal(folder: Path, lines: list[bytes]) -> None:
    """Append `lines` to the journal's first segment."""
    folder.mkdir(parents=True, exist_ok=True)
    with segment_path(folder, 1, 1).open("ab") as file:
        file.writelines(lines)


def conversation(count: int) -> list[bytes]:
    """The manager's journal of `count` inputs, each answered in the line after its run's start."""
    lines: list[bytes] = []
    for number in range(1, count + 1):
        given = UserInput(id=f"input-{number}", text=f"say {number}")
        reply = ConversationMessage(
            id=f"msg-{number}", role="assistant", text=f"said {number}", in_reply_to=(given.id,)
        )
        run = f"run-{number}"
        started = RunStarted(run=run, attempt=1, batch=(given.id,), engine="offline")
        ended = RunSucceeded(run=run, attempt=1, batch=(given.id,), messages=(reply,), actions=())
        for events in ((InputReceived(input=given),), (started,), (ended,)):
            lines.append(made_line(len(lines) + 1, *events))
    return lines


def pool(count: int) -> list[bytes]:
    """The pool's journal of `count` tasks, every third of which fails, and the last is still running."""
    lines: list[bytes] = []
    for number in range(1, count + 1):
        task = f"task-{number}"
        created = TaskCreated(id=task, spec=TaskSpec(title=f"do {number}", command=("echo", str(number))))
        lines.append(made_line(len(lines) + 1, created))
        lines.append(made_line(len(lines) + 1, TaskStarted(id=task, attempt=1)))
        if number < count:
            lines.append(made_line(len(lines) + 1, finished(task, failed=number % 3 == 0)))
    return lines


def finished(task: str, *, failed: bool = False, text: str = "out\n") -> TaskFinished:
    """How an attempt of `task` ended."""
    return TaskFinished(
        id=task,
        attempt=1,
        status="failed" if failed else "succeeded",
        reason="exit code 1" if failed else "exit code 0",
        source="worker",
        exit_code=int(failed),
        output=Output(text=text, total_bytes=len(text)),
    )


def cron(count: int) -> list[bytes]:
    """Cron's journal of `count` schedules; each fires twice, and every second one is removed."""
    lines: list[bytes] = []
    for number in range(1, count + 1):
        schedule = f"sched-{number}"
        spec = ScheduleSpec(title=f"each {number}", cron="0 * * * *", command=("date",))
        events: list[Event] = [ScheduleAdded(id=schedule, spec=spec, timezone="UTC", next_at=START_S + 3600)]
        events += [
            ScheduleFired(
                id=schedule,
                nominal_at=START_S + 3600 * place,
                caught_up=False,
                next_at=START_S + 3600 * (place + 1),
            )
            for place in (1, 2)
        ]
        if number % 2 == 0:
            events.append(ScheduleRemoved(id=schedule))
        lines += [made_line(len(lines) + place, event) for place, event in enumerate(events, start=1)]
    return lines


def as_filed(model: ReadModel) -> bytes:
    """What the model's file would hold: two models are the same when this is."""
    return b"\n".join(dump_of(model).lines())
