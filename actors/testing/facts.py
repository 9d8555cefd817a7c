"""What must be true of the journals of the cast, told from their lines alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

MOST_RERUNS = 5
"""Of a task by crashes of the runtime: what the pool has when nobody says otherwise."""
Events = list[tuple[str, dict[str, Any]]]
_NEXT: dict[str, tuple[set[str], str]] = {
    "TaskStarted": ({"pending"}, "running"),
    "TaskRequeued": ({"running"}, "pending"),
    "TaskRetried": ({"running"}, "pending"),
    "TaskCancelRequested": ({"running"}, "running"),
}


def check_facts(events: dict[str, Events], *, settled: bool) -> dict[str, dict[str, Any]]:
    """Check tasks, their sessions and the conversation. Returns how tasks ended, by id.

    Args:
        events: all that there ever were, by journal.
        settled: everything is over, and nobody waits for anything.

    Raises:
        AssertionError.
    """
    finished = check_tasks(events.get("workers", []), settled=settled)
    check_told(events, finished, settled=settled)
    check_replies(events.get("manager", []), settled=settled)
    check_single_flight(events.get("manager", []))
    return finished


def check_tasks(events: Events, *, settled: bool) -> dict[str, dict[str, Any]]:
    """Transitions are legal, final states final, attempts counted and bounded. Returns how tasks ended."""
    statuses: dict[str, str] = {}
    attempts: Counter[str] = Counter()
    specs: dict[str, dict[str, Any]] = {}
    finished: dict[str, dict[str, Any]] = {}
    for kind, data in events:
        task = data.get("id", "")
        if kind == "TaskCreated":
            assert task not in statuses, f"{task} was created twice"
            statuses[task], specs[task] = "pending", data["spec"]
        elif kind in _NEXT:
            before, after = _NEXT[kind]
            assert statuses.get(task) in before, f"{task}: {kind} when it was {statuses.get(task)}"
            statuses[task] = after
            if kind == "TaskStarted":
                attempts[task] += 1
                assert data["attempt"] == attempts[task], f"{task}: attempt {data['attempt']}"
        elif kind == "TaskFinished":
            assert task not in finished, f"{task} has ended twice"
            assert statuses.get(task) in ("pending", "running"), f"{task} ended before it was there"
            statuses[task], finished[task] = data["status"], data
    running = sum(status == "running" for status in statuses.values())
    assert running <= 3, f"{running} tasks run at once"  # noqa: PLR2004 - the world's concurrency
    orderly = check_reruns(events)
    for task, count in attempts.items():
        most = 1 + specs[task].get("retries", 0) + MOST_RERUNS + orderly[task]
        assert count <= most, f"{task}: {count} attempts, expected at most {most}"
    if settled:
        left = [task for task in statuses if task not in finished]
        assert not left, f"never ended: {left}"
    return finished


def check_reruns(events: Events) -> Counter[str]:
    """Crashes under a task are counted and bounded. Returns how often an orderly stop put each back."""
    reruns: Counter[str] = Counter()
    orderly: Counter[str] = Counter()
    for kind, data in events:
        if kind == "TaskRequeued":
            task, before = data["id"], reruns[data["id"]]
            assert data["reruns"] in (before, before + 1), f"{task}: {data['reruns']} reruns after {before}"
            assert data["reruns"] <= MOST_RERUNS, f"{task}: {data['reruns']} reruns"
            orderly[task] += data["reruns"] == before
            reruns[task] = data["reruns"]
    return orderly


def check_told(events: dict[str, Events], finished: dict[str, dict[str, Any]], *, settled: bool) -> None:
    """The end of each task is told to its session once, and only that."""
    sent = Counter(data["task"] for kind, data in events.get("notifier", []) if kind == "TaskDoneSent")
    heard = Counter(
        data["result"]["task"] for kind, data in events.get("manager", []) if kind == "TaskDoneReceived"
    )
    for where, told in (("the notifier", sent), ("the manager", heard)):
        for task, count in told.items():
            assert task in finished, f"{where} heard of the end of {task}, which has not ended"
            assert count == 1, f"{where} heard {count} times of the end of {task}"
        if settled:
            missing = finished.keys() - told.keys()
            assert not missing, f"{where} never heard of the end of {sorted(missing)}"


def check_replies(events: Events, *, settled: bool) -> None:
    """Each input gets one final reply."""
    inputs = [data["input"]["id"] for kind, data in events if kind == "InputReceived"]
    replies: Counter[str] = Counter()
    for _, data in events:
        for message in data.get("messages", ()):
            replies.update(message.get("in_reply_to", ()))
    assert len(set(inputs)) == len(inputs), "an input was received twice"
    for name, count in replies.items():
        assert name in inputs, f"a reply to {name}, which nobody sent"
        assert count == 1, f"{count} final replies to {name}"
    if settled:
        missing = [name for name in inputs if not replies[name]]
        assert not missing, f"no reply to {missing}"


def check_single_flight(events: Events) -> None:
    """One run at a time, and a run's batch stays what it was."""
    flying: str | None = None
    batches: dict[str, tuple[str, ...]] = {}
    for kind, data in events:
        if kind == "RunStarted":
            assert flying in (None, data["run"]), f"{data['run']} began while {flying} was in flight"
            flying = data["run"]
            batch = batches.setdefault(data["run"], tuple(data["batch"]))
            assert batch == tuple(data["batch"]), f"{flying}: another batch than before"
        elif kind in ("RunSucceeded", "RunGivenUp"):
            assert flying == data["run"], f"{data['run']} ended while {flying} was in flight"
            flying = None
