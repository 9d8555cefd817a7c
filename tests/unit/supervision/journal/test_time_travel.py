"""JR-9 and rule J7: the state as of any kept turn, and what changed between two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from understudy import (
    Actor,
    ActorSystem,
    Event,
    JournalDamaged,
    Message,
    NotPersistent,
    PersistentActor,
    RecordNotUnderstood,
    SeqNotKept,
    UnknownActor,
    diff_states,
    replay_state,
)
from understudy.supervision.files import Files

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.req("JR-9"), pytest.mark.rule("J7")]


class Add(Message[int]):
    number: int


class Added(Event):
    number: int


class Sum(BaseModel):
    total: int = 0
    numbers: list[int] = []
    last_at: float = 0


class Adder(PersistentActor[Sum]):
    """Counts how often it was made: time travel must not run its hooks."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).made += 1

    def add(self, message: Add) -> int:
        self.emit(Added(number=message.number))
        if message.number % 5 == 0:
            self.compact()
        return self.state.total

    def added(self, event: Added) -> None:
        self.state.total += event.number
        self.state.numbers.append(event.number)
        self.state.last_at = self.turn_time


async def test_state_of_a_running_actor_at_every_turn_is_what_it_was_then(tmp_path: Path) -> None:
    """Before, at and after each snapshot; the copy is nobody else's, and the actor is not touched."""
    async with ActorSystem(tmp_path) as system:
        adder = await system.spawn(Adder, name="adder")
        then: list[Sum] = [Sum()]
        for number in range(1, 13):
            await adder.ask_async(Add(number=number))
            live: Any = system.cell("adder")
            then.append(live.actor.state.model_copy(deep=True))
        made = Adder.made
        for seq, state in enumerate(then):
            assert await system.state_at("adder", seq) == state
        copy: Any = await system.state_at("adder", 12)
        copy.numbers.clear()
        assert await system.state_at("adder", 12) == then[12]
        assert Adder.made == made
    for seq, state in enumerate(then):
        assert replay_state(Adder, Files(), tmp_path / "state" / "journals" / "adder", seq) == state


async def test_turn_that_is_not_there_is_refused_with_the_range_that_is(tmp_path: Path) -> None:
    """Beyond the end, below zero; an actor that does not run, or keeps no journal."""
    async with ActorSystem(tmp_path) as system:
        adder = await system.spawn(Adder, name="adder")
        await system.spawn(Actor, name="memory")
        await adder.ask_async(Add(number=1))
        for seq in (-1, 2):
            with pytest.raises(SeqNotKept, match=f"a seq from 0 to 1, which are kept, got {seq}") as raised:
                await system.state_at("adder", seq)
            assert (raised.value.first, raised.value.last) == (0, 1)
        with pytest.raises(UnknownActor):
            await system.state_at("nobody", 1)
        with pytest.raises(NotPersistent):
            await system.state_at("memory", 1)
    with pytest.raises(SeqNotKept, match="from 0 to 1"):
        replay_state(Adder, Files(), tmp_path / "state" / "journals" / "adder", 2)


async def test_damage_is_in_the_way_only_where_it_lies(tmp_path: Path) -> None:
    """The turns before it, and those after a later snapshot, can still be looked at."""
    async with ActorSystem(tmp_path) as system:
        adder = await system.spawn(Adder, name="adder")
        for number in range(1, 9):
            await adder.ask_async(Add(number=number))
    folder = tmp_path / "state" / "journals" / "adder"
    path = next(folder.glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"number":3', b'"number":9'))
    assert replay_state(Adder, Files(), folder, 2).total == 3
    with pytest.raises(JournalDamaged, match="line 3"):
        replay_state(Adder, Files(), folder, 4)
    assert replay_state(Adder, Files(), folder, 8).total == 36


class Leaning(PersistentActor[Sum]):
    """Its method for an event uses more than the state."""

    def __init__(self) -> None:
        super().__init__()
        self._factor = 2

    def add(self, message: Add) -> None:
        self.emit(Added(number=message.number))

    def added(self, event: Added) -> None:
        self.state.total += event.number * self._factor


async def test_method_that_uses_more_than_the_state_is_named(tmp_path: Path) -> None:
    """It works in the actor; without one it can't, and the error says why."""
    async with ActorSystem(tmp_path) as system:
        leaning = await system.spawn(Leaning, name="leaning")
        await leaning.ask_async(Add(number=1))
        with pytest.raises(
            RecordNotUnderstood, match=r"the method for Added of Leaning to use nothing of self"
        ):
            await system.state_at("leaning", 1)


class Part(BaseModel):
    name: str = ""
    cost: float | None = None


class Whole(BaseModel):
    parts: dict[str, Part] = {}
    order: list[str] = []
    note: str | None = None


def test_diff_names_each_changed_place_by_its_path() -> None:
    """Added, removed and other values, inside lists and under names with slashes."""
    before = Whole(parts={"a/b": Part(name="x"), "c": Part()}, order=["a/b", "c"])
    after = Whole(parts={"a/b": Part(name="y"), "d": Part()}, order=["a/b"], note="n")
    assert [(each.path, each.op, each.before, each.after) for each in diff_states(before, after)] == [
        ("/parts/a~1b/name", "replace", "x", "y"),
        ("/parts/c", "remove", {"name": "", "cost": None}, None),
        ("/parts/d", "add", None, {"name": "", "cost": None}),
        ("/order/1", "remove", "c", None),
        ("/note", "replace", None, "n"),
    ]
    assert diff_states(after, after) == []
    nan = Whole(parts={"a": Part(cost=float("nan"))})
    assert diff_states(nan, nan.model_copy(deep=True)) == []
    assert diff_states(nan, Whole(parts={"a": Part(cost=float("inf"))}))[0].path == "/parts/a/cost"
