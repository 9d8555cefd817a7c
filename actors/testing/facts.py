"""What must be true of the journals of the cast, told from their lines alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy.supervision.testing.lines import Lines

MOST_RERUNS = 5
_NEXT: dict[str, tuple[set[str], str]] = {
    "TaskStarted": ({"pending"}, "running"),
    "TaskRequeued": ({"running"}, "pending"),
    "TaskRetried": ({"running"}, "pending"),
    "TaskCancelRequested": ({"running"}, "running"),
}


def check_facts(journals: dict[str, Lines], *, settled: bool) -> None:
    """All of it; `settled`: everything is over, and nobody waits for anything.

    Raises:
        AssertionError.
    """
    events = {name: [*lines.events()] for name, lines in journals.items()}
    finished = check_tasks(events.get("workers", []), settled=settled)
    check_told(events, finished, settled=settled)
    check_replies(events.get("manager", []), settled=settled)
    check_single_flight(events.get("manager", []))
    check_firings(events, settled=settled)


Events = list[tuple[str, dict[str, Any]]]


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
    reruns = Counter(data["id"] for kind, data in events if kind == "TaskRequeued")
    for task, count in attempts.items():
        most = 1 + specs[task].get("retries", 0) + reruns[task]
        assert count <= most, f"{task}: {count} attempts, expected at most {most}"
    if settled:
        left = [task for task in statuses if task not in finished]
        assert not left, f"never ended: {left}"
    return finished


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


def check_firings(events: dict[str, Events], *, settled: bool) -> None:
    """A nominal time fires once; what comes next is what was announced; a firing makes one task at most."""
    fired, background = _fired(events.get("cron", []))
    made: Counter[tuple[str, float]] = Counter()
    for kind, data in events.get("workers", []):
        if kind == "TaskCreated" and data["spec"].get("schedule"):
            made[data["spec"]["schedule"], data["spec"]["nominal_at"]] += 1
        elif kind == "FiringSkipped":
            made[data["schedule"], data["nominal_at"]] += 1
    for firing, count in made.items():
        assert firing in fired, f"the pool knows of {firing}, which did not fire"
        assert count == 1, f"the firing {firing} came to the pool {count} times"
    if settled:
        missing = {firing for firing in fired if firing[0] in background} - made.keys()
        assert not missing, f"firings without a task or a refusal: {sorted(missing)}"


def _fired(events: Events) -> tuple[set[tuple[str, float]], set[str]]:
    """All firings, and the schedules whose firings make tasks."""
    fired: set[tuple[str, float]] = set()
    announced: dict[str, float | None] = {}
    background: set[str] = set()
    for kind, data in events:
        schedule = data.get("id", "")
        if kind == "ScheduleAdded" and data["spec"].get("kind", "background") == "background":
            background.add(schedule)
        if kind == "ScheduleFired":
            firing = (schedule, data["nominal_at"])
            assert firing not in fired, f"{schedule} has fired twice for {data['nominal_at']}"
            fired.add(firing)
            assert announced.get(schedule) is not None, f"{schedule} fired and was not to"
            assert data["nominal_at"] >= (announced[schedule] or 0), f"{schedule} went back in time"
        if kind == "FiringsMissed":
            first = data["missed"]["first_at"]
            assert first >= (announced.get(schedule) or 0), f"{schedule} missed a time that was over"
        if "next_at" in data:
            announced[schedule] = data["next_at"]
    return fired, background
