"""Ordered start, reverse-ordered stop with deadlines, and children that come and go by hand."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.unit.supervision.parts import Crash, Hang, Note, Part, World, part, stage, status, supervisor
from understudy.protocols.errors import ActorStopped, NameTaken, UnknownActor
from understudy.protocols.lifecycle import ActorRestarting, ActorStarted
from understudy.supervision.backoff import Backoff
from understudy.supervision.child_spec import ChildSpec
from understudy.supervision.strategy import Strategy
from understudy.supervision.supervisor import Supervisor

pytestmark = pytest.mark.req("RT-6")


async def test_children_start_in_order_and_stop_in_reverse(autojump_clock: MockClock) -> None:
    """Each start is awaited before the next one begins, and each stop before the one before it."""
    async with stage() as (system, world, _):
        world.slow_start_s["a"] = 3
        await system.spawn(Supervisor, name="sup", children=[part(name, world) for name in "abc"])
        await system.stop("sup")
        assert world.log == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]
        assert system.status().actors == ()


async def test_a_subclass_sets_the_same_by_attributes(autojump_clock: MockClock) -> None:
    """A supervisor of one's own needs no arguments."""
    specs = [part("a", world := World())]

    class Cast(Supervisor):
        children = specs
        strategy = Strategy.ONE_FOR_ALL
        intensity = 7

    async with stage() as (system, _, _):
        await system.spawn(Cast, name="cast")
        assert world.log == ["start a"]
        assert (supervisor(system, "cast").intensity, supervisor(system, "cast").period_s) == (7, 5.0)


@pytest.mark.parametrize("how", ["on_stop", "turn"])
async def test_a_hanging_stop_is_cut_at_its_deadline_and_the_rest_goes_on(
    how: str, autojump_clock: MockClock
) -> None:
    """Whether the turn hangs or the hook: the time is the child's own, the others stop as ever."""
    async with stage() as (system, world, _):
        await system.spawn(
            Supervisor,
            name="sup",
            children=[part("a", world), part("b", world, stop_timeout_s=2), part("c", world)],
        )
        if how == "on_stop":
            world.hanging.add("b")
        else:
            system.get("b").tell(Hang())
        await wait_all_tasks_blocked()
        world.log.clear()
        before = trio.current_time()
        await system.stop("sup")
        assert trio.current_time() - before == 2
        assert world.log == ["stop c", "stop b", "stop a"]


async def test_hanging_stops_have_their_own_time_each(autojump_clock: MockClock) -> None:
    """The supervisor's deadline grows with its children's, over two levels and past the system's own."""
    async with stage() as (system, world, _):
        inner = ChildSpec(
            name="inner",
            actor=Supervisor,
            arguments={"children": [part(name, world, stop_timeout_s=60) for name in "abc"]},
        )
        await system.spawn(Supervisor, name="outer", children=[inner, part("z", world)])
        world.hanging.update("abc")
        world.log.clear()
        before = trio.current_time()
        await system.shutdown()
        assert trio.current_time() - before == 180
        assert world.log == ["stop z", "stop c", "stop b", "stop a"]


async def test_a_sibling_that_hangs_in_a_restart_of_all_is_cut_at_its_deadline(
    autojump_clock: MockClock,
) -> None:
    """The restart goes on without it, and the next incarnation takes its messages."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ALL,
            children=[part("a", world, stop_timeout_s=2), part("b", world)],
        )
        system.get("a").tell(Hang())
        await wait_all_tasks_blocked()
        before = trio.current_time()
        system.get("b").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="b", incarnation=2)
        assert trio.current_time() - before == 2
        assert await system.get("a").ask_async(Note(text="here"), timeout_s=5) == 2


async def test_a_failing_start_is_tried_again(autojump_clock: MockClock) -> None:
    """`spawn` returns when all are up; the others do not wait for the bad one."""
    async with stage() as (system, world, recorder):
        world.bad_starts["a"] = 2
        await system.spawn(
            Supervisor,
            name="sup",
            children=[part("a", world, backoff=Backoff(initial_s=1)), part("b", world)],
        )
        assert world.log == ["bad start a", "start b", "bad start a", "start a"]
        assert [event.restarts for event in recorder.all_of(ActorRestarting)] == [1, 2]


async def test_stopping_a_supervisor_voids_the_restarts_that_wait(autojump_clock: MockClock) -> None:
    """No child is started after its supervisor's end, and the end does not wait for the backoff."""
    async with stage() as (system, world, recorder):
        slow = Backoff(initial_s=1000, cap_s=1000, jitter=0)
        await system.spawn(Supervisor, name="sup", children=[part("a", world, backoff=slow)])
        ref = system.get("a")
        ref.tell(Crash())
        await recorder.wait_for(ActorRestarting, actor="a")
        before = trio.current_time()
        await system.stop("sup")
        assert trio.current_time() == before
        with pytest.raises(ActorStopped):
            ref.tell(Crash())
        await trio.sleep(2000)
        assert world.log == ["start a"]


async def test_stopping_a_supervisor_that_still_starts_does_not_wait_for_its_children(
    autojump_clock: MockClock,
) -> None:
    """The spawn fails with `ActorStopped`, and nothing is left."""
    async with stage() as (system, world, recorder):
        world.bad_starts["b"] = 1
        slow = Backoff(initial_s=1000, cap_s=1000, jitter=0)
        stopped = trio.Event()

        async def spawn() -> None:
            with pytest.raises(ActorStopped):
                await system.spawn(
                    Supervisor, name="sup", children=[part("a", world), part("b", world, backoff=slow)]
                )
            stopped.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(spawn)
            await recorder.wait_for(ActorRestarting, actor="b")
            before = trio.current_time()
            await system.stop("sup")
            await stopped.wait()
        assert trio.current_time() == before
        assert world.log == ["start a", "bad start b", "stop a"]
        assert system.status().actors == ()


async def test_a_taken_name_fails_the_supervisors_start(autojump_clock: MockClock) -> None:
    """Nothing of it is left, and the owner of the name goes on."""
    async with stage() as (system, world, _):
        owner = await system.spawn(Part, name="b", world=world)
        with pytest.raises(NameTaken):
            await system.spawn(Supervisor, name="sup", children=[part("a", world), part("b", world)])
        assert [each.name for each in system.status().actors] == ["b"]
        assert await owner.ask_async(Note(text="still here"), timeout_s=5) == 1


async def test_a_child_is_started_and_terminated_by_hand(autojump_clock: MockClock) -> None:
    """Through a proxy, as from any thread; it is supervised like the others and stops in its place."""
    async with stage() as (system, world, recorder):
        ref = await system.spawn(Supervisor, name="sup", children=[part("a", world)])
        child = await ref.proxy().start_child(part("b", world))
        child.tell(Crash())
        await recorder.wait_for(ActorStarted, actor="b", incarnation=2)
        assert [each.name for each in supervisor(system).list_children()] == ["a", "b"]
        await ref.proxy().terminate_child("a")
        assert [each.name for each in supervisor(system).list_children()] == ["b"]
        assert status(system, "a") is None


async def test_a_child_whose_first_start_by_hand_fails_is_not_kept(autojump_clock: MockClock) -> None:
    """The caller gets the error, as in OTP; the name is free again."""
    async with stage() as (system, world, _):
        await system.spawn(Supervisor, name="sup")
        world.bad_starts["b"] = 1
        with pytest.raises(ValueError, match="a bad start"):
            await supervisor(system).start_child(part("b", world))
        await wait_all_tasks_blocked()
        await supervisor(system).start_child(part("b", world))
        assert world.log == ["bad start b", "start b"]


async def test_terminating_a_stranger_names_the_children(autojump_clock: MockClock) -> None:
    """The error says what there is."""
    async with stage() as (system, world, _):
        await system.spawn(Supervisor, name="sup", children=[part("a", world)])
        with pytest.raises(UnknownActor, match=r"'x'; there are: a"):
            await supervisor(system).terminate_child("x")


async def test_a_child_stopped_by_a_person_is_not_restarted(autojump_clock: MockClock) -> None:
    """`system.stop(name)` is a decision, not a failure, also for a permanent child that waits."""
    async with stage() as (system, world, recorder):
        slow = Backoff(initial_s=10, jitter=0)
        await system.spawn(
            Supervisor, name="sup", children=[part("a", world), part("b", world, backoff=slow)]
        )
        system.get("b").tell(Crash())
        await recorder.wait_for(ActorRestarting, actor="b")
        await system.stop("a")
        await system.stop("b")
        await trio.sleep(100)
        assert world.log == ["start a", "start b", "stop a"]
        assert supervisor(system).list_children() == ()


async def test_children_added_by_hand_survive_their_supervisors_restart(autojump_clock: MockClock) -> None:
    """Unlike OTP's: their references and mailboxes do, so they do."""
    async with stage() as (system, world, recorder):
        await system.spawn(Supervisor, name="sup", intensity=0, children=[part("a", world)])
        child = await supervisor(system).start_child(part("b", world))
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="sup", incarnation=2)
        assert await child.ask_async(Note(text="here"), timeout_s=5) == 2


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"strategy": "one_for_some"}, "one_for_some"),
        ({"intensity": -1}, "intensity"),
        ({"period_s": 0}, "period"),
        ({"children": [ChildSpec("a", Part), ChildSpec("a", Part)]}, "a name of its own for each child"),
    ],
)
async def test_a_supervisors_arguments_are_checked(
    wrong: dict[str, Any], error: str, autojump_clock: MockClock
) -> None:
    """The spawn is refused, and nothing is left."""
    async with stage() as (system, _, _):
        with pytest.raises(ValueError, match=error):
            await system.spawn(Supervisor, name="sup", **wrong)
        assert system.status().actors == ()


async def test_strategy_and_kind_may_be_given_by_their_words(autojump_clock: MockClock) -> None:
    """As a configuration file would."""
    async with stage() as (system, world, recorder):
        specs = [ChildSpec(name, Part, arguments={"world": world}, restart="transient") for name in "ab"]
        await system.spawn(Supervisor, name="sup", strategy="one_for_all", children=specs)
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="b", incarnation=2)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"name": ""}, "a name"), ({"stop_timeout_s": -1}, "stop_timeout_s"), ({"restart": "ever"}, "ever")],
)
def test_a_spec_is_checked_when_it_is_made(wrong: dict[str, str], error: str) -> None:
    """A child without a name and a negative time are refused."""
    arguments = {"name": "a", "actor": Part} | wrong
    with pytest.raises(ValueError, match=error):
        ChildSpec(**arguments)  # pyright: ignore[reportArgumentType] - the mistake that is tested
