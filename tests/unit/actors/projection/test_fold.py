"""The fold: one line in, changes out."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from tests.journal_kit import START_S, conversation, cron, finished, made_line, pool
from understudy.actors.projection import fold_tasks
from understudy.actors.projection.fold import fold_line
from understudy.actors.projection.fold_schedules import SKIPPED_KEPT, detail_of
from understudy.actors.projection.model import OUTPUT_BUDGET_BYTES, ReadModel
from understudy.actors.projection.model_dump import dump_of, load
from understudy.protocols.conversation import (
    ConversationMessage,
    CronDueReceived,
    RunFailed,
    RunGivenUp,
    TaskDoneReceived,
)
from understudy.protocols.engine import DueSchedule
from understudy.protocols.read_model import Change, Cursor
from understudy.protocols.schedules import (
    FiringsMissed,
    Missed,
    ScheduleDisabled,
    ScheduleEnabled,
    ScheduleFired,
)
from understudy.protocols.tasks import (
    RECORD_BYTES,
    FiringSkipped,
    TaskCancelRequested,
    TaskCreated,
    TaskRequeued,
    TaskResult,
    TaskRetried,
    TaskSpec,
    TaskStarted,
)
from understudy.protocols.upcasting import by_name


def folded(model: ReadModel, journal: str, lines: list[bytes]) -> list[Change]:
    """The changes of all `lines`, none of which may be a problem."""
    changes: list[Change] = []
    for line in lines:
        seq = model.cursor(journal).seq + 1
        result = fold_line(model, Cursor(journal=journal, incarnation=1, seq=seq), line)
        assert result.problem is None
        changes += result.changes
    return changes


@pytest.mark.req("PJ-1")
def test_a_task_is_followed_from_creation_to_its_end() -> None:
    """The row says what the pool's events said, with their lines' times."""
    model = ReadModel()
    folded(model, "workers", pool(2))
    first, second = model.tasks
    assert (first.status, first.exit_code, first.excerpt, first.why) == (
        "succeeded",
        0,
        "out\n",
        "exit code 0",
    )
    assert (first.created_at, first.started_at, first.finished_at) == (
        START_S + 60,
        START_S + 120,
        START_S + 180,
    )
    assert (second.status, second.attempts, second.finished_at) == ("running", 1, None)
    counts = model.tasks.counts
    assert (counts["succeeded"], counts["running"], list(model.tasks.active)) == (1, 1, ["task-2"])


@pytest.mark.req("PJ-1")
def test_a_task_that_waits_says_why() -> None:
    """Retried, requeued and being canceled: the reason and the time are in the row."""
    model = ReadModel()
    created = TaskCreated(id="task-1", spec=TaskSpec(title="t", command=("false",)))
    started = TaskStarted(id="task-1", attempt=1)
    retried = TaskRetried(id="task-1", attempt=1, failures=1, reason="exit code 1", retry_at=START_S + 999)
    folded(model, "workers", [made_line(1, created, started, retried)])
    (row,) = model.tasks
    assert (row.status, row.why, row.retry_at) == ("pending", "exit code 1", START_S + 999)
    requeued = TaskRequeued(id="task-1", attempt=1, reruns=1, reason="the runtime went down")
    folded(model, "workers", [made_line(2, started, requeued)])
    (row,) = model.tasks
    assert (row.status, row.why, row.retry_at) == ("pending", "the runtime went down", None)
    cancel = TaskCancelRequested(id="task-1", attempt=2, source="api", reason="not wanted")
    folded(model, "workers", [made_line(3, started, cancel)])
    (row,) = model.tasks
    assert (row.status, row.canceling, row.why) == ("running", True, "not wanted")


@pytest.mark.req("PJ-1")
def test_a_reply_marks_the_inputs_that_it_answers() -> None:
    """Each input's row names its final reply, and the manager rests when nothing waits."""
    model = ReadModel()
    lines = conversation(2)
    folded(model, "manager", lines[:4])
    assert [(row.id, row.reply) for row in model.messages] == [
        ("input-1", "msg-1"),
        ("msg-1", None),
        ("input-2", None),
    ]
    assert (model.manager.waiting, model.manager.run) == (1, None)
    folded(model, "manager", lines[4:5])
    assert (model.manager.run, model.manager.engine) == ("run-2", "offline")
    failure = RunFailed(run="run-2", attempt=1, error="no model", retry_at=START_S)
    folded(model, "manager", [made_line(6, failure)])
    assert (model.manager.error, model.manager.retry_at) == ("no model", START_S)


@pytest.mark.req("PJ-1")
def test_a_removed_schedule_leaves_the_table() -> None:
    """Its change has no row, so that a viewer drops it too."""
    model = ReadModel()
    changes = folded(model, "cron", cron(2))
    assert [(row.id, row.firings) for row in model.schedules] == [("sched-1", 2)]
    assert (changes[-1].id, changes[-1].row) == ("sched-2", None)


@pytest.mark.req("PJ-1")
def test_a_schedule_that_is_disabled_enabled_and_done_says_so() -> None:
    """With when it is due next, or that it is not."""
    model = ReadModel()
    folded(model, "cron", cron(1)[:1])
    seen: list[tuple[str, float | None]] = []
    for event in (
        ScheduleDisabled(id="sched-1"),
        ScheduleEnabled(id="sched-1", next_at=START_S + 7200),
        ScheduleFired(id="sched-1", nominal_at=START_S + 7200, caught_up=False, next_at=None),
        ScheduleDisabled(id="sched-9"),
    ):
        folded(model, "cron", [made_line(1, event)])
        (row,) = model.schedules
        seen.append((row.status, row.next_at))
    assert seen == [("disabled", None), ("enabled", START_S + 7200), ("done", None), ("done", None)]


@pytest.mark.req("PJ-1")
def test_every_wake_counts_as_waiting_until_a_run_consumed_it() -> None:
    """Inputs, results and reminders; also when the run was given up."""
    model = ReadModel()
    result = TaskResult(
        task="task-1", title="t", status="succeeded", attempt=1, reason="exit code 0", source="worker"
    )
    due = DueSchedule(id="sched-1/5", schedule="sched-1", nominal_at=5.0, title="t", text="tea")
    folded(model, "manager", [made_line(1, TaskDoneReceived(result=result), CronDueReceived(due=due))])
    assert model.manager.waiting == 2
    sorry = ConversationMessage(id="msg-1", role="system", text="no engine answered")
    over = RunGivenUp(run="run-1", attempt=3, batch=("task-1", due.id), messages=(sorry,), error="no")
    folded(model, "manager", [made_line(2, over)])
    assert (model.manager.waiting, [row.role for row in model.messages]) == (0, ["system"])


def test_other_journals_move_only_their_cursor() -> None:
    """A program's own actors, and events that no row comes from, change nothing."""
    model = ReadModel()
    assert folded(model, "ledger", pool(1)) == []
    assert (model.cursor("ledger").seq, len(model.tasks)) == (2, 0)
    stranger = made_line(1, TaskCreated(id="task-1", spec=TaskSpec(title="t", command=("true",))))
    assert folded(model, "manager", [stranger]) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            made_line(1, TaskStarted(id="t", attempt=1)).replace(b'"v":1', b'"v":9'),
            "newer",
        ),
        (made_line(1, TaskStarted(id="t", attempt=1)).replace(b'"attempt":1', b'"attempt":"x"'), "attempt"),
        (b"{}\n", "seq 1"),
    ],
)
def test_a_line_that_is_not_understood_is_passed_over_and_reported(line: bytes, said: str) -> None:
    """A read model must not stop the work; it says what it lacks and goes on with the next line."""
    model = ReadModel()
    result = fold_line(model, Cursor(journal="workers", incarnation=1, seq=1), line)
    assert result.problem is not None
    assert said in result.problem
    assert model.cursor("workers").seq == 1


def test_an_event_of_an_unknown_task_changes_nothing() -> None:
    """As after retention took the line that made it."""
    assert folded(ReadModel(), "workers", [made_line(1, finished("task-7"))]) == []


def test_outputs_are_kept_within_their_budget_and_the_oldest_go_first() -> None:
    """A task of long ago has its row, without its output."""
    model = ReadModel()
    text = "x" * RECORD_BYTES
    count = OUTPUT_BUDGET_BYTES // RECORD_BYTES + 1
    for number in range(1, count + 1):
        created = TaskCreated(id=f"task-{number}", spec=TaskSpec(title="t", command=("true",)))
        folded(model, "workers", [made_line(number, created, finished(f"task-{number}", text=text))])
    first, last = model.task_detail("task-1"), model.task_detail(f"task-{count}")
    assert first is not None
    assert last is not None
    assert first.output is None
    assert last.output is not None
    assert model.task_detail("task-0") is None


@pytest.mark.req("CR-3")
@pytest.mark.rule("P1")
def test_what_did_not_fire_is_told_beside_the_schedule() -> None:
    """Missed times by cron's journal, skipped firings by the pool's; also in a model that was loaded."""
    model = ReadModel()
    folded(model, "cron", cron(1))
    missed = Missed(count=3, first_at=START_S + 60, last_at=START_S + 180)
    gone = Missed(count=2, first_at=START_S + 240, last_at=START_S + 300)
    for event in (
        FiringsMissed(id="sched-1", missed=missed, next_at=START_S + 240),
        FiringsMissed(id="sched-1", missed=gone, next_at=None),
    ):
        folded(model, "cron", [made_line(model.cursor("cron").seq + 1, event)])
    for n in (1, 2):
        skipped = FiringSkipped(schedule="sched-1", nominal_at=START_S + n, rule="fingerprint", task="task-7")
        folded(model, "workers", [made_line(n, skipped)])
    for reader in (model, load(dump_of(model).lines(), model.kept)):
        (row,) = reader.schedules
        assert (row.missed, row.last_missed, row.status, row.next_at) == (5, gone, "done", None)
        told = detail_of(reader, row, 3)
        assert told.next_runs == ()
        assert told.skipped is not None
        assert (told.skipped.count, told.skipped.task, told.skipped.nominal_at) == (2, "task-7", START_S + 2)


@pytest.mark.rule("P1")
def test_of_many_schedules_the_first_skips_are_forgotten() -> None:
    """The pool's table does not know which schedules are gone, so it is bounded by itself."""
    model = ReadModel()
    events = [
        FiringSkipped(schedule=f"sched-{n}", nominal_at=None, rule="fingerprint", task=None)
        for n in range(SKIPPED_KEPT + 2)
    ]
    folded(model, "workers", [made_line(1, *events)])
    assert len(model.skipped) == SKIPPED_KEPT
    assert "sched-1" not in model.skipped
    assert "sched-2" in model.skipped


class RenamedCreated(TaskCreated):
    """What a later version of the program could make of `TaskCreated`."""

    kind: ClassVar[str] = "TaskMade"
    version: ClassVar[int] = 3
    was: ClassVar[tuple[str, ...]] = ("TaskCreated",)

    @classmethod
    def upcast(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        if version == 1:
            return {**data, "why": "version 1"}
        return {**data, "why": f"{data['why']}, carried over"}


@pytest.mark.req("JR-6", "PJ-1")
def test_lines_of_older_versions_are_folded_as_what_the_actors_make_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under a former name, through each step of the event's own upcast; a newer one is left out, and said."""
    folds = {"workers": (by_name([RenamedCreated]), fold_tasks.fold_task)}
    monkeypatch.setattr("understudy.actors.projection.fold._FOLDS", folds)
    model = ReadModel()
    old = made_line(1, TaskCreated(id="task-1", spec=TaskSpec(title="t", command=("true",))))
    folded(model, "workers", [old])
    assert [(row.id, row.why) for row in model.tasks] == [("task-1", "version 1, carried over")]
    newer = old.replace(b'"v":1', b'"v":4')
    found = fold_line(model, Cursor(journal="workers", incarnation=1, seq=2), newer)
    assert found.changes == []
    assert "expected TaskMade up to version 3, got version 4" in (found.problem or "")
