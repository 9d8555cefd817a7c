from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from pydantic import ValidationError

from tests.unit.actors.stage import ManualClock, Stage, journal_events, journal_lines
from understudy import ActorSystem, Event, NotFound, Refused
from understudy.actors.workers import Attempt, CallableExecutor
from understudy.actors.workers.state import AttemptEnded, AttemptOverdue, AttemptStuck
from understudy.protocols.tasks import (
    CancelTask,
    CreateTask,
    GetTask,
    ListTasks,
    ReserveTaskId,
    TaskCancelRequested,
    TaskFinished,
    TaskRequeued,
    TaskRetried,
    TaskSpec,
    TaskStarted,
)


@pytest.mark.req("WK-1")
async def test_a_task_goes_from_pending_through_running_to_succeeded(tmp_path: Path) -> None:
    """Each transition is an event with its attempt, and the end is told."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        task = await stage.create(title="say hello")
        assert (await stage.view(task)).status == "running"
        stage.script.end("task-1/1")
        (result,) = await stage.wait_told(1)
        assert (result.task, result.status, result.attempt) == ("task-1", "succeeded", 1)
        assert (await stage.view(task)).status == "succeeded"
    assert [(event["type"], event.get("attempt")) for event in journal_events(tmp_path, "workers")] == [
        ("TaskCreated", None),
        ("TaskStarted", 1),
        ("TaskFinished", 1),
    ]


@pytest.mark.req("WK-1")
@pytest.mark.parametrize(
    "event",
    [TaskStarted, TaskRequeued, TaskRetried, TaskCancelRequested, TaskFinished],
    ids=lambda one: one.kind,
)
def test_every_transition_says_who_decided_it_why_and_in_which_attempt(event: type[Event]) -> None:
    """So that nobody has to guess from what came before it."""
    assert {"source", "reason", "attempt"} <= event.model_fields.keys()


@pytest.mark.req("WK-1")
@pytest.mark.parametrize(
    ("ending", "reason", "exit_code"),
    [
        (3, "exit code 3", 3),
        (-9, "ended by signal 9", -9),
        (OSError("no such command"), "no such command", None),
    ],
)
async def test_a_task_that_fails_says_why(
    tmp_path: Path, ending: int | Exception, reason: str, exit_code: int | None
) -> None:
    """By exit code, by signal, or by an error of the executor."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        await stage.create()
        stage.script.end("task-1/1", ending)
        (result,) = await stage.wait_told(1)
        assert (result.status, result.reason, result.exit_code) == ("failed", reason, exit_code)


@pytest.mark.req("WK-2")
async def test_no_more_than_the_limit_run_and_the_rest_start_by_priority(tmp_path: Path) -> None:
    """Then in order of creation."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, limit=2)
        for priority in (0, 0, 0, 5, 0, 5):
            await stage.create(priority=priority)
        await stage.script.wait_started("task-1/1", "task-2/1")
        listed = await stage.ask(ListTasks())
        assert (listed.pending, listed.running) == (4, 2)
        for index in range(6):
            await stage.script.wait_started(
                *[f"task-{number}/1" for number in (1, 2, 4, 6, 3, 5)[: index + 1]]
            )
            stage.script.end(f"task-{(1, 2, 4, 6, 3, 5)[index]}/1")
            await stage.wait_told(index + 1)
    assert stage.script.started == [f"task-{number}/1" for number in (1, 2, 4, 6, 3, 5)]


@pytest.mark.req("WK-2")
async def test_an_attempt_that_takes_too_long_is_ended_and_fails(tmp_path: Path) -> None:
    """The executor is cancelled, and the record says after how long."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        await stage.create(timeout_s=0.05)
        (result,) = await stage.wait_told(1)
        assert (result.status, result.reason, result.source) == (
            "failed",
            "timed out after 0.05 s",
            "runtime",
        )
        assert stage.script.cancelled == ["task-1/1"]


@pytest.mark.rule("E3")
@pytest.mark.parametrize("tick_first", [False, True])
@pytest.mark.parametrize(("passed_s", "status"), [(9.9, "succeeded"), (10.0, "failed")])
async def test_an_outcome_counts_as_in_time_by_when_it_is_seen(
    tmp_path: Path, passed_s: float, status: str, *, tick_first: bool
) -> None:
    """Whether the timer's tick comes before it or behind it in the mailbox decides nothing."""
    clock = ManualClock(1000.0)

    async def end(attempt: Attempt) -> None:
        await trio.lowlevel.checkpoint()
        clock.jump(passed_s)
        if tick_first:
            system.get("workers").tell(AttemptOverdue(task=attempt.task, attempt=attempt.number))

    async with ActorSystem(tmp_path, clock=clock) as system:
        stage = await Stage.set(system, executors={"late": CallableExecutor(end)})
        await stage.create(executor="late", timeout_s=10.0)
        (result,) = await stage.wait_told(1)
    assert result.status == status
    assert result.reason == ("exit code 0" if status == "succeeded" else "timed out after 10 s")


@pytest.mark.req("WK-2")
async def test_a_failed_attempt_is_retried_with_a_doubling_wait(tmp_path: Path) -> None:
    """Each attempt is journaled with its number, reason and the time of the next."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        await stage.create(retries=2, retry_delay_s=0.02)
        for attempt, code in ((1, 7), (2, 8), (3, 0)):
            await stage.script.wait_started(f"task-1/{attempt}")
            stage.script.end(f"task-1/{attempt}", code)
        (result,) = await stage.wait_told(1)
        assert (result.status, result.attempt) == ("succeeded", 3)
    retried = [
        (event["data"], event["data"]["retry_at"] - line["ts"] / 1e6)
        for line in journal_lines(tmp_path, "workers")
        for event in line["events"]
        if event["type"] == "TaskRetried"
    ]
    assert [(data["attempt"], data["failures"], data["reason"]) for data, _wait_s in retried] == [
        (1, 1, "exit code 7"),
        (2, 2, "exit code 8"),
    ]
    assert [wait_s for _data, wait_s in retried] == pytest.approx([0.02, 0.04], abs=0.01)


@pytest.mark.req("WK-2")
async def test_retries_are_used_up(tmp_path: Path) -> None:
    """Then the task has failed, with the last reason."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        await stage.create(retries=1, retry_delay_s=0)
        stage.script.end("task-1/1", 1)
        stage.script.end("task-1/2", 2)
        (result,) = await stage.wait_told(1)
        assert (result.status, result.attempt, result.reason) == ("failed", 2, "exit code 2")


@pytest.mark.req("WK-1")
@pytest.mark.req("WK-2")
async def test_a_pending_task_is_canceled_at_once_and_told(tmp_path: Path) -> None:
    """It never starts, and its session hears of it."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, limit=1)
        await stage.create()
        waiting = await stage.create()
        reply = await stage.ask(CancelTask(id=waiting, source="cli", reason="not needed"))
        assert reply.status == "canceled"
        (result,) = await stage.wait_told(1)
        assert (result.task, result.source, result.reason, result.attempt) == (
            waiting,
            "cli",
            "not needed",
            0,
        )
        stage.script.end("task-1/1")
        await stage.wait_told(2)
    assert stage.script.started == ["task-1/1"]


@pytest.mark.req("WK-2")
async def test_a_running_task_is_ended_and_converges_to_canceled(tmp_path: Path) -> None:
    """With who canceled it and why; canceling twice is one request."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        task = await stage.create()
        await stage.script.wait_started("task-1/1")
        for _ in range(2):
            reply = await stage.ask(CancelTask(id=task, source="api", reason="enough"))
            assert reply.status in {"running", "canceled"}
        (result,) = await stage.wait_told(1)
        assert (result.status, result.source, result.reason) == ("canceled", "api", "enough")
        assert stage.script.cancelled == ["task-1/1"]
    requested = [e for e in journal_events(tmp_path, "workers") if e["type"] == "TaskCancelRequested"]
    assert [(e["source"], e["reason"], e["attempt"]) for e in requested] == [("api", "enough", 1)]


@pytest.mark.req("WK-2")
@pytest.mark.parametrize("code", [0, 1])
async def test_a_cancel_that_races_the_end_of_the_attempt_wins_once_accepted(
    tmp_path: Path, code: int
) -> None:
    """Success does not overtake it, and a failure is not retried."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        task = await stage.create(retries=3, retry_delay_s=0)
        await stage.script.wait_started("task-1/1")
        pool = system.get("workers")
        pool.tell(CancelTask(id=task))
        pool.tell(AttemptEnded(task=task, attempt=1, exit_code=code, reason=""))
        (result,) = await stage.wait_told(1)
        assert (result.status, result.attempt) == ("canceled", 1)
    assert stage.script.started == ["task-1/1"]


@pytest.mark.req("WK-1")
async def test_a_final_state_is_final(tmp_path: Path) -> None:
    """A later cancel or outcome changes nothing; a cancel of a canceled task says so again."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, limit=1)
        done, canceled = await stage.create(), await stage.create()
        await stage.ask(CancelTask(id=canceled))
        stage.script.end("task-1/1")
        await stage.wait_told(2)
        with pytest.raises(Refused, match="task-1 has already succeeded"):
            await stage.ask(CancelTask(id=done))
        assert (await stage.ask(CancelTask(id=canceled))).status == "canceled"
        system.get("workers").tell(AttemptEnded(task=done, attempt=1, exit_code=1, reason=""))
        assert (await stage.view(done)).status == "succeeded"
        assert len(stage.told) == 2


@pytest.mark.rule("E3")
@pytest.mark.req("WK-2")
async def test_an_outcome_with_a_stale_token_is_dropped(tmp_path: Path) -> None:
    """The second attempt is not ended by what the first one still says (rule E3)."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        task = await stage.create(retries=1, retry_delay_s=0)
        stage.script.end("task-1/1", 1)
        await stage.script.wait_started("task-1/2")
        system.get("workers").tell(AttemptEnded(task=task, attempt=1, exit_code=0, reason=""))
        assert (await stage.view(task)).status == "running"
        stage.script.end("task-1/2", 5)
        (result,) = await stage.wait_told(1)
        assert (result.status, result.attempt, result.exit_code) == ("failed", 2, 5)


@pytest.mark.rule("E3")
async def test_an_attempt_that_does_not_end_is_given_up_and_its_place_is_free(tmp_path: Path) -> None:
    """What it says later has a stale token."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, limit=1)
        first = await stage.create()
        await stage.create()
        await stage.script.wait_started("task-1/1")
        system.get("workers").tell(AttemptStuck(task=first, attempt=1))
        (result,) = await stage.wait_told(1)
        assert (result.status, result.reason) == ("failed", "did not end when it was told to")
        await stage.script.wait_started("task-2/1")
        stage.script.end("task-1/1")
        stage.script.end("task-2/1")
        await stage.wait_told(2)
        assert (await stage.view(first)).status == "failed"


class Deaf:
    """An executor whose attempts do not hear that they are to end."""

    def __init__(self) -> None:
        self.gate = trio.Event()

    async def run(self, _attempt: Attempt) -> int:
        with trio.CancelScope(shield=True):
            await self.gate.wait()
        return 0


@contextmanager
def hearing_again(deaf: Deaf) -> Generator[None]:
    """Its attempts end behind the block, also when the test fails: else the system would wait for them."""
    try:
        yield
    finally:
        deaf.gate.set()


@pytest.mark.req("WK-2")
@pytest.mark.parametrize("told", ["by its time limit", "by a cancel"])
async def test_an_attempt_that_is_deaf_is_given_up_after_its_grace_period(tmp_path: Path, told: str) -> None:
    """Ten seconds behind it, not before; the next one gets its place, and its late success is dropped."""
    clock, deaf = ManualClock(1000.0), Deaf()
    async with ActorSystem(tmp_path, clock=clock) as system:
        stage = await Stage.set(system, executors={"deaf": deaf}, limit=1, grace_s=5.0)
        with hearing_again(deaf):
            task = await stage.create(executor="deaf", timeout_s=60.0)
            await stage.create()
            if told == "by a cancel":
                assert (await stage.ask(CancelTask(id=task, reason="enough"))).status == "running"
            else:
                clock.advance(system, 60)
            await trio.testing.wait_all_tasks_blocked(0.01)
            clock.advance(system, 14.9)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert (await stage.view(task)).status == "running"
            clock.advance(system, 0.2)
            await stage.script.wait_started("task-2/1")
            (result,) = await stage.wait_told(1)
        ends = {
            "by a cancel": ("canceled", "enough"),
            "by its time limit": ("failed", "timed out after 60 s"),
        }
        assert (result.status, result.reason) == ends[told]
        stage.script.end("task-2/1")
        await stage.wait_told(2)
        assert (await stage.view(task)).status == result.status


async def test_ids_are_reserved_once_and_taken_once(tmp_path: Path) -> None:
    """A proposal's id is nobody else's (rule E1)."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        reserved = (await stage.ask(ReserveTaskId())).id
        assert (reserved, await stage.create()) == ("task-1", "task-2")
        spec = TaskSpec(title="proposed", executor="script")
        assert (await stage.ask(CreateTask(spec=spec, id=reserved))).id == reserved
        for taken in (reserved, "task-9", "9", "1", "task-0", "task-02", "task-²", "task-0x1"):
            with pytest.raises(Refused, match="expected an id from ReserveTaskId"):
                await stage.ask(CreateTask(spec=spec, id=taken))


async def test_an_unknown_executor_is_refused_or_ends_the_task_that_was_promised(tmp_path: Path) -> None:
    """Who asked for it with a reserved id is told as of any other end."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        spec = TaskSpec(title="x", executor="quantum")
        with pytest.raises(Refused, match=r"\(python, script, shell\), got 'quantum'"):
            await stage.ask(CreateTask(spec=spec))
        reserved = (await stage.ask(ReserveTaskId())).id
        await stage.ask(CreateTask(spec=spec, id=reserved))
        (result,) = await stage.wait_told(1)
        assert (result.task, result.status) == (reserved, "failed")


async def test_an_unknown_task_is_not_found(tmp_path: Path) -> None:
    """With the id in the text."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        for message in (GetTask(id="task-7"), CancelTask(id="task-7")):
            with pytest.raises(NotFound, match="'task-7'"):
                await stage.ask(message)


async def test_the_list_has_what_runs_and_the_newest_of_the_rest(tmp_path: Path) -> None:
    """Newest first, bounded."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, limit=1)
        for number in range(1, 6):
            await stage.create()
            if number > 1:
                stage.script.end(f"task-{number}/1")
        stage.script.end("task-1/1")
        await stage.wait_told(5)
        await stage.create()
        listed = await stage.ask(ListTasks(limit=3))
        assert [view.id for view in listed.tasks] == ["task-6", "task-5", "task-4"]


@pytest.mark.req("WK-2")
@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"command": ()}, "expected a command"),
        ({"command": ("  ",)}, "expected a command"),
        ({"command": ("echo", "a\x00b")}, "pattern"),
        ({"timeout_s": -1.0}, "greater than 0"),
        ({"timeout_s": float("nan")}, "finite"),
        ({"retries": -1}, "greater than or equal to 0"),
        ({"title": ""}, "at least 1 character"),
        ({"color": "red"}, "Extra inputs"),
    ],
)
def test_a_bad_spec_is_refused_at_the_edge(fields: dict[str, object], hint: str) -> None:
    """Before any actor sees it."""
    with pytest.raises(ValidationError, match=hint):
        TaskSpec.model_validate({"title": "x", "command": ("true",), **fields})
