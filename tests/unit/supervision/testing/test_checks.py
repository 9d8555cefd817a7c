"""State that is changed without an event is found in the turn in which it happens."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from trio.testing import wait_all_tasks_blocked

from understudy import ActorSystem, Event, Message, PersistentActor
from understudy.supervision.testing.checks import (
    CheckedSystem,
    StateChangedWithoutEvent,
    check_replays,
)
from understudy.supervision.testing.conformance import assert_conforms
from understudy.supervision.testing.files import MemoryFiles


class Add(Message[int]):
    count: int
    sly: bool = False
    late: bool = False


class AddSlowly(Message[int]):
    count: int


class Added(Event):
    count: int


class CounterState(BaseModel):
    count: int = 0
    names: list[str] = []


class Counter(PersistentActor[CounterState]):
    """Counts; when it is told to, not only by events."""

    def add(self, message: Add) -> int:
        self.emit(Added(count=message.count))
        if message.sly:
            self.state.names.append("sly")
        if message.late:
            self.start_task(self.later)
        return self.state.count

    async def add_slowly(self, message: AddSlowly) -> int:
        self.state.count += message.count
        return self.state.count

    async def later(self) -> None:
        """In the background, where there is no turn."""
        self.state.count += 1

    def added(self, event: Added) -> None:
        self.state.count += event.count


def system_of(kind: type[ActorSystem] = CheckedSystem) -> ActorSystem:
    """A system in memory."""
    return kind("/home", files=MemoryFiles(), inline=True)


async def test_a_change_beside_the_event_is_found_in_its_turn() -> None:
    """The error names the handler and the field, and comes again at the end of the block."""
    with pytest.raises(StateChangedWithoutEvent, match=r"state\.names changed in Counter\.add "):  # noqa: PT012 - the block's end raises too
        async with system_of() as system:
            counter = await system.spawn(Counter, name="counter")
            assert await counter.ask_async(Add(count=2)) == 2
            with pytest.raises(StateChangedWithoutEvent) as caught:
                await counter.ask_async(Add(count=1, sly=True))
            assert (caught.value.actor, caught.value.fields) == ("counter", ("names",))


async def test_a_change_in_an_async_handler_is_found() -> None:
    """Without any event at all."""
    async with system_of() as system:
        counter = await system.spawn(Counter, name="counter")
        with pytest.raises(StateChangedWithoutEvent, match=r"state\.count changed in Counter\.add_slowly "):
            await counter.ask_async(AddSlowly(count=1))
        assert isinstance(system, CheckedSystem)
        system.changes.clear()


async def test_a_change_between_turns_is_found_at_the_next_one() -> None:
    """A background task must tell its actor, and not reach into it."""
    async with system_of() as system:
        counter = await system.spawn(Counter, name="counter")
        await counter.ask_async(Add(count=1, late=True))
        await wait_all_tasks_blocked()
        with pytest.raises(StateChangedWithoutEvent, match="between turns"):
            await counter.ask_async(Add(count=1))
        assert isinstance(system, CheckedSystem)
        system.changes.clear()


async def test_a_replay_that_gives_another_state_is_found() -> None:
    """Whatever the system is: memory is compared with the journal."""
    async with system_of(ActorSystem) as system:
        counter = await system.spawn(Counter, name="counter")
        await counter.ask_async(Add(count=3))
        await check_replays(system)
        await counter.ask_async(Add(count=3, sly=True))
        with pytest.raises(
            AssertionError, match=r"state\.names to be what the journal says up to seq 2, \[\]"
        ):
            await check_replays(system)


class Clock(PersistentActor[CounterState]):
    """Answers with what is not in its journal."""

    calls = 0

    def add(self, message: Add) -> int:
        Clock.calls += 1
        self.emit(Added(count=message.count))
        return Clock.calls

    def added(self, event: Added) -> None:
        self.state.count += event.count + Clock.calls


def test_an_actor_whose_state_is_not_what_its_events_say_does_not_conform() -> None:
    """Changed beside the event, or by an event that looks at other things than the state."""
    assert_conforms(Counter, [Add(count=1), Add(count=2)])
    with pytest.raises(StateChangedWithoutEvent, match=r"state\.names"):
        assert_conforms(Counter, [Add(count=1, sly=True)])
    with pytest.raises(AssertionError, match=r"state\.count"):
        assert_conforms(Clock, [Add(count=1), Add(count=2)])
