"""A till that keeps count. Run it twice: the second run goes on where the first one ended."""

import trio
from pydantic import BaseModel

from understudy import ActorSystem, Event, Message, PersistentActor, Refused


class Sell(Message[int]):
    cents: int


class Sold(Event):
    cents: int


class TillState(BaseModel):
    cents: int = 0


class Till(PersistentActor[TillState]):
    def sell(self, message: Sell) -> int:
        if message.cents <= 0:
            raise Refused(f"expected a price above zero, got {message.cents}")
        self.emit(Sold(cents=message.cents))
        return self.state.cents

    def sold(self, event: Sold) -> None:
        self.state.cents += event.cents


async def main() -> None:
    async with ActorSystem("shop") as system:
        till = await system.spawn(Till, name="till")
        print("in the till, and on disk:", await till.ask_async(Sell(cents=250)))


if __name__ == "__main__":
    trio.run(main)
