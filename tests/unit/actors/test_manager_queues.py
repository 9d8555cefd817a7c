"""The queues: cursors, compaction, what comes twice, what idles (MG-1, MG-2, JR-5)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.unit.actors.office import Office, a_result, creating, events, replies, status
from tests.unit.actors.stage import journal_lines, until
from understudy import ActorSystem
from understudy.actors.engines import ScriptedEngine
from understudy.actors.engines.scripted import Act, Hang, LoseSession, Step
from understudy.actors.manager.state import REMEMBERED, ManagerState
from understudy.actors.workers import CallableExecutor, WorkerPoolActor, succeed
from understudy.protocols.conversation import GetRecentMessages, SubmitInput, WakeCronDue, WakeTaskDone
from understudy.protocols.delivery import DeliveryFailed
from understudy.protocols.engine import DueSchedule, RunAnswer, RunRequest, UserInput
from understudy.protocols.schedules import AddSchedule, ScheduleSpec
from understudy.protocols.tasks import CreateTask, TaskSpec
from understudy.supervision.testing.clock import VirtualClock


def due(number: int) -> WakeCronDue:
    """A reminder."""
    name = f"sched-1@{number}"
    return WakeCronDue(
        due=DueSchedule(id=name, schedule="sched-1", nominal_at=float(number), title="tea", text="")
    )


@pytest.mark.req("MG-2")
async def test_a_wake_event_that_comes_twice_is_consumed_once(tmp_path: Path) -> None:
    """While it waits, after it was consumed, and after a restart."""
    gate = trio.Event()
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system, gate)
        await office.say("hello")
        await office.engine.wait_calls(1)
        for _ in range(2):
            system.get("manager").tell(WakeTaskDone(result=a_result("task-7")))
            system.get("manager").tell(due(5))
        gate.set()
        await office.wait_idle()
        system.get("manager").tell(WakeTaskDone(result=a_result("task-7")))
        await office.wait_idle()
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system)
        system.get("manager").tell(WakeTaskDone(result=a_result("task-7")))
        system.get("manager").tell(due(5))
        system.get("manager").tell(due(6))
        await office.wait_idle()
        batches = [tuple(wake.id for wake in one.batch) for one in office.engine.requests]
    assert batches == [("sched-1@6",)]
    over = [event["batch"] for event in events(tmp_path, "RunSucceeded")]
    assert over == [["input-1"], ["task-7", "sched-1@5"], ["sched-1@6"]]


def test_only_so_many_consumed_events_are_remembered() -> None:
    """The oldest are forgotten first."""
    state = ManagerState()
    for number in range(REMEMBERED + 5):
        one = due(number).due
        state.come(one)
        state.consume([one.id])
    assert len(state.consumed) == REMEMBERED
    assert not state.knows("sched-1@4")
    assert state.knows("sched-1@5")


@pytest.mark.req("MG-2")
@pytest.mark.req("JR-5")
async def test_a_queue_that_is_consumed_to_the_end_is_compacted_from_100_records_on(tmp_path: Path) -> None:
    """Its cursor begins anew; ids and the journal's numbers go on, also after a restart."""
    gate = trio.Event()
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system, gate)
        for number in range(99):
            await office.say(str(number))
        before = await status(system)
        assert (before.inputs_cursor, before.inputs_total) == (0, 99)
        gate.set()
        await office.wait_idle()
        at_99 = await status(system)
        assert (at_99.inputs_cursor, at_99.inputs_total) == (99, 99)
        assert await office.say("the 100th") == "input-100"
        await office.wait_idle()
        after = await status(system)
        assert (after.inputs_cursor, after.inputs_total) == (0, 0)
        system.get("manager").tell(WakeTaskDone(result=a_result("task-7")))
        await until(system, lambda: len(events(tmp_path, "TaskDoneReceived")) == 1)
        await office.wait_idle()
    (compacted,) = events(tmp_path, "QueueCompacted")
    assert (compacted["queue"], compacted["records"]) == ("inputs", 100)
    folder = tmp_path / "state" / "journals" / "manager"
    assert [path for path in folder.iterdir() if "snapshot" in path.name]
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system)
        assert await office.say("x") == "input-101"
        await office.wait_idle()
        now = await status(system)
        assert (now.inputs_cursor, now.inputs_total, now.results_cursor, now.results_total) == (1, 1, 1, 1)
    seqs = [line["seq"] for line in journal_lines(tmp_path, "manager")]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


@pytest.mark.req("JR-5")
async def test_a_queue_is_compacted_after_a_batch_that_was_given_up_too(tmp_path: Path) -> None:
    """Consumed is consumed, by whatever reply."""
    gate = trio.Event()
    async with ActorSystem(tmp_path) as system:
        engine = ScriptedEngine([gate, ValueError("away"), ValueError("away")])
        office = await Office.chain(system, engine, when_all_fail="answer", failures=1)
        for number in range(100):
            await office.say(str(number))
        gate.set()
        await office.wait_idle()
        now = await status(system)
        assert (now.inputs_cursor, now.inputs_total) == (0, 0)
    assert [len(event["batch"]) for event in events(tmp_path, "RunGivenUp")] == [1, 99]
    assert [event["records"] for event in events(tmp_path, "QueueCompacted")] == [100]


@pytest.mark.req("MG-1")
def test_an_idle_hour_has_no_turn_and_no_call(tmp_path: Path) -> None:
    """On a virtual clock: no line in the manager's journal, nothing asked of the engine (MG-1)."""

    async def main() -> None:
        async with ActorSystem(tmp_path, clock=VirtualClock(), inline=True) as system:
            office = await Office.set(system)
            await office.say("hello")
            await office.wait_idle()
            lines, calls = journal_lines(tmp_path, "manager"), len(office.engine.requests)
            await trio.sleep(3600)
            assert journal_lines(tmp_path, "manager") == lines
            assert len(office.engine.requests) == calls

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.req("MG-4")
async def test_a_run_is_shown_what_was_said_before_it(tmp_path: Path) -> None:
    """Inputs and replies, oldest first, without those of its own batch; bounded, long ones cut."""
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system)
        for text in ("a", "b" * 5_000, "c"):
            await office.say(text)
            await office.wait_idle()
        shown = office.engine.requests[-1].history
        assert [one.id for one in shown] == ["input-1", "msg-1", "input-2", "msg-2"]
        assert [one.role for one in shown] == ["user", "assistant"] * 2
        assert len(shown[2].text) == 2_000
        assert shown[0].at <= shown[1].at <= shown[2].at
        for number in range(40):
            await office.say(str(number))
            await office.wait_idle()
        assert len(office.engine.requests[-1].history) <= 50
        live = (await system.get("manager").ask_async(GetRecentMessages(), timeout_s=5)).messages
    async with ActorSystem(tmp_path) as system:
        await Office.set(system)
        again = (await system.get("manager").ask_async(GetRecentMessages(), timeout_s=5)).messages
    assert again == live


def undelivered(message: CreateTask | AddSchedule, error: str) -> DeliveryFailed:
    """What the runtime tells a sender whose message was refused or became a dead letter."""
    return DeliveryFailed(
        actor="x", message=message.kind, body=message.model_dump_json(), cause="manager/1", error=error
    )


@pytest.mark.rule("E2")
@pytest.mark.rule("T5")
async def test_an_input_whose_task_got_lost_gets_its_final_reply(tmp_path: Path) -> None:
    """The pool failed on it each time: that is how the task ended, once."""
    async with ActorSystem(tmp_path) as system:
        executors = {"noop": CallableExecutor(succeed)}
        await system.spawn(WorkerPoolActor, name="workers", notify=None, executors=executors)
        spec = TaskSpec(title="x", executor="noop", origin="input-1")
        quiet = RunAnswer()
        office = await Office.set(system, creating(spec), quiet, quiet)
        await office.say("go")
        await office.wait_idle()
        assert replies(tmp_path) == []
        for _ in range(2):
            lost = undelivered(CreateTask(spec=spec, id="task-1"), "a bug")
            await system.get("manager").ask_async(lost, timeout_s=5)
        await office.wait_idle()
        assert office.state.inputs == {}
    assert replies(tmp_path) == [("task-1 failed (it was not taken: a bug): x", ("input-1",))]


async def test_a_schedule_that_is_refused_in_the_end_is_told(tmp_path: Path) -> None:
    """The reply had said that it is set."""
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system)
        spec = ScheduleSpec(title="tea", cron="0 7 * * *", command=("true",), session="alice")
        lost = undelivered(AddSchedule(spec=spec, id="sched-1"), "no")
        await system.get("manager").ask_async(lost, timeout_s=5)
        await office.wait_idle()
        assert office.engine.requests == []
    (notice,) = events(tmp_path, "NoticePosted")
    assert [(one["text"], one["session"]) for one in notice["messages"]] == [
        ("sched-1 (tea) was refused: no", "alice")
    ]


STEPS = st.lists(st.sampled_from(["input", "result", "due", "again", "fail", "lose", "bad", "stop", "crash"]))


@pytest.mark.req("MG-1")
@pytest.mark.req("MG-2")
@pytest.mark.rule("E1")
@pytest.mark.rule("E2")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, chance=st.randoms(use_true_random=False))
def test_whatever_happens_each_input_has_one_reply_and_each_wake_is_consumed_once(
    steps: list[str], chance: Random
) -> None:
    """Inputs, results, reminders, doubles, failing engines, lost sessions, wrong actions, stops, kills."""
    with tempfile.TemporaryDirectory() as folder:
        trio.run(_play, steps, chance, Path(folder))


async def _play(steps: list[str], chance: Random, folder: Path) -> None:
    engines: list[ScriptedEngine] = []
    sent = {"input": 0, "result": 0, "due": 0}
    home, turn = folder / "0", 0
    rest, step = [*steps, "end"], ""
    while rest:
        async with ActorSystem(home) as system:
            chain = [ScriptedEngine(_script(chance), name=name) for name in ("main", "spare")]
            engines += chain
            office = await Office.chain(system, *chain, retry_delay_s=0.001, retry_cap_s=0.002)
            while rest:
                step = rest.pop(0)
                if step in ("stop", "crash"):
                    break
                if step == "end":
                    await office.wait_idle()
                await _take(step, system, chain, sent, chance)
            if step == "crash":
                turn += 1
                shutil.copytree(home, folder / str(turn))
                home = folder / str(turn)
    assert [engine.broken for engine in engines if engine.broken is not None] == []
    consumed = [name for event in events(home, "RunSucceeded", "RunGivenUp") for name in event["batch"]]
    expected = {f"input-{n}" for n in range(1, sent["input"] + 1)}
    wakes = expected | {f"task-{n}" for n in range(1, sent["result"] + 1)}
    wakes |= {f"sched-1@{n}" for n in range(1, sent["due"] + 1)}
    assert sorted(consumed) == sorted(wakes)
    assert sorted(name for _, answered in replies(home) for name in answered) == sorted(expected)


def _script(chance: Random) -> list[Step]:
    """Some trouble for the next calls; less than what would make a run wait for long."""
    trouble: list[Step] = [ValueError("no"), LoseSession(), Act(({"action": "fly"},)), Act(())]
    return [chance.choice(trouble) for _ in range(chance.randint(0, 4))]


async def _take(
    step: str, system: ActorSystem, chain: list[ScriptedEngine], sent: dict[str, int], chance: Random
) -> None:
    manager = system.get("manager")
    if step in sent:
        sent[step] += 1
    if step == "input":
        await manager.ask_async(SubmitInput(text="hello"), timeout_s=5)
    elif step == "result":
        await manager.ask_async(WakeTaskDone(result=a_result(f"task-{sent['result']}")), timeout_s=5)
    elif step == "due":
        await manager.ask_async(due(sent["due"]), timeout_s=5)
    elif step == "again" and sent["due"] and sent["result"]:
        await manager.ask_async(due(chance.randint(1, sent["due"])), timeout_s=5)
        again = a_result(f"task-{chance.randint(1, sent['result'])}")
        await manager.ask_async(WakeTaskDone(result=again), timeout_s=5)
    elif step == "fail":
        chance.choice(chain).steps.append(ValueError("no"))
    elif step == "lose":
        chain[0].steps.append(LoseSession())
    elif step == "bad":
        chain[0].steps.append(Act(({"action": "fly"},)))


def test_the_fake_notices_two_calls_at_once() -> None:
    """Without that, the test above could not fail for want of single flight (MG-1)."""

    async def main() -> None:
        engine = ScriptedEngine([Hang()])
        request = RunRequest(
            run="run-1",
            attempt=1,
            batch=(UserInput(id="input-1", text="x"),),
            now=0.0,
            timezone="UTC",
        )
        desk: Any = None  # not used
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.run, request, desk)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(AssertionError, match="one call at a time"):
                await engine.run(request, desk)
            nursery.cancel_scope.cancel()
        assert engine.broken is request

    trio.run(main)
