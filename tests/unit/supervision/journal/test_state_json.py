"""What a state, an event or a message holds is read again as it was, or refused before it is written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, Field

from understudy import ActorSystem, Event, Message, NotEncodable, PersistentActor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.req("JR-3"), pytest.mark.rule("J6")]


class Put(Message[Any]):
    number: int = 0
    text: str = ""


class Read(Message[Any]):
    """The state."""


class Added(Event):
    number: int
    text: str


class Inner(BaseModel):
    limit: float | None = None


class State(BaseModel):
    limit: float | None = None
    inner: Inner = Inner()
    by_name: dict[str, Inner] = {}
    total: int = Field(default=0, alias="Total")
    default: dict[str, Any] = {"type": "model", "schema": {}}


class Keeper(PersistentActor[State]):
    def put(self, message: Put) -> int:
        self.emit(Added(number=message.number, text=message.text))
        self.compact()
        return len(message.text)

    def read(self, message: Read) -> State:
        del message
        return self.state

    def added(self, event: Added) -> None:
        self.state.limit = math.inf
        self.state.inner.limit = -math.inf
        self.state.by_name["a"] = Inner(limit=math.nan)
        self.state.total += event.number


async def test_infinity_and_aliases_of_a_state_come_back_from_a_snapshot(tmp_path: Path) -> None:
    """Of nested models too; the models' own JSON is as it was."""
    async with ActorSystem(tmp_path) as system:
        keeper = await system.spawn(Keeper, name="keeper")
        await keeper.ask_async(Put(number=7))
    folder = tmp_path / "state" / "journals" / "keeper"
    assert list(folder.glob("snapshot-*.json"))
    async with ActorSystem(tmp_path) as system:
        keeper = await system.spawn(Keeper, name="keeper")
        state = await keeper.ask_async(Read())
    assert (state.limit, state.inner.limit, state.total) == (math.inf, -math.inf, 7)
    assert math.isnan(state.by_name["a"].limit)
    assert Inner(limit=math.inf).model_dump_json() == '{"limit":null}'


async def test_integer_that_could_not_be_read_again_is_refused_at_emit(tmp_path: Path) -> None:
    """The longest that can be read is taken, and so is a text of many digits; nothing was written else."""
    async with ActorSystem(tmp_path) as system:
        keeper = await system.spawn(Keeper, name="keeper")
        await keeper.ask_async(Put(number=10**4299))
        assert await keeper.ask_async(Put(text="1" * 10_000)) == 10_000
        with pytest.raises(NotEncodable, match="expected Added with integers of at most 4300 digits"):
            await keeper.ask_async(Put(number=10**4300))
    async with ActorSystem(tmp_path) as system:
        keeper = await system.spawn(Keeper, name="keeper")
        assert (await keeper.ask_async(Read())).total == 10**4299
