"""A purse whose first version counted euros, and whose second one reads what that wrote."""

import sys
from typing import Any, ClassVar

import trio
from pydantic import BaseModel

from understudy import ActorSystem, Event, Message, PersistentActor


class Put(Message[str]):
    amount: int


class Added(Event):  # version 1
    euros: int


class Euros(BaseModel):
    euros: int = 0


class OldPurse(PersistentActor[Euros]):
    def put(self, message: Put) -> str:
        self.emit(Added(euros=message.amount))
        return f"{self.state.euros} euros"

    def added(self, event: Added) -> None:
        self.state.euros += event.euros


class Received(Event):  # version 2: another name, and cents
    version: ClassVar[int] = 2
    was: ClassVar[tuple[str, ...]] = ("Added",)
    cents: int

    @classmethod
    def upcast(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        return {"cents": data["euros"] * 100} if version == 1 else data


class Cents(BaseModel):
    cents: int = 0


class Purse(PersistentActor[Cents]):
    state_version = 2

    @classmethod
    def upcast_state(cls, version: int, data: dict[str, Any]) -> dict[str, Any] | None:
        return {"cents": data["euros"] * 100} if version == 1 else None

    def put(self, message: Put) -> str:
        self.emit(Received(cents=message.amount))
        return f"{self.state.cents} cents"

    def received(self, event: Received) -> None:
        self.state.cents += event.cents


async def main(version: str) -> None:
    async with ActorSystem("purses") as system:
        purse = await system.spawn(OldPurse if version == "1" else Purse, name="purse")
        print(await purse.ask_async(Put(amount=5)))


trio.run(main, sys.argv[1])
