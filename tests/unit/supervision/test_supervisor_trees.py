"""Supervisors under supervisors: what a restart or a failure of one means for those below it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.unit.supervision.parts import AT_ONCE, Crash, Note, World, part, stage, status
from understudy.protocols import Message
from understudy.protocols.lifecycle import ActorRestarting, ActorStarted
from understudy.supervision.backoff import Backoff
from understudy.supervision.child_spec import ChildSpec
from understudy.supervision.strategy import Strategy
from understudy.supervision.supervisor import Supervisor

pytestmark = pytest.mark.req("RT-6")

SLOW = Backoff(initial_s=10, jitter=0)


class Stumble(Message[None]):
    """Have the supervisor itself fail."""


class Clumsy(Supervisor):
    """A supervisor with a message of its own."""

    def stumble(self, message: Stumble) -> None:
        """See `Stumble`."""
        del message
        msg = "stumbled"
        raise ValueError(msg)


def branch(
    name: str,
    world: World,
    children: str,
    *,
    backoff: Backoff = AT_ONCE,
    stop_timeout_s: float | None = None,
) -> ChildSpec:
    """The spec of a supervisor over parts of these names."""
    specs = [part(child, world, stop_timeout_s=stop_timeout_s) for child in children]
    return ChildSpec(name=name, actor=Clumsy, arguments={"children": specs}, backoff=backoff)


async def test_a_restart_of_all_takes_the_children_of_a_supervisor_down_before_the_wait(
    autojump_clock: MockClock,
) -> None:
    """The grandchildren are stopped with their supervisor and come back with it, mailboxes kept."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor,
            name="outer",
            strategy=Strategy.ONE_FOR_ALL,
            children=[branch("inner", world, "xy"), part("z", world, backoff=SLOW)],
        )
        world.log.clear()
        system.get("z").tell(Crash())
        await recorder.wait_for(ActorRestarting, actor="z")
        await wait_all_tasks_blocked()
        assert world.log == ["stop y", "stop x"]
        assert await system.get("x").ask_async(Note(text="later"), timeout_s=60) == 2
        await wait_all_tasks_blocked()
        assert [entry for entry in world.log[2:] if "later" not in entry] == ["start x", "start y", "start z"]


async def test_a_failed_supervisor_takes_its_children_down_at_once(autojump_clock: MockClock) -> None:
    """Not only when it is started again: nobody looks after them meanwhile."""
    async with stage() as (system, world, recorder):
        await system.spawn(Supervisor, name="outer", children=[branch("inner", world, "xy", backoff=SLOW)])
        world.log.clear()
        system.get("inner").tell(Stumble())
        await recorder.wait_for(ActorRestarting, actor="inner")
        await wait_all_tasks_blocked()
        assert world.log == ["stop y", "stop x"]
        await recorder.wait_for(ActorStarted, actor="inner", incarnation=2, timeout_s=60)
        assert world.log == ["stop y", "stop x", "start x", "start y"]


async def test_hanging_grandchildren_have_their_time_in_a_restart_of_all(autojump_clock: MockClock) -> None:
    """The supervisor over them is not cut before they are, and supervises afterwards as before."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor,
            name="outer",
            strategy=Strategy.ONE_FOR_ALL,
            children=[branch("inner", world, "xy", stop_timeout_s=60), part("z", world)],
        )
        world.hanging.update("xy")
        before = trio.current_time()
        system.get("z").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="z", incarnation=2, timeout_s=600)
        assert trio.current_time() - before == 120
        world.hanging.clear()
        system.get("x").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="x", incarnation=3)


async def test_a_child_that_fails_while_its_supervisor_is_down_comes_back_with_it(
    autojump_clock: MockClock,
) -> None:
    """Its failure is nobody's business then, and it does not count."""
    async with stage() as (system, world, recorder):
        await system.spawn(
            Supervisor, name="outer", intensity=1, children=[branch("inner", world, "xy", backoff=SLOW)]
        )
        system.get("x").tell(Crash())
        system.get("inner").tell(Stumble())
        await recorder.wait_for(ActorStarted, actor="inner", incarnation=2, timeout_s=60)
        assert status(system, "outer").restarts == 0
        assert [status(system, name).phase for name in "xy"] == ["running", "running"]


async def test_the_status_shows_tree_restarts_and_reasons(autojump_clock: MockClock) -> None:
    """Parents come before their children."""
    async with stage() as (system, world, recorder):
        await system.spawn(Supervisor, name="outer", children=[branch("inner", world, "x"), part("z", world)])
        system.get("x").tell(Crash())
        await recorder.wait_for(ActorStarted, actor="x", incarnation=2)
        assert [
            (each.name, each.parent, each.phase, each.restarts, each.last_failure)
            for each in system.status().actors
        ] == [
            ("outer", "root", "running", 0, None),
            ("inner", "outer", "running", 0, None),
            ("z", "outer", "running", 0, None),
            ("x", "inner", "running", 1, "ValueError: told to crash"),
        ]
