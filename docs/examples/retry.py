"""A client that asks until it knows."""

import trio
from account import Account, Deposit

from understudy import ActorHalted, ActorRef, ActorSystem, AskTimeout, OutcomeUnknown


async def deposit_once(account: ActorRef[Account], cents: int, key: str) -> int:
    """Deposit, and return the balance; safe to call again with the same key, also after a restart."""
    while True:
        try:
            return await account.ask_async(Deposit(cents=cents), key=key, timeout_s=2)
        except (AskTimeout, OutcomeUnknown, ActorHalted):
            await trio.sleep(1)


async def main() -> None:
    async with ActorSystem("bank") as system:
        account = await system.spawn(Account, name="alice")
        print("balance:", await deposit_once(account, 50, "invoice-19"))


trio.run(main)
