"""How often, after what wait, and what becomes of it when that is too often."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.unit.supervision.parts import (
    AT_ONCE,
    Crash,
    Lose,
    Note,
    Outage,
    Part,
    part,
    stage,
    status,
)
from understudy.protocols.errors import Escalated
from understudy.protocols.lifecycle import ActorEscalated, ActorFailed, ActorRestarting, ActorStarted
from understudy.supervision.backoff import Backoff
from understudy.supervision.child_spec import ChildSpec
from understudy.supervision.strategy import Strategy
from understudy.supervision.supervisor import Supervisor

pytestmark = pytest.mark.req("RT-6")


async def test_as_many_restarts_as_allowed_do_not_escalate(autojump_clock: MockClock) -> None:
    """Intensity 2 allows two restarts at the same moment."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor, name="sup", intensity=2, period_s=5, children=[part("a", world), part("b", world)]
        )
        for name in "ab":
            system.get(name).tell(Crash())
            await recorder.wait_for(ActorStarted, actor=name, incarnation=2)
        assert recorder.all_of(ActorEscalated) == []
        assert status(system, "sup").restarts == 0


async def test_one_restart_too_many_escalates(autojump_clock: MockClock) -> None:
    """The supervisor stops its children in reverse order, fails, and is started again with them."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor,
            name="sup",
            intensity=1,
            period_s=5,
            children=[part("a", world), part("b", world), part("c", world)],
        )
        world.log.clear()
        system.get("b").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="b", incarnation=2)
        system.get("b").tell(Crash())
        escalated = await recorder.wait_for(ActorEscalated)
        failed = await recorder.wait_for(ActorFailed, actor="sup")
        await recorder.wait_for(ActorStarted, actor="sup", incarnation=2)
        assert world.log == ["start b", "stop c", "stop a", "start a", "start b", "start c"]
        assert "more than 1 restarts within 5 s, the last one of Part (b)" in escalated.reason
        assert failed.error.startswith("Escalated: Supervisor (sup)")


@pytest.mark.parametrize(("gap_s", "escalates"), [(5.0, True), (5.001, False)])
async def test_the_boundary_of_the_period_holds_on_the_clock(
    gap_s: float, *, escalates: bool, autojump_clock: MockClock
) -> None:
    """A restart exactly one period ago still counts, one a little older does not."""
    async with stage() as (system, world, recorder):
        await system.spawn(Supervisor, name="sup", intensity=1, period_s=5, children=[part("a", world)])
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="a", incarnation=2)
        await trio.sleep(gap_s)
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="a", incarnation=3)
        assert (len(recorder.all_of(ActorEscalated)) == 1) is escalates


async def test_references_and_mailboxes_survive_an_escalation(autojump_clock: MockClock) -> None:
    """Also those of the supervisor's children: their cells outlive it."""
    async with stage() as (system, world, recorder):
        await system.spawn(Supervisor, name="sup", intensity=0, children=[part("a", world), part("b", world)])
        a, b = system.get("a"), system.get("b")
        b.tell(Crash())
        b.tell(Note(text="after"))
        await recorder.wait_for(ActorStarted, actor="sup", incarnation=2)
        await a.ask_async(Note(text="a too"), timeout_s=5)
        assert world.log[-2:] == ["b: after", "a: a too"]


async def test_an_escalation_goes_up_two_levels(autojump_clock: MockClock) -> None:
    """Each level uses up its own intensity; the whole tree is taken down and comes back in order."""
    async with stage() as (system, world, recorder):
        inner = ChildSpec(
            name="inner",
            actor=Supervisor,
            arguments={"intensity": 0, "children": [part("a", world)]},
            backoff=AT_ONCE,
        )
        await system.spawn(Supervisor, name="outer", intensity=0, children=[inner, part("z", world)])
        world.log.clear()
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="outer", incarnation=2)
        escalations = [event.actor for event in recorder.all_of(ActorEscalated)]
        assert escalations == ["inner", "outer"]
        assert world.log == ["stop z", "start a", "start z"]
        assert [each.incarnation for each in system.status().actors] == [2, 2, 2, 2]
        assert status(system, "a").parent == "inner"


async def test_a_supervisor_that_escalates_too_often_is_given_up(autojump_clock: MockClock) -> None:
    """At the top the subtree ends and is reported; the rest of the system goes on."""
    async with stage() as (system, world, recorder):
        await system.spawn(Supervisor, name="sup", intensity=0, children=[part("a", world), part("b", world)])
        other = await system.spawn(Part, name="other", world=world)
        ref = system.get("a")
        with trio.fail_after(300):
            while ref.is_alive():
                ref.tell(Crash())
                await trio.sleep(0.001)
        await recorder.wait_for(ActorEscalated, actor="sup", timeout_s=60)
        await wait_all_tasks_blocked()
        assert [each.name for each in system.status().actors] == ["other"]
        assert await other.ask_async(Note(text="fine"), timeout_s=5) == 1


async def test_waits_grow_and_start_anew_after_a_stable_time(autojump_clock: MockClock) -> None:
    """1 s, 2 s, 4 s; after ten stable seconds 1 s again; the status shows when the next start is due."""
    async with stage() as (system, world, recorder):
        backoff = Backoff(initial_s=1, jitter=0, stable_s=10)
        await system.spawn(Supervisor, name="sup", intensity=9, children=[part("a", world, backoff=backoff)])
        for stable_s in (0, 0, 9.9, 10):
            await trio.sleep(stable_s)
            before = trio.current_time()
            system.get("a").tell(Crash())
            restarting = await recorder.wait_for(ActorRestarting)
            assert status(system, "a").next_restart == restarting.time + restarting.delay_s
            await recorder.wait_for(ActorStarted, actor="a", timeout_s=60)
            assert abs(trio.current_time() - before - restarting.delay_s) < 1e-6
        assert [event.delay_s for event in recorder.all_of(ActorRestarting)] == [1, 2, 4, 1]
        assert status(system, "a").next_restart is None


async def test_one_childs_backoff_does_not_hold_up_another(autojump_clock: MockClock) -> None:
    """With one for one: the other is back at once, and the slow one after its own wait."""
    async with stage() as (system, world, recorder):
        slow = Backoff(initial_s=1000, cap_s=1000, jitter=0)
        await system.spawn(
            Supervisor, name="sup", children=[part("slow", world, backoff=slow), part("quick", world)]
        )
        start = trio.current_time()
        system.get("slow").tell(Crash())
        await recorder.wait_for(ActorRestarting, actor="slow")
        system.get("quick").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="quick", incarnation=2)
        assert trio.current_time() == start
        await recorder.wait_for(ActorStarted, actor="slow", incarnation=2, timeout_s=2000)
        assert trio.current_time() == start + 1000


async def test_a_start_that_hangs_does_not_hold_up_another_childs_restart(autojump_clock: MockClock) -> None:
    """With one for one, starts run side by side."""
    async with stage() as (system, world, recorder):
        await system.spawn(Supervisor, name="sup", children=[part("a", world), part("b", world)])
        world.slow_start_s["a"] = 10_000
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorRestarting, actor="a")
        system.get("b").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="b", incarnation=2)
        assert status(system, "a").phase == "starting"


async def test_an_outage_is_backoff_and_not_intensity(autojump_clock: MockClock) -> None:
    """Twenty of them in a row do not use up an intensity of zero, and the waits reach the cap."""
    async with stage() as (system, world, recorder):
        backoff = Backoff(initial_s=1, cap_s=8, jitter=0)
        await system.spawn(Supervisor, name="sup", intensity=0, children=[part("a", world, backoff=backoff)])
        world.outage_starts["a"] = 19
        system.get("a").tell(Lose())
        await recorder.wait_for(ActorStarted, actor="a", incarnation=21, timeout_s=1000)
        waits = [event.delay_s for event in recorder.all_of(ActorRestarting)]
        assert waits == [1, 2, 4] + [8] * 17
        assert recorder.all_of(ActorEscalated) == []


async def test_a_start_that_fails_late_has_not_been_stable(autojump_clock: MockClock) -> None:
    """Connecting for longer than the stable time and failing then makes the waits grow all the same."""
    async with stage() as (system, world, recorder):
        backoff = Backoff(initial_s=1, jitter=0, stable_s=10)
        await system.spawn(Supervisor, name="sup", children=[part("a", world, backoff=backoff)])
        world.slow_start_s["a"] = 20
        world.outage_starts["a"] = 3
        system.get("a").tell(Lose())
        await recorder.wait_for(ActorStarted, actor="a", incarnation=5, timeout_s=200)
        assert [event.delay_s for event in recorder.all_of(ActorRestarting)] == [1, 2, 4, 8]


async def test_a_crash_on_the_first_message_has_not_been_stable(autojump_clock: MockClock) -> None:
    """However long the incarnation before it had run."""
    async with stage() as (system, world, recorder):
        backoff = Backoff(initial_s=1, jitter=0, stable_s=10)
        await system.spawn(Supervisor, name="sup", children=[part("a", world, backoff=backoff)])
        await trio.sleep(100)
        system.get("a").tell(Crash())
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="a", incarnation=3)
        assert [event.delay_s for event in recorder.all_of(ActorRestarting)] == [1, 2]


async def test_a_start_does_not_wait_for_the_end_of_an_outage(autojump_clock: MockClock) -> None:
    """The supervisor and the other children are up while one waits for something outside."""
    async with stage() as (system, world, recorder):
        world.outage_starts["a"] = 3
        backoff = Backoff(initial_s=1, jitter=0)
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ONE,
            children=[part("a", world, backoff=backoff), part("b", world)],
        )
        assert world.log == ["start b"]
        assert status(system, "a").last_failure == "Outage: the engine is away"
        await recorder.wait_for(ActorStarted, actor="a", timeout_s=60)


async def test_the_same_seed_gives_the_same_waits(autojump_clock: MockClock) -> None:
    """Jitter comes from the system's random numbers."""

    async def waits(seed: int) -> list[float]:
        async with stage(seed) as (system, world, recorder):
            world.bad_starts["a"] = 3
            await system.spawn(Supervisor, name="sup", children=[part("a", world, backoff=Backoff())])
            return [event.delay_s for event in recorder.all_of(ActorRestarting)]

    assert await waits(7) == await waits(7)
    assert await waits(7) != await waits(8)


async def test_a_start_that_never_succeeds_escalates_to_who_spawned(autojump_clock: MockClock) -> None:
    """Failing starts use up the intensity; the error names the last cause, and nothing is left."""
    async with stage() as (system, world, _):
        world.bad_starts["b"] = 100
        with pytest.raises(Escalated, match="a bad start") as caught:
            await system.spawn(
                Supervisor, name="sup", intensity=3, children=[part("a", world), part("b", world)]
            )
        assert isinstance(caught.value.__cause__, ValueError)
        assert world.log == ["start a", *["bad start b"] * 4, "stop a"]
        assert system.status().actors == ()


async def test_a_failing_start_inside_a_restart_of_all_begins_it_anew(autojump_clock: MockClock) -> None:
    """It counts, those that had been started are stopped again, and then all start."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ALL,
            intensity=2,
            children=[part("a", world), part("b", world), part("c", world)],
        )
        world.log.clear()
        world.bad_starts["b"] = 1
        system.get("c").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="c", incarnation=2)
        assert world.log == [
            *("stop b", "stop a", "start a", "bad start b"),
            *("stop a", "start a", "start b", "start c"),
        ]
        system.get("c").tell(Crash())
        await recorder.wait_for(ActorEscalated, actor="sup")


async def test_an_outage_is_known_by_the_spec_and_not_by_its_name(autojump_clock: MockClock) -> None:
    """Only errors that the spec lists are outages, subclasses included."""

    class EngineAway(Outage):
        pass

    spec = ChildSpec(name="a", actor=Part, outages=(Outage,))
    assert spec.is_outage(EngineAway())
    assert not spec.is_outage(ValueError())
    assert not spec.is_outage(None)
