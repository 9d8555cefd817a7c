"""An order in steps: reserve, charge, ship. It goes on after a crash between any two of them."""

import os
import signal
import sys
from typing import Literal

import trio
from pydantic import BaseModel

from understudy import ActorSystem, Event, Message, PersistentActor, Refused
from understudy.protocols.delivery import DeliveryFailed


class PlaceOrder(Message[None]):
    order: str
    cents: int


class Reserve(Message[None]):
    order: str


class Release(Message[None]):
    order: str


class Charge(Message[None]):
    order: str
    cents: int


class StepDone(Message[None]):
    order: str
    step: Literal["reserved", "charged"]


class GetOrders(Message[tuple[str, ...]]):
    """Reads only."""


class Placed(Event):
    order: str
    cents: int


class Moved(Event):
    order: str
    to: Literal["reserved", "shipped", "canceled"]


class Order(BaseModel):
    cents: int
    at: str = "placed"


class Orders(BaseModel):
    orders: dict[str, Order] = {}


class Shop(PersistentActor[Orders]):
    """Takes each order from step to step."""

    def place_order(self, message: PlaceOrder) -> None:
        if message.order not in self.state.orders:
            self.emit(Placed(order=message.order, cents=message.cents))
            self.send("stock", Reserve(order=message.order))

    def step_done(self, message: StepDone) -> None:
        if message.step == "charged":
            self.emit(Moved(order=message.order, to="shipped"))
            return
        self.emit(Moved(order=message.order, to="reserved"))
        cents = self.state.orders[message.order].cents
        self.send("bank", Charge(order=message.order, cents=cents))

    def step_refused(self, message: DeliveryFailed) -> None:
        refused = (Reserve if message.actor == "stock" else Charge).model_validate_json(message.body)
        self.emit(Moved(order=refused.order, to="canceled"))
        if message.actor == "bank":
            self.send("stock", Release(order=refused.order))

    def get_orders(self, _message: GetOrders) -> tuple[str, ...]:
        return tuple(f"{name} {order.at}" for name, order in self.state.orders.items())

    def placed(self, event: Placed) -> None:
        self.state.orders[event.order] = Order(cents=event.cents)

    def moved(self, event: Moved) -> None:
        self.state.orders[event.order].at = event.to


class Reserved(Event):
    order: str


class Released(Event):
    order: str


class Shelf(BaseModel):
    reserved: list[str] = []


class Stock(PersistentActor[Shelf]):
    """Has room for three orders."""

    def reserve(self, message: Reserve) -> None:
        if len(self.state.reserved) == 3:
            raise Refused("sold out")
        self.emit(Reserved(order=message.order))
        self.send("shop", StepDone(order=message.order, step="reserved"))

    def release(self, message: Release) -> None:
        self.emit(Released(order=message.order))

    def reserved(self, event: Reserved) -> None:
        self.state.reserved.append(event.order)

    def released(self, event: Released) -> None:
        self.state.reserved.remove(event.order)


class Charged(Event):
    cents: int


class Account(BaseModel):
    cents: int = 100


class Bank(PersistentActor[Account]):
    """Has one customer, with one euro."""

    def charge(self, message: Charge) -> None:
        if message.cents > self.state.cents:
            raise Refused(f"expected at most {self.state.cents} cents, got {message.cents}")
        self.emit(Charged(cents=message.cents))
        self.send("shop", StepDone(order=message.order, step="charged"))

    def charged(self, event: Charged) -> None:
        self.state.cents -= event.cents


async def main() -> None:
    async with ActorSystem("shop") as system:
        await system.spawn(Stock, name="stock")
        await system.spawn(Bank, name="bank")
        shop = await system.spawn(Shop, name="shop")
        for order, cents in (("lamp", 80), ("sofa", 50_000), ("cup", 20)):
            await shop.ask_async(PlaceOrder(order=order, cents=cents))
            if "crash" in sys.argv:
                os.kill(os.getpid(), signal.SIGKILL)
        while any(not each.endswith(("shipped", "canceled")) for each in await shop.ask_async(GetOrders())):
            await trio.sleep(0.01)
        print(*await shop.ask_async(GetOrders()), sep="\n")


if __name__ == "__main__":
    trio.run(main)
