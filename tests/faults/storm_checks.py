"""What has to hold after a storm; each check returns a sentence for each violation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.storm_journals import Effects, Facts
from tests.faults.storm_load import TASKS, Request
from understudy.supervision import leftovers

RERUNS = 5  # so often a task is run again after a crash; then it fails (rule E3)
FINAL = {"succeeded", "failed", "canceled"}
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class View:
    """What a server of the home shows."""

    tasks: Rows
    messages: Rows
    schedules: Rows


def answered_once(acknowledged: Iterable[Request], view: View) -> Iterator[str]:
    """Each input of the system has exactly one final reply, and each key made one input."""
    replies = Counter(name for row in view.messages for name in row.get("in_reply_to") or ())
    texts = {row["id"]: row["text"] for row in view.messages if row["role"] == "user"}
    answers = {name: row["text"] for row in view.messages for name in row.get("in_reply_to") or ()}
    for name, text in texts.items():
        if replies[name] != 1:
            yield f"{name} ({text!r}) has {replies[name]} final replies"
    for name in replies.keys() - texts.keys():
        yield f"a reply names {name}, which is no input"
    for text, count in Counter(texts.values()).items():
        if count != 1:
            yield f"{text!r} was sent once and is there {count} times"
    for request in acknowledged:
        if not request.is_input:
            continue
        text, answer = texts.get(str(request.id)), answers.get(str(request.id), "")
        if text != request.body["text"]:
            yield f"{request.key} was acknowledged as {request.id}, which reads {text!r}"
        if request.label not in answer:
            yield f"the reply to {request.id} does not name {request.label}: {answer!r}"


def tasks_final(view: View) -> Iterator[str]:
    """Each task is over, and each single time has fired once."""
    for row in view.tasks:
        if row["status"] not in FINAL:
            yield f"{row['id']} is {row['status']}"
        if row["status"] == "failed" and row["attempts"] <= RERUNS:
            yield f"{row['id']} failed after {row['attempts']} attempts: {row['why']}"
    for row in view.schedules:
        if row["status"] != "done" or row["firings"] != 1:
            yield f"{row['id']} is {row['status']} after {row['firings']} firings, expected one"


def carried_out(acknowledged: Iterable[Request], view: View, effects: Effects) -> Iterator[str]:
    """Each request for work became one task, which did it where it succeeded, or was canceled."""
    statuses = {row["id"]: row["status"] for row in view.tasks}
    tasks_of: dict[str, set[str]] = {}
    for label, attempt in effects.of("start"):
        tasks_of.setdefault(label, set()).add(attempt.partition("/")[0])
    ended = {label for label, _ in effects.of("end")}
    for request in acknowledged:
        tasks = tasks_of.get(request.label, set())
        named = {str(request.id)} if request.path == TASKS else tasks
        status = statuses.get(next(iter(named), ""))
        if request.kind == "cancel" and status != "canceled":
            yield f"{request.id} was canceled and is {status}"
        if request.kind in {"run", "task", "at"} and len(tasks) != 1:
            yield f"{request.key} was acknowledged once and ran as {sorted(tasks) or 'nothing'}"
        if not tasks <= named:
            yield f"{request.key} was acknowledged as {request.id} and ran as {sorted(tasks)}"
        if status == "succeeded" and request.label not in ended:
            yield f"{sorted(named)} succeeded, and the command of {request.key} never came to its end"


def executions(effects: Effects, facts: Facts, bound: int) -> Iterator[str]:
    """Commands ran again only where a kill cut them, each attempt once, one after the other."""
    starts = effects.of("start")
    again = len(starts) - len({label for label, _ in starts})
    if again > bound:
        yield f"{again} executions again, expected at most {bound} (tasks running at the kills)"
    for (label, attempt), count in Counter(starts).items():
        if count != 1:
            yield f"attempt {attempt} of {label} was run {count} times"
    latest: dict[str, int] = {}
    for step, label, attempt in effects.lines:
        number = int(attempt.partition("/")[2])
        if number < latest.get(label, 0):
            yield f"attempt {attempt} of {label} did {step!r} after attempt {latest[label]} had started"
        latest[label] = max(number, latest.get(label, 0))
        task = attempt.partition("/")[0]
        if number > facts.attempts.get(task, 0):
            yield f"attempt {attempt} ran before its start was on disk"


def replay_agrees(facts: Facts, views: Mapping[str, View]) -> Iterator[str]:
    """What the servers showed, before and after recoveries, and what the journals say is one state."""
    (first, reference), *others = views.items()
    for name, view in others:
        for part in ("tasks", "messages", "schedules"):
            yield from _differences(part, first, getattr(reference, part), name, getattr(view, part))
    shown = {row["id"]: (row["status"], row["attempts"]) for row in reference.tasks}
    replayed = {task: (status, facts.attempts[task]) for task, status in facts.statuses.items()}
    for task in sorted(shown.keys() | replayed.keys()):
        if shown.get(task) != replayed.get(task):
            yield f"{task} is shown as {shown.get(task)}, and its journal says {replayed.get(task)}"
    inputs = {row["id"]: row["text"] for row in reference.messages if row["role"] == "user"}
    for name in sorted(inputs.keys() | facts.inputs.keys()):
        if inputs.get(name) != facts.inputs.get(name):
            yield f"{name} is shown as {inputs.get(name)!r}, its journal says {facts.inputs.get(name)!r}"
    for name, count in facts.replies.items():
        if count != 1:
            yield f"the journal holds {count} final replies to {name}"


def no_orphans(home: Path) -> Iterator[str]:
    """No process of the home is left."""
    for found in leftovers.find(home):
        yield f"process {found.process.pid} of {found.mark} is left: {found.command}"


def _differences(part: str, first: str, left: Rows, second: str, right: Rows) -> Iterator[str]:
    one, other = ({row["id"]: row for row in rows} for rows in (left, right))
    for name in sorted(one.keys() | other.keys()):
        if one.get(name) != other.get(name):
            yield f"{part} {name}: {first} shows {one.get(name)}, {second} shows {other.get(name)}"
