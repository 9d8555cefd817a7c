"""Step 1: an actor in memory."""

import trio

from understudy import Actor, ActorSystem, Message


class Deposit(Message[int]):
    cents: int


class Account(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.cents = 0

    def deposit(self, message: Deposit) -> int:
        self.cents += message.cents
        return self.cents


async def main() -> None:
    async with ActorSystem() as system:
        account = await system.spawn(Account, name="alice")
        await account.ask_async(Deposit(cents=200))
        print("balance:", await account.ask_async(Deposit(cents=100)))


trio.run(main)
