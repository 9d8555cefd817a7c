from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import trio
from pydantic import ValidationError

from tests.unit.actors.office import Office, a_result, creating, replies, runs
from tests.unit.actors.stage import journal_events, journal_lines, until
from understudy import ActorSystem
from understudy.actors.cron import CronActor
from understudy.actors.engines.scripted import Hang
from understudy.actors.manager import ManagerActor
from understudy.actors.workers import CallableExecutor, WorkerPoolActor, succeed
from understudy.protocols.conversation import (
    GetManagerStatus,
    SubmitInput,
    WakeCronDue,
    WakeTaskDone,
)
from understudy.protocols.engine import DueSchedule, FinishRun, Reply, RunAnswer
from understudy.protocols.tasks import ListTasks, TaskSpec


@pytest.mark.req("MG-1")
async def test_one_run_at_a_time_and_what_comes_meanwhile_is_one_batch(tmp_path: Path) -> None:
    """All three kinds of wake events, in order of arrival."""
    gate = trio.Event()
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system, gate)
        manager = system.get("manager")
        await office.say("first")
        await office.engine.wait_calls(1)
        await office.say("second")
        manager.tell(WakeTaskDone(result=a_result("task-7")))
        due = DueSchedule(id="sched-1@5", schedule="sched-1", nominal_at=5.0, title="tea", text="")
        manager.tell(WakeCronDue(due=due))
        status = await manager.ask_async(GetManagerStatus(), timeout_s=5)
        assert (status.run, status.waiting) == ("run-1", 3)
        assert len(office.engine.requests) == 1
        gate.set()
        await office.wait_idle()
        assert [tuple(wake.id for wake in request.batch) for request in office.engine.requests] == [
            ("input-1",),
            ("input-2", "task-7", "sched-1@5"),
        ]
        assert [wake.wake for wake in office.engine.requests[1].batch] == [
            "user_input",
            "task_done",
            "cron_due",
        ]


@pytest.mark.req("MG-1")
async def test_an_idle_manager_has_nothing_that_could_wake_it(tmp_path: Path) -> None:
    """No timer and no task: it does not poll, however long nothing comes."""
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system, ValueError("once"))
        await office.say("hello")
        await office.wait_idle()
        cell = system.cell("manager")
        with trio.fail_after(5):
            while cell.tasks:
                await trio.lowlevel.checkpoint()
        assert not cell.timers
        assert len(office.engine.requests) == 2


@pytest.mark.req("MG-2")
async def test_an_input_is_durable_when_it_is_accepted(tmp_path: Path) -> None:
    """A crash right after the answer loses nothing; the run begins again with the same batch."""
    home, copy = tmp_path / "home", tmp_path / "copy"
    async with ActorSystem(home) as system:
        office = await Office.set(system, trio.Event())
        assert await office.say("hello") == "input-1"
        await office.engine.wait_calls(1)
        await office.say("second")
        shutil.copytree(home, copy)
        async with ActorSystem(copy) as again:
            resumed = await Office.set(again)
            await resumed.wait_idle()
            assert [
                (request.run, request.attempt, tuple(wake.id for wake in request.batch))
                for request in resumed.engine.requests
            ] == [("run-1", 2, ("input-1",)), ("run-2", 1, ("input-2",))]
    assert replies(copy) == [("echo hello", ("input-1",)), ("echo second", ("input-2",))]


@pytest.mark.req("MG-2")
@pytest.mark.rule("E1")
async def test_a_run_that_succeeded_is_one_line(tmp_path: Path) -> None:
    """Replies, actions, their sends, and the consumption of the batch (rule E1)."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(WorkerPoolActor, name="workers", notify=None)
        spec = TaskSpec(title="x", command=("true",), origin="input-1")
        office = await Office.set(system, creating(spec))
        await office.say("go")
        await office.wait_idle()
        assert office.state.wakes == {}
    (line,) = [
        line
        for line in journal_lines(tmp_path, "manager")
        if any(event["type"] == "RunSucceeded" for event in line["events"])
    ]
    event = line["events"][0]["data"]
    assert event["batch"] == ["input-1"]
    assert [message["text"] for message in event["messages"]] == ["echo go"]
    assert [action["action"] for action in event["actions"]] == ["create_task"]
    assert [(send["to"], send["type"], send["data"]["id"]) for send in line["sends"]] == [
        ("workers", "CreateTask", "task-1")
    ]


@pytest.mark.rule("E1")
async def test_what_a_failed_attempt_proposed_is_forgotten(tmp_path: Path) -> None:
    """Its id is not used again either (rule E1)."""
    async with ActorSystem(tmp_path) as system:
        executors = {"noop": CallableExecutor(succeed)}
        pool = await system.spawn(WorkerPoolActor, name="workers", notify=None, executors=executors)
        spec = TaskSpec(title="x", executor="noop")
        office = await Office.set(system, creating(spec), ValueError("halfway"), creating(spec))
        await office.say("go")
        await office.wait_idle()
        await until(
            system, lambda: any(e["type"] == "TaskFinished" for e in journal_events(tmp_path, "workers"))
        )
        listed = await pool.ask_async(ListTasks(), timeout_s=5)
        assert [view.id for view in listed.tasks] == ["task-2"]


@pytest.mark.req("MG-2")
async def test_a_failed_run_is_tried_again_with_the_same_batch(tmp_path: Path) -> None:
    """What came meanwhile waits for the next run."""
    async with ActorSystem(tmp_path) as system:
        gate = trio.Event()
        office = await Office.set(system, gate, ValueError("no"), ValueError("still no"))
        await office.say("first")
        await office.engine.wait_calls(1)
        await office.say("second")
        gate.set()
        await office.wait_idle()
    assert runs(tmp_path) == [
        ("RunStarted", "run-1", 1),
        ("RunFailed", "run-1", 1),
        ("RunStarted", "run-1", 2),
        ("RunFailed", "run-1", 2),
        ("RunStarted", "run-1", 3),
        ("RunSucceeded", "run-1", 3),
        ("RunStarted", "run-2", 1),
        ("RunSucceeded", "run-2", 1),
    ]
    assert replies(tmp_path) == [("echo first", ("input-1",)), ("echo second", ("input-2",))]


@pytest.mark.req("MG-2")
@pytest.mark.rule("E2")
async def test_when_no_attempt_succeeds_the_inputs_get_a_system_reply(tmp_path: Path) -> None:
    """They are consumed by it, and the next input is a new run (rule E2)."""
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system, *(ValueError(one) for one in "abc"), when_all_fail="answer")
        await office.say("first")
        await office.wait_idle()
        await office.say("second")
        await office.wait_idle()
    assert [event for event, _run, _attempt in runs(tmp_path)].count("RunGivenUp") == 1
    (fallback, answered), echo = replies(tmp_path)
    assert "could not be handled: c" in fallback
    assert answered == ("input-1",)
    assert echo == ("echo second", ("input-2",))


@pytest.mark.req("MG-2")
async def test_an_engine_that_never_answers_has_failed(tmp_path: Path) -> None:
    """After the time that a run may take; it is cancelled then."""
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system, Hang(), run_timeout_s=0.05)
        await office.say("first")
        await office.wait_idle()
    (failed,) = [event for event in journal_events(tmp_path, "manager") if event["type"] == "RunFailed"]
    assert failed["error"] == "no answer within 0.05 s"
    assert replies(tmp_path) == [("echo first", ("input-1",))]


@pytest.mark.rule("E1")
async def test_a_report_of_another_attempt_is_dropped(tmp_path: Path) -> None:
    """It carries run and attempt, as an outcome carries its token (rule E1)."""
    gate = trio.Event()
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system, ValueError("first attempt"), gate)
        await office.say("hello")
        await office.engine.wait_calls(2)
        late = (Reply(text="too late", in_reply_to=("input-1",)),)
        system.get("manager").tell(FinishRun(run="run-1", attempt=1, replies=late))
        system.get("manager").tell(FinishRun(run="run-0", attempt=2, replies=late))
        gate.set()
        await office.wait_idle()
    assert replies(tmp_path) == [("echo hello", ("input-1",))]


@pytest.mark.req("MG-2")
async def test_a_crash_while_a_failed_run_waits_does_not_forget_it(tmp_path: Path) -> None:
    """It goes on where it was: the failures count, and the wait is not longer."""
    home, copy = tmp_path / "home", tmp_path / "copy"
    async with ActorSystem(home) as system:
        office = await Office.set(system, ValueError("no"), retry_delay_s=0.2)
        await office.say("hello")
        await until(system, lambda: ("RunFailed", "run-1", 1) in runs(home))
        shutil.copytree(home, copy)
    async with ActorSystem(copy) as system:
        office = await Office.set(system, ValueError("no"), failures=2, when_all_fail="answer")
        await office.wait_idle()
    assert runs(copy)[-2:] == [("RunStarted", "run-1", 2), ("RunGivenUp", "run-1", 2)]


async def test_a_run_that_takes_the_runtime_down_each_time_is_given_up(tmp_path: Path) -> None:
    """An input must not keep the runtime from ever starting, whatever the policy says."""
    for number in range(3):
        async with ActorSystem(tmp_path / str(number)) as system:
            office = await Office.set(system, Hang(), crashes=2)
            if number == 0:
                await office.say("poison")
            await office.engine.wait_calls(1)
            assert office.engine.requests[0].attempt == number + 1
            shutil.copytree(tmp_path / str(number), tmp_path / str(number + 1))  # as a crash leaves it
    async with ActorSystem(tmp_path / "3") as system:
        office = await Office.set(system, Hang(), crashes=2)
        await office.wait_idle()
        assert office.engine.requests == []
    ((text, answered),) = replies(tmp_path / "3")
    assert "the runtime went down under it 3 times" in text
    assert answered == ("input-1",)


async def test_a_stop_in_order_is_not_held_against_a_run(tmp_path: Path) -> None:
    """However often the runtime is stopped under it: only crashes count."""
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system, Hang(), crashes=0)
        await office.say("patience")
        await office.engine.wait_calls(1)
    for _ in range(3):
        async with ActorSystem(tmp_path) as system:
            office = await Office.set(system, Hang(), crashes=0)
            await office.engine.wait_calls(1)
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system, crashes=0)
        await office.wait_idle()
    assert replies(tmp_path) == [("echo patience", ("input-1",))]
    assert runs(tmp_path)[-2:] == [("RunStarted", "run-1", 5), ("RunSucceeded", "run-1", 5)]


@pytest.mark.rule("E2")
async def test_the_reply_to_an_input_with_a_task_is_the_one_with_the_outcome(tmp_path: Path) -> None:
    """Once, also when the engine says nothing about it (rule E2)."""
    async with ActorSystem(tmp_path) as system:
        executors = {"noop": CallableExecutor(succeed)}
        await system.spawn(WorkerPoolActor, name="workers", notify=None, executors=executors)
        quiet = RunAnswer()
        office = await Office.set(
            system, creating(TaskSpec(title="x", executor="noop", origin="input-1")), quiet, quiet
        )
        await office.say("go")
        await office.wait_idle()
        assert office.state.inputs["input-1"].tasks == ("task-1",)
        assert replies(tmp_path) == []
        system.get("manager").tell(WakeTaskDone(result=a_result("task-1", "input-1")))
        await until(system, lambda: bool(replies(tmp_path)))
        await office.wait_idle()
        assert office.state.inputs == {}
    assert replies(tmp_path) == [("task-1 succeeded (exit code 0): x", ("input-1",))]


async def test_a_desk_whose_actors_are_away_fails_the_attempt_only(tmp_path: Path) -> None:
    """The run is tried again, and the manager lives on."""
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system, creating(TaskSpec(title="x", executor="noop")))
        await office.say("go")
        await office.wait_idle()
        assert len(office.engine.requests) == 2
        assert system.cell("manager").restarts == 0
    (failed,) = [event for event in journal_events(tmp_path, "manager") if event["type"] == "RunFailed"]
    assert "'workers'" in failed["error"]


@pytest.mark.req("MG-2")
async def test_an_idempotency_key_makes_one_input_of_two(tmp_path: Path) -> None:
    """As for every persistent actor (JR-4); a restart does not forget it."""
    for _ in range(2):
        async with ActorSystem(tmp_path) as system:
            office = await Office.set(system)
            manager = system.get("manager")
            for _ in range(2):
                accepted = await manager.ask_async(SubmitInput(text="once"), timeout_s=5, key="k-1")
                assert accepted.id == "input-1"
            await office.wait_idle()
    assert replies(tmp_path) == [("echo once", ("input-1",))]


@pytest.mark.parametrize("text", ["", "   \n ", "x" * 200_001])
def test_an_input_without_text_or_with_too_much_is_refused_at_the_edge(text: str) -> None:
    """Before any actor sees it."""
    with pytest.raises(ValidationError):
        SubmitInput(text=text)


async def test_cron_can_be_asked_for_an_id_and_a_schedule(tmp_path: Path) -> None:
    """The desk checks the expression before the proposal, and cron takes it afterwards."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(CronActor, name="cron")
        await system.spawn(ManagerActor, name="manager")
        manager = system.get("manager")
        await manager.ask_async(SubmitInput(text='/every "0 7 * * *" ./report'), timeout_s=5)
        await until(
            system, lambda: any(e["type"] == "ScheduleAdded" for e in journal_events(tmp_path, "cron"))
        )
        await manager.ask_async(SubmitInput(text="/cancel sched-1"), timeout_s=5)
        await until(
            system, lambda: any(e["type"] == "ScheduleRemoved" for e in journal_events(tmp_path, "cron"))
        )
    assert [answered for _text, answered in replies(tmp_path)] == [("input-1",), ("input-2",)]
