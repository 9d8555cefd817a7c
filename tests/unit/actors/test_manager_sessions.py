"""The engines' sessions: kept, found again after a start, begun anew when they are gone (MG-3)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from tests.unit.actors.office import Office, creating, events, replies
from tests.unit.actors.stage import ManualClock, journal_events, until
from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.engines import ScriptedEngine
from understudy.actors.engines.scripted import Hang, LoseSession
from understudy.protocols.conversation import SubmitInput
from understudy.protocols.engine import DoneTask, RunAnswer
from understudy.protocols.errors import SessionInvalid
from understudy.protocols.schedules import AddSchedule, ScheduleSpec
from understudy.protocols.tasks import CreateTask, TaskSpec


async def talk(home: Path, text: str, engine: ScriptedEngine, **policy: object) -> ScriptedEngine:
    """One start of the manager, one input."""
    async with ActorSystem(home) as system:
        office = await Office.chain(system, engine, **policy)
        await office.say(text)
        await office.wait_idle()
    return engine


@pytest.mark.req("MG-3")
async def test_a_session_is_kept_and_found_again_after_a_start(tmp_path: Path) -> None:
    """Looked for once, before it is used; the runs after that go on with it."""
    first = await talk(tmp_path, "a", ScriptedEngine())
    assert (first.requests[0].session_id, first.resumed) == (None, [])
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system)
        for text in "bc":
            await office.say(text)
            await office.wait_idle()
        assert office.engine.resumed == ["scripted-session-1"]
        assert [one.session_id for one in office.engine.requests] == ["scripted-session-1"] * 2
    assert events(tmp_path, "SessionRebuilt") == []


@pytest.mark.req("MG-3")
async def test_a_session_is_looked_for_at_the_start_without_any_input(tmp_path: Path) -> None:
    """So that the first input need not wait for it."""
    await talk(tmp_path, "a", ScriptedEngine())
    async with ActorSystem(tmp_path) as system:
        office = await Office.set(system)
        await office.engine.wait_until(lambda: bool(office.engine.resumed))
        assert office.engine.requests == []


@pytest.mark.req("MG-3")
@pytest.mark.parametrize("where", ["at the start", "in the run"])
async def test_a_session_that_is_gone_is_begun_anew_and_the_run_goes_on(tmp_path: Path, where: str) -> None:
    """With an event of old and new, and a message that says so."""
    await talk(tmp_path, "a", ScriptedEngine())
    engine = ScriptedEngine(name="scripted")
    engine._begun = 7  # pyright: ignore[reportPrivateUsage] - so that the new one has another name
    if where == "in the run":
        engine.steps.append(LoseSession())
    else:
        engine.resumes.append(SessionInvalid("expired"))
    await talk(tmp_path, "b", engine)
    (rebuilt,) = events(tmp_path, "SessionRebuilt")
    assert (rebuilt["engine"], rebuilt["old"], rebuilt["new"]) == (
        "scripted",
        "scripted-session-1",
        "scripted-session-8",
    )
    assert events(tmp_path, "RunFailed") == []
    assert ("echo b", ("input-2",)) in replies(tmp_path)
    assert any("has begun a new one" in text for text, _ in replies(tmp_path))
    third = await talk(tmp_path, "c", ScriptedEngine())
    assert third.requests[0].session_id == "scripted-session-8"


@pytest.mark.req("MG-3")
@pytest.mark.parametrize("trouble", [Hang(), OSError("no route")])
async def test_a_resume_that_fails_degrades_to_a_new_session(tmp_path: Path, trouble: Hang | OSError) -> None:
    """S0: it holds nobody up."""
    await talk(tmp_path, "a", ScriptedEngine())
    engine = ScriptedEngine()
    engine.resumes.extend([trouble, trouble])
    engine._begun = 7  # pyright: ignore[reportPrivateUsage] - as above
    await talk(tmp_path, "b", engine, resume_timeout_s=0.05)
    assert [event["new"] for event in events(tmp_path, "SessionRebuilt")] == ["scripted-session-8"]
    assert ("echo b", ("input-2",)) in replies(tmp_path)


@pytest.mark.req("MG-3")
async def test_while_a_resume_hangs_tasks_are_done_and_schedules_fire(tmp_path: Path) -> None:
    """And inputs are accepted: only the run waits, and goes on when the engine has answered."""
    config = CastConfig(timezone="UTC")
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, config, engines=(ScriptedEngine(),))
        await system.get("manager").ask_async(SubmitInput(text="a"), timeout_s=5)
        await until(system, lambda: bool(events(tmp_path, "RunSucceeded")))
    engine, gate, clock = ScriptedEngine(), trio.Event(), ManualClock(time.time())
    engine.resumes.append(gate)

    def finished() -> set[str | None]:
        """The schedules of the tasks that are over; None for one that no schedule made."""
        found = journal_events(tmp_path, "workers")
        made = {event["id"]: event["spec"]["schedule"] for event in found if event["type"] == "TaskCreated"}
        return {made[event["id"]] for event in found if event["type"] == "TaskFinished"}

    async with ActorSystem(tmp_path, clock=clock) as system:
        await start_cast(system, config, engines=(engine,))
        await engine.wait_until(lambda: bool(engine.resumed))
        await system.get("manager").ask_async(SubmitInput(text="b"), timeout_s=5)
        spec = TaskSpec(title="x", command=("true",))
        await system.get("workers").ask_async(CreateTask(spec=spec), timeout_s=5)
        every = ScheduleSpec(title="y", cron="* * * * *", command=("true",))
        await system.get("cron").ask_async(AddSchedule(spec=every), timeout_s=5)
        clock.advance(system, 60)
        await until(system, lambda: finished() == {None, "sched-1"})
        assert engine.requests == []
        gate.set()
        await until(system, lambda: ("echo b", ("input-2",)) in replies(tmp_path))


@pytest.mark.req("MG-3")
@pytest.mark.req("NT-1")
async def test_the_result_of_an_old_sessions_task_reaches_its_successor(tmp_path: Path) -> None:
    """The task belongs to a session of the conversation, which outlives those of the engine."""
    spec = TaskSpec(title="x", command=("true",), origin="input-1")
    engine = ScriptedEngine([creating(spec), RunAnswer(session_id="old")])
    engine.steps.append(LoseSession())
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, CastConfig(timezone="UTC"), engines=(engine,))
        said = SubmitInput(text="go", session="alice")
        await system.get("manager").ask_async(said, timeout_s=5)
        await until(system, lambda: len(events(tmp_path, "RunSucceeded")) == 2)
    first, lost, again = engine.requests
    assert (first.session_id, lost.session_id, again.session_id) == (None, "old", None)
    (done,) = again.batch
    assert isinstance(done, DoneTask)
    assert (done.result.task, done.result.session) == ("task-1", "alice")
    assert [event["old"] for event in events(tmp_path, "SessionRebuilt")] == ["old"]
    assert [answered for _text, answered in replies(tmp_path) if answered] == [("input-1",)]


@pytest.mark.req("MG-3")
async def test_each_engine_of_a_chain_has_a_session_of_its_own(tmp_path: Path) -> None:
    """An engine is never given another's."""
    main, spare = ScriptedEngine([ValueError("x")], name="main"), ScriptedEngine(name="spare")
    async with ActorSystem(tmp_path) as system:
        office = await Office.chain(system, main, spare)
        for text in "abc":
            await office.say(text)
            await office.wait_idle()
        assert office.state.sessions == {"main": "main-session-1", "spare": "spare-session-1"}
    assert [one.session_id for one in main.requests] == [None, None, "main-session-1"]
