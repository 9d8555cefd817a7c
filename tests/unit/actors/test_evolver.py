"""The evolver: off by default, in idle windows only, in nobody's way (MG-7)."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from tests.unit.actors.office import Office, events
from tests.unit.actors.stage import ManualClock, journal_events, until
from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.engines import OfflineEngine, ScriptedEngine
from understudy.actors.engines.scripted import Hang
from understudy.actors.evolver import EvolverActor, EvolverPolicy
from understudy.protocols.engine import RunAnswer
from understudy.protocols.evolution import FinishEvolving

POLICY = EvolverPolicy(idle_s=900, interval_s=3600)


async def office_with_evolver(system: ActorSystem, engine: ScriptedEngine) -> Office:
    """A manager and an evolver with the same engine."""
    office = await Office.chain(system, engine)
    await system.spawn(EvolverActor, name="evolver", engines=(engine,), policy=POLICY)
    await trio.testing.wait_all_tasks_blocked()
    return office


def learned(home: Path) -> list[tuple[int, str]]:
    """Versions and profiles, as the evolver's journal has them."""
    return [
        (event["persona"]["version"], event["persona"]["profile"])
        for event in journal_events(home, "evolver")
        if event["type"] == "Evolved"
    ]


@pytest.mark.req("MG-7")
async def test_it_is_off_unless_it_is_configured_and_then_starts_last(tmp_path: Path) -> None:
    """With an engine that can't evolve it has nothing to do: no task, no timer."""
    async with ActorSystem(tmp_path / "off") as system:
        await start_cast(system, CastConfig(timezone="UTC"))
        assert system.find("evolver") is None
    async with ActorSystem(tmp_path / "on") as system:
        config = CastConfig(timezone="UTC", evolver=EvolverPolicy())
        await start_cast(system, config, engines=(OfflineEngine(),))
        names = [one.name for one in system.status().actors if one.parent == "cast"]
        assert names[-1] == "evolver"
        assert not system.cell("evolver").timers
        assert not system.cell("evolver").tasks


@pytest.mark.req("MG-7")
async def test_it_learns_in_an_idle_window_and_the_next_run_knows(tmp_path: Path) -> None:
    """Not before the threshold; then once, until there is something new and the interval is over."""
    clock, engine = ManualClock(1_000_000.0), ScriptedEngine()
    async with ActorSystem(tmp_path, clock=clock) as system:
        office = await office_with_evolver(system, engine)
        await office.say("I like tea")
        await office.wait_idle()
        clock.advance(system, 899)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert engine.evolved == []
        clock.advance(system, 2)
        await until(system, lambda: learned(tmp_path) == [(1, "profile 1 of 2 messages")])
        await until(system, lambda: bool(events(tmp_path, "PersonaTaken")))
        for _ in range(5):
            clock.advance(system, 4000)
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(engine.evolved) == 1
        await office.say("and coffee")
        await office.wait_idle()
        persona = engine.requests[-1].persona
        assert persona is not None
        assert persona.profile == "profile 1 of 2 messages"
        clock.advance(system, 901)
        await until(system, lambda: [version for version, _ in learned(tmp_path)] == [1, 2])
        assert [one.text for one in engine.evolved[1]] == ["and coffee", "echo and coffee"]
        await until(system, lambda: len(events(tmp_path, "PersonaTaken")) == 2)
        await _wait_file(tmp_path / "persona" / "profile-0002.md", "profile 2 of 2 messages\n")


@pytest.mark.req("MG-7")
async def test_the_interval_is_kept_also_over_a_restart(tmp_path: Path) -> None:
    """However long the manager is idle."""
    clock, engine = ManualClock(1_000_000.0), ScriptedEngine()
    async with ActorSystem(tmp_path, clock=clock) as system:
        office = await office_with_evolver(system, engine)
        await office.say("a")
        await office.wait_idle()
        clock.advance(system, 901)
        await until(system, lambda: len(learned(tmp_path)) == 1)
    async with ActorSystem(tmp_path, clock=clock) as system:
        office = await office_with_evolver(system, engine)
        await office.say("b")
        await office.wait_idle()
        clock.advance(system, 1000)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(engine.evolved) == 1
        clock.advance(system, 2700)
        await until(system, lambda: len(learned(tmp_path)) == 2)


@pytest.mark.req("MG-7")
async def test_a_wake_that_comes_while_it_learns_cancels_it_and_waits_for_nothing(tmp_path: Path) -> None:
    """The run is over while the call would still hang; what it learned is void, and tried again later."""
    clock, engine = ManualClock(1_000_000.0), ScriptedEngine()
    async with ActorSystem(tmp_path, clock=clock) as system:
        office = await office_with_evolver(system, engine)
        await office.say("a")
        await office.wait_idle()
        engine.steps.append(Hang())
        clock.advance(system, 901)
        await engine.wait_until(lambda: len(engine.evolved) == 1)
        assert not engine.steps
        await office.say("b")
        await office.wait_idle()
        with trio.fail_after(5):
            while any(task.name == "evolve" for task in system.cell("evolver").tasks or ()):
                await trio.lowlevel.checkpoint()
        assert learned(tmp_path) == []
        clock.advance(system, 901)
        await until(system, lambda: learned(tmp_path) == [(1, "profile 1 of 4 messages")])


@pytest.mark.req("MG-7")
async def test_what_was_learned_in_a_window_that_is_over_is_void(tmp_path: Path) -> None:
    """The report was in the mailbox when the manager had something to do: it lacks what came since."""
    clock, engine = ManualClock(1_000_000.0), ScriptedEngine()
    async with ActorSystem(tmp_path, clock=clock) as system:
        office = await office_with_evolver(system, engine)
        await office.say("a")
        await office.wait_idle()
        late = FinishEvolving(window=0, engine=engine.name, profile="x", persona="y", seen="msg-1")
        await system.get("evolver").ask_async(late, timeout_s=5)
        assert learned(tmp_path) == []


@pytest.mark.req("MG-7")
async def test_it_does_not_learn_while_a_run_is_under_way(tmp_path: Path) -> None:
    """A long run writes no line, and is no idleness."""
    clock, engine = ManualClock(1_000_000.0), ScriptedEngine()
    gate = trio.Event()
    engine.steps.append(gate)
    async with ActorSystem(tmp_path, clock=clock) as system:
        office = await office_with_evolver(system, engine)
        await office.say("a")
        await engine.wait_calls(1)
        clock.advance(system, 901)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert engine.evolved == []
        gate.set()
        await office.wait_idle()
        clock.advance(system, 901)
        await until(system, lambda: len(learned(tmp_path)) == 1)


@pytest.mark.req("MG-7")
async def test_a_failure_is_recorded_and_tried_again_after_the_interval(tmp_path: Path) -> None:
    """It disturbs nobody."""
    clock, engine = ManualClock(1_000_000.0), ScriptedEngine()
    async with ActorSystem(tmp_path, clock=clock) as system:
        office = await office_with_evolver(system, engine)
        await office.say("a")
        await office.wait_idle()
        engine.steps.append(ValueError("no model"))
        clock.advance(system, 901)
        await until(
            system,
            lambda: any(e["type"] == "EvolvingFailed" for e in journal_events(tmp_path, "evolver")),
        )
        clock.advance(system, 3600)
        await until(system, lambda: len(learned(tmp_path)) == 1)
        assert system.cell("evolver").restarts == 0


@pytest.mark.req("MG-7")
async def test_the_files_are_written_from_the_journal(tmp_path: Path) -> None:
    """A version each and the newest; hand edits and deletions are made good at the next start."""
    clock, engine = ManualClock(1_000_000.0), ScriptedEngine([RunAnswer()])
    folder = tmp_path / "persona"
    async with ActorSystem(tmp_path, clock=clock) as system:
        office = await office_with_evolver(system, engine)
        await office.say("a")
        await office.wait_idle()
        clock.advance(system, 901)
        await until(system, lambda: len(learned(tmp_path)) == 1)
        await _wait_file(folder / "persona.md", "persona 1\n")
    assert sorted(path.name for path in folder.iterdir()) == [
        "persona-0001.md",
        "persona.md",
        "profile-0001.md",
        "profile.md",
    ]
    (folder / "persona.md").write_text("edited")
    (folder / "profile-0001.md").unlink()
    async with ActorSystem(tmp_path, clock=clock) as system:
        await office_with_evolver(system, engine)
        await _wait_file(folder / "persona.md", "persona 1\n")
        await _wait_file(folder / "profile-0001.md", "profile 1 of 2 messages\n")


async def _wait_file(path: Path, text: str) -> None:
    with trio.fail_after(5):
        while not await trio.Path(path).exists() or await trio.Path(path).read_text() != text:
            await trio.lowlevel.checkpoint()
