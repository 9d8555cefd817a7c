"""The demo's evidence and checks: each check must be able to find its promise broken."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.cli.demo.checks import Evidence, check_all
from understudy.cli.demo.ledger import Ledger, Reply, Spec, TaskStory, read_ledger
from understudy.cli.demo.scenes import Note, on_stage, read_book
from understudy.supervision.home import Home
from understudy.supervision.journal import Damage, JournalReport, seal

DEAD_PID = 2**22 - 1  # above what Linux gives out by default
REPORT = JournalReport(
    name="manager",
    incarnation=1,
    segments=1,
    lines=3,
    first_seq=1,
    last_seq=3,
    size_bytes=300,
    gaps=(),
    unfinished_bytes=0,
    snapshots=0,
    damage=(),
)


def sound() -> Evidence:
    """A play in which everything went well: a greeting, an order that was cut off once, a schedule."""
    order = TaskStory(Spec(origin="input-2"), created=1, attempts=[1, 2], interrupted=1, ends=["succeeded"])
    bell = TaskStory(Spec(schedule="sched-1", nominal_at=5.0), created=1, attempts=[1], ends=["succeeded"])
    ledger = Ledger(
        received=Counter({"input-1": 1, "input-2": 1, "input-3": 1}),
        texts={"input-1": "hello", "input-2": "/run x", "input-3": "/at +1s y"},
        replies={name: [Reply(id=f"msg-{name}", text="done", in_reply_to=(name,))] for name in names()},
        tasks={"task-1": order, "task-2": bell},
        schedules={"sched-1": "input-3"},
        firings=Counter({("sched-1", 5.0): 1}),
        lateness={("sched-1", 5.0): 0.9},
    )
    before = Ledger(tasks={"task-1": TaskStory(Spec(origin="input-2"), created=1, attempts=[1])})
    return Evidence(
        accepted=names(),
        ledger=ledger,
        before=before,
        notes=(
            Note("began", "task-1", 1, DEAD_PID),
            Note("began", "task-1", 2, DEAD_PID),
            Note("ended", "task-1", 2, DEAD_PID),
            Note("began", "task-2", 1, DEAD_PID),
            Note("ended", "task-2", 1, DEAD_PID),
        ),
        first_cast=(DEAD_PID,),
        reports=(REPORT,),
        same_key=("input-1", "input-1"),
    )


def names() -> tuple[str, ...]:
    """The inputs that were accepted."""
    return ("input-1", "input-2", "input-3")


class Faults:
    """What could have gone wrong."""

    @staticmethod
    def an_input_is_lost(evidence: Evidence) -> Evidence:
        del evidence.ledger.received["input-1"]
        return evidence

    @staticmethod
    def an_input_is_kept_twice(evidence: Evidence) -> Evidence:
        evidence.ledger.received["input-1"] = 2
        return evidence

    @staticmethod
    def an_unknown_input_is_there(evidence: Evidence) -> Evidence:
        evidence.ledger.received["input-9"] = 1
        return evidence

    @staticmethod
    def an_input_is_not_answered(evidence: Evidence) -> Evidence:
        del evidence.ledger.replies["input-1"]
        return evidence

    @staticmethod
    def an_input_is_answered_twice(evidence: Evidence) -> Evidence:
        evidence.ledger.replies["input-1"] *= 2
        return evidence

    @staticmethod
    def an_order_makes_no_task(evidence: Evidence) -> Evidence:
        evidence.ledger.tasks["task-1"].spec = Spec()
        return evidence

    @staticmethod
    def an_order_makes_two_tasks(evidence: Evidence) -> Evidence:
        evidence.ledger.tasks["task-3"] = evidence.ledger.tasks["task-1"]
        return evidence

    @staticmethod
    def a_task_does_not_end(evidence: Evidence) -> Evidence:
        evidence.ledger.tasks["task-1"].ends = []
        return evidence

    @staticmethod
    def a_task_ends_twice(evidence: Evidence) -> Evidence:
        evidence.ledger.tasks["task-1"].ends *= 2
        return evidence

    @staticmethod
    def a_second_attempt_has_no_reason(evidence: Evidence) -> Evidence:
        evidence.ledger.tasks["task-1"].interrupted = 0
        return evidence

    @staticmethod
    def an_attempt_is_missing_in_the_journal(evidence: Evidence) -> Evidence:
        evidence.ledger.tasks["task-1"].attempts = [1]
        return evidence

    @staticmethod
    def an_attempt_runs_twice(evidence: Evidence) -> Evidence:
        return replace(evidence, notes=(*evidence.notes, evidence.notes[0]))

    @staticmethod
    def something_that_had_ended_runs_again(evidence: Evidence) -> Evidence:
        return replace(evidence, notes=(*evidence.notes, Note("began", "task-2", 2, DEAD_PID)))

    @staticmethod
    def nothing_was_in_flight(evidence: Evidence) -> Evidence:
        return replace(evidence, before=Ledger())

    @staticmethod
    def a_schedule_fires_twice(evidence: Evidence) -> Evidence:
        evidence.ledger.firings["sched-1", 5.0] = 2
        return evidence

    @staticmethod
    def a_schedule_does_not_fire(evidence: Evidence) -> Evidence:
        evidence.ledger.firings.clear()
        return evidence

    @staticmethod
    def a_firing_makes_no_task(evidence: Evidence) -> Evidence:
        del evidence.ledger.tasks["task-2"]
        return evidence

    @staticmethod
    def a_process_lives_on(evidence: Evidence) -> Evidence:
        return replace(evidence, first_cast=(os.getpid(),))

    @staticmethod
    def a_journal_is_damaged(evidence: Evidence) -> Evidence:
        damage = Damage(file="f", line=1, offset=0, reason="the checksum is wrong")
        return replace(evidence, reports=(REPORT.model_copy(update={"damage": (damage,)}),))

    @staticmethod
    def a_key_counts_twice(evidence: Evidence) -> Evidence:
        return replace(evidence, same_key=("input-1", "input-4"))


FAULTS: dict[Callable[[Evidence], Evidence], str] = {
    Faults.an_input_is_lost: "every accepted input is kept once",
    Faults.an_input_is_kept_twice: "every accepted input is kept once",
    Faults.an_unknown_input_is_there: "every accepted input is kept once",
    Faults.an_input_is_not_answered: "every input has one final reply",
    Faults.an_input_is_answered_twice: "every input has one final reply",
    Faults.an_order_makes_no_task: "every /run made one task",
    Faults.an_order_makes_two_tasks: "every /run made one task",
    Faults.a_task_does_not_end: "every task ended once, in a final state",
    Faults.a_task_ends_twice: "every task ended once, in a final state",
    Faults.a_second_attempt_has_no_reason: "every attempt is in the journal",
    Faults.an_attempt_is_missing_in_the_journal: "nothing was done behind the journals",
    Faults.an_attempt_runs_twice: "nothing was done behind the journals",
    Faults.something_that_had_ended_runs_again: "only what was in flight ran again",
    Faults.nothing_was_in_flight: "only what was in flight ran again",
    Faults.a_schedule_fires_twice: "every schedule fired once",
    Faults.a_schedule_does_not_fire: "every schedule fired once",
    Faults.a_firing_makes_no_task: "every schedule fired once",
    Faults.a_process_lives_on: "no process outlived its task",
    Faults.a_journal_is_damaged: "every line has its number and checksum",
    Faults.a_key_counts_twice: "the same key gets the same answer",
}


def test_all_promises_are_kept_in_a_sound_play() -> None:
    """Also with a scene that had to begin again: that is counted, not hidden."""
    assert [check.promise for check in check_all(sound()) if not check.kept] == []
    assert sound().reruns == 1


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_each_fault_breaks_its_promise(fault: Callable[[Evidence], Evidence]) -> None:
    """No check is for show."""
    broken = [check.promise for check in check_all(fault(sound())) if not check.kept]
    assert FAULTS[fault] in broken


def test_every_promise_is_broken_by_some_fault() -> None:
    """A check that no fault of this file breaks would be one that can't fail."""
    assert {check.promise for check in check_all(sound())} == set(FAULTS.values())


def test_the_ledger_counts_what_the_lines_say_and_leaves_out_what_a_kill_cut_off(tmp_path: Path) -> None:
    """Read with jsonlines, segment by segment; an unfinished line at the end is no turn."""
    home = Home(tmp_path)
    write(home, "manager", 1, received("input-1"), received("input-2"), torn=b'{"seq":3,"ts"')
    write(home, "workers", 1, event("TaskCreated", '"id":"task-1","spec":{"title":"x","origin":"input-2"}'))
    write(
        home,
        "workers",
        2,
        event("TaskStarted", '"id":"task-1","attempt":1'),
        event("TaskRequeued", '"id":"task-1","attempt":1,"reruns":1,"reason":"r"'),
        event("TaskStarted", '"id":"task-1","attempt":2'),
    )
    write(home, "cron", 1, event("ScheduleFired", '"id":"sched-1","nominal_at":0.5'))
    ledger = read_ledger(home)
    assert ledger.received == Counter({"input-1": 1, "input-2": 1})
    assert ledger.turns == Counter({"manager": 2, "workers": 4, "cron": 1})
    story = ledger.tasks["task-1"]
    assert (story.attempts, story.interrupted, story.ends) == ([1, 2], 1, [])
    assert ledger.in_flight() == ["task-1"]
    assert ledger.lateness == {("sched-1", 0.5): 0.5}


def received(name: str) -> str:
    """An input as the manager's journal has it."""
    return event("InputReceived", f'"input":{{"id":"{name}","text":"hello"}}')


def event(kind: str, data: str) -> str:
    """An event as a line has it."""
    return f'{{"type":"{kind}","v":1,"data":{{{data}}}}}'


def write(home: Home, journal: str, first_seq: int, *events: str, torn: bytes = b"") -> None:
    """A segment of one line for each event."""
    folder = home.journals / journal
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        seal(f'{{"seq":{first_seq + place},"ts":1000000,"events":[{found}]'.encode())
        for place, found in enumerate(events)
    ]
    (folder / f"{first_seq:016d}-0001.jsonl").write_bytes(b"".join(lines) + torn)


def test_the_prompt_book_tells_who_was_on_stage(tmp_path: Path) -> None:
    """Began without an end; a line that the kill cut off does not count."""
    book = "began task-1/1 11\nbegan task-2/1 12\nended task-1/1 11\nbegan task-3/1 1"
    (tmp_path / "prompt-book.txt").write_text(book)
    assert on_stage(read_book(tmp_path)) == [Note("began", "task-2", 1, 12)]
    assert read_book(tmp_path / "none") == []
