"""The guardian: what `system.spawn` starts is restarted on its own, and given up on its own."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.unit.supervision.parts import Crash, CrashLater, Note, Part, Quit, stage, status
from understudy.protocols.errors import ActorStopped
from understudy.protocols.lifecycle import ActorEscalated, ActorRestarting, ActorStarted
from understudy.protocols.lifecycle import ActorStopped as Stopped
from understudy.supervision.guardian import INTENSITY

pytestmark = pytest.mark.req("RT-6")


async def test_a_failed_actor_comes_back_after_a_short_wait_with_its_mailbox(
    autojump_clock: MockClock,
) -> None:
    """Under the same reference; the status shows the failure."""
    async with stage() as (system, world, recorder):
        ref = await system.spawn(Part, name="a", world=world)
        ref.tell(Crash())
        assert await ref.ask_async(Note(text="after"), timeout_s=5) == 2
        assert 0 < (await recorder.wait_for(ActorRestarting)).delay_s < 0.01
        assert status(system, "a").last_failure == "ValueError: told to crash"


async def test_an_actor_that_fails_too_often_is_given_up_and_the_others_go_on(
    autojump_clock: MockClock,
) -> None:
    """Its end is an event and stays in the status until the name is used again."""
    async with stage() as (system, world, recorder):
        ref = await system.spawn(Part, name="a", world=world)
        other = await system.spawn(Part, name="b", world=world)
        for _ in range(INTENSITY + 1):
            ref.tell(Crash())
        other.tell(Crash())
        await recorder.wait_for(ActorEscalated, actor="a", timeout_s=60)
        await recorder.wait_for(Stopped, actor="a")
        with pytest.raises(ActorStopped, match="more than 10 restarts within 10 s"):
            ref.tell(Crash())
        assert [halt.actor for halt in system.status().given_up] == ["a"]
        assert await other.ask_async(Note(text="fine"), timeout_s=5) == 2
        await system.spawn(Part, name="a", world=world)
        assert system.status().given_up == ()


async def test_as_many_failures_as_allowed_do_not_end_an_actor(autojump_clock: MockClock) -> None:
    """Ten restarts within the period."""
    async with stage() as (system, world, _):
        ref = await system.spawn(Part, name="a", world=world)
        for _ in range(INTENSITY):
            ref.tell(Crash())
        assert await ref.ask_async(Note(text="after"), timeout_s=60) == INTENSITY + 1


async def test_a_failing_restart_is_a_failure_and_uses_up_the_restarts(autojump_clock: MockClock) -> None:
    """An actor that can't be started any more is given up."""
    async with stage() as (system, world, recorder):
        ref = await system.spawn(Part, name="a", world=world)
        world.bad_starts["a"] = 1000
        ref.tell(Crash())
        await recorder.wait_for(ActorEscalated, actor="a", timeout_s=60)
        assert world.log.count("bad start a") == INTENSITY


async def test_an_actor_stopped_while_it_waits_is_not_started_again(autojump_clock: MockClock) -> None:
    """A stop is the last word."""
    async with stage() as (system, world, recorder):
        ref = await system.spawn(Part, name="a", world=world)
        ref.tell(Crash())
        await recorder.wait_for(ActorRestarting)
        cell = system.cell("a")
        await system.stop("a")
        await trio.sleep(60)
        assert cell.incarnation == 1
        assert world.log == ["start a"]
        assert system.status().actors == ()


async def test_an_actor_that_fails_while_its_stop_waits_is_not_restarted(autojump_clock: MockClock) -> None:
    """The turn ends in a failure, and then the actor ends."""
    async with stage() as (system, world, recorder):
        ref = await system.spawn(Part, name="a", world=world)
        ref.tell(CrashLater())
        await wait_all_tasks_blocked()
        await system.stop("a")
        assert recorder.all_of(ActorRestarting) == []
        assert world.log == ["start a"]


async def test_waits_start_anew_after_a_stable_time(autojump_clock: MockClock) -> None:
    """Three failures: two in a row, and one after a quiet minute."""
    async with stage() as (system, world, recorder):
        ref = await system.spawn(Part, name="a", world=world)
        for pause_s in (0, 0, 60):
            await trio.sleep(pause_s)
            ref.tell(Crash())
            await ref.ask_async(Note(text="back"), timeout_s=5)
        waits = [event.delay_s for event in recorder.all_of(ActorRestarting)]
        assert waits[1] > 1.2 * waits[0]
        assert waits[2] < 0.8 * waits[1]


async def test_an_actor_that_stops_by_itself_stays_away(autojump_clock: MockClock) -> None:
    """A normal end is no failure."""
    async with stage() as (system, world, recorder):
        ref = await system.spawn(Part, name="a", world=world)
        ref.tell(Quit())
        await recorder.wait_for(Stopped, actor="a")
        await trio.sleep(60)
        assert [event.incarnation for event in recorder.all_of(ActorStarted)] == [1]
