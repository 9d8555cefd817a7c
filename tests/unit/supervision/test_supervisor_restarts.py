"""Who is restarted when a child is down, and what survives it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.unit.supervision.parts import Crash, Lose, Note, Quit, part, stage, status, supervisor
from understudy.protocols import Message
from understudy.protocols.errors import ActorStopped
from understudy.protocols.lifecycle import ActorEscalated, ActorRestarting, ActorStarted, Terminated
from understudy.supervision.actor import Actor
from understudy.supervision.backoff import Backoff
from understudy.supervision.child_spec import ChildSpec
from understudy.supervision.strategy import Restart, Strategy
from understudy.supervision.supervisor import Supervisor
from understudy.supervision.testing.probe import Probe, Recorder, WatchFor

pytestmark = pytest.mark.req("RT-6")


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["start b"]),
        (Strategy.ONE_FOR_ALL, ["stop c", "stop a", "start a", "start b", "start c"]),
        (Strategy.REST_FOR_ONE, ["stop c", "start b", "start c"]),
    ],
)
async def test_a_strategy_stops_in_reverse_and_starts_in_order(
    strategy: Strategy, expected: list[str], autojump_clock: MockClock
) -> None:
    """Of three children the middle one crashes; it is not asked to stop itself."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor, name="sup", strategy=strategy, children=[part(name, world) for name in "abc"]
        )
        world.log.clear()
        system.get("b").tell(Crash())
        await recorder.wait_for(ActorStarted, actor=expected[-1][-1], incarnation=2)
        await wait_all_tasks_blocked()
        assert world.log == expected


@pytest.mark.parametrize("kind", list(Restart))
@pytest.mark.parametrize("failed", [True, False])
async def test_a_kind_decides_over_a_failure_and_over_a_normal_end(
    kind: Restart, *, failed: bool, autojump_clock: MockClock
) -> None:
    """The matrix of permanent, transient and temporary with crash and quit."""
    async with stage() as (system, world, _):
        await system.spawn(Supervisor, name="sup", children=[part("a", world, restart=kind)])
        ref = system.get("a")
        ref.tell(Crash() if failed else Quit())
        await trio.sleep(1)
        if kind is Restart.PERMANENT or (kind is Restart.TRANSIENT and failed):
            assert await ref.ask_async(Note(text="here"), timeout_s=5) == 2
        else:
            assert status(system, "a") is None
            with pytest.raises(ActorStopped):
                await ref.ask_async(Note(text="here"), timeout_s=5)


async def test_messages_that_came_while_a_child_was_down_reach_its_next_incarnation_in_order(
    autojump_clock: MockClock,
) -> None:
    """Reference and mailbox survive the restart."""
    async with stage() as (system, world, recorder):
        slow = Backoff(initial_s=10, jitter=0)
        await system.spawn(Supervisor, name="sup", children=[part("a", world, backoff=slow)])
        ref = system.get("a")
        ref.tell(Crash())
        ref.tell(Note(text="1"))
        await recorder.wait_for(ActorRestarting, actor="a")
        ref.tell(Note(text="2"))
        assert await ref.ask_async(Note(text="3"), timeout_s=60) == 2
        assert world.log == ["start a", "start a", "a: 1", "a: 2", "a: 3"]


async def test_mailboxes_of_siblings_survive_a_restart_of_all(autojump_clock: MockClock) -> None:
    """What a sibling had not handled when it was stopped is handled by its next incarnation."""
    async with stage() as (system, world, recorder):
        backoff = Backoff(initial_s=10, jitter=0)
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ALL,
            children=[part("a", world, backoff=backoff), part("b", world, backoff=backoff)],
        )
        system.get("b").tell(Crash())
        await recorder.wait_for(ActorRestarting, actor="b")
        await wait_all_tasks_blocked()
        assert await system.get("a").ask_async(Note(text="later"), timeout_s=60) == 2


async def test_a_normal_end_of_a_permanent_child_restarts_its_siblings_too(autojump_clock: MockClock) -> None:
    """As in OTP, the strategy follows whatever made the restart necessary."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ALL,
            children=[part("a", world), part("b", world)],
        )
        world.log.clear()
        system.get("a").tell(Quit())
        await recorder.wait_for(ActorStarted, actor="b", incarnation=2)
        assert world.log == ["stop a", "stop b", "start a", "start b"]


async def test_a_temporary_sibling_does_not_come_back_from_a_restart_of_all(
    autojump_clock: MockClock,
) -> None:
    """It is taken down with the others and stays away."""
    async with stage() as (system, world, _):
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ALL,
            children=[part("a", world), part("t", world, restart=Restart.TEMPORARY), part("c", world)],
        )
        world.log.clear()
        system.get("a").tell(Crash())
        await trio.sleep(1)
        assert world.log == ["stop c", "stop t", "start a", "start c"]
        assert status(system, "t") is None


async def test_the_failure_of_a_temporary_child_leaves_its_siblings_alone(autojump_clock: MockClock) -> None:
    """A child that is not restarted takes nobody with it."""
    async with stage() as (system, world, _):
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ALL,
            children=[part("t", world, restart=Restart.TEMPORARY), part("b", world)],
        )
        world.log.clear()
        system.get("t").tell(Crash())
        await trio.sleep(1)
        assert world.log == []


async def test_an_earlier_failure_takes_over_a_restart_that_waits(autojump_clock: MockClock) -> None:
    """A dependant that can't start does not hold up what it depends on (rest for one)."""
    async with stage() as (system, world, recorder):
        forever = Backoff(initial_s=1000, cap_s=1000, jitter=0)
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.REST_FOR_ONE,
            children=[part("a", world), part("b", world, backoff=forever), part("c", world)],
        )
        system.get("b").tell(Lose())
        await recorder.wait_for(ActorRestarting, actor="b")
        await wait_all_tasks_blocked()
        world.log.clear()
        before = trio.current_time()
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="c", incarnation=2)
        assert world.log == ["start a", "start b", "start c"]
        assert trio.current_time() == before


async def test_a_child_that_fails_while_later_ones_start_begins_the_restart_anew(
    autojump_clock: MockClock,
) -> None:
    """A start that takes long is let come to its end within the child's deadline, then all start again."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ALL,
            children=[part("a", world), part("b", world), part("c", world)],
        )
        world.slow_start_s["b"] = 2
        world.log.clear()
        system.get("c").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="a", incarnation=2)
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="c", incarnation=2, timeout_s=30)
        assert world.log == [
            *("stop b", "stop a", "start a", "start b"),
            *("stop b", "start a", "start b", "start c"),
        ]


async def test_a_start_that_hangs_is_cut_when_an_earlier_child_fails(autojump_clock: MockClock) -> None:
    """After that child's deadline; the cut start is no failure, and all start again."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ALL,
            intensity=2,
            children=[part("a", world), part("b", world, stop_timeout_s=2)],
        )
        world.slow_start_s["b"] = 10_000
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="a", incarnation=2)
        before = trio.current_time()
        system.get("a").tell(Crash())
        await trio.sleep(1)
        world.slow_start_s.clear()
        await recorder.wait_for(ActorStarted, actor="b", incarnation=3)
        assert trio.current_time() - before == 2
        assert status(system, "sup").restarts == 0


async def test_a_start_that_fails_while_a_new_restart_takes_over_is_not_stopped(
    autojump_clock: MockClock,
) -> None:
    """What never started gets no `on_stop`, and its failure does not count."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ALL,
            intensity=2,
            children=[part("a", world), part("b", world)],
        )
        world.slow_start_s["b"] = 1
        world.bad_starts["b"] = 1
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="a", incarnation=2)
        world.log.clear()
        system.get("a").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="b", incarnation=3)
        assert world.log == ["bad start b", "start a", "start b"]
        assert status(system, "sup").restarts == 0


async def test_two_failures_at_once_are_one_restart_of_all(autojump_clock: MockClock) -> None:
    """A sibling that fails while it is being taken down does not count (OTP absorbs its exit)."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor,
            name="sup",
            strategy=Strategy.ONE_FOR_ALL,
            intensity=1,
            children=[part("a", world), part("b", world)],
        )
        system.get("a").tell(Crash())
        system.get("b").tell(Crash())
        await trio.sleep(1)
        assert recorder.all_of(ActorEscalated) == []
        assert [each.incarnation for each in supervisor(system).list_children()] == [2, 2]


async def test_death_watch_tells_of_the_end_for_good_and_not_of_restarts(autojump_clock: MockClock) -> None:
    """A watcher hears once, with the reason, after however many restarts, and however often it asked."""
    async with stage() as (system, world, _):
        heard = Recorder()
        probe = await system.spawn(Probe, name="probe", recorder=heard)
        await system.spawn(Supervisor, name="sup", children=[part("a", world, restart=Restart.TRANSIENT)])
        await probe.ask_async(WatchFor(actor="a"), timeout_s=5)
        await probe.ask_async(WatchFor(actor="a"), timeout_s=5)
        system.get("a").tell(Crash())
        await trio.sleep(1)
        assert heard.everything == []
        await supervisor(system).terminate_child("a")
        assert (await heard.wait_for(Terminated)).actor == "a"
        assert len(heard.everything) == 1


class Tell(Message[None]):
    """Have a `Teller` fail in its background task."""


class Teller(Actor):
    """Fails in a background task."""

    def tell_it(self, message: Tell) -> None:
        """Start the task."""
        del message
        self.start_task(self._fail)

    async def _fail(self) -> None:
        msg = "in the background"
        raise ValueError(msg)


async def test_a_failing_background_task_is_a_failure(autojump_clock: MockClock) -> None:
    """The child is restarted, and its status names the error."""
    async with stage() as (system, _, recorder):
        await system.spawn(Supervisor, name="sup", children=[ChildSpec(name="t", actor=Teller)])
        system.get("t").tell(Tell())
        await recorder.wait_for(ActorStarted, actor="t", incarnation=2)
        assert status(system, "t").last_failure == "ValueError: in the background"
        assert status(system, "t").restarts == 1
