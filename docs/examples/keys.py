"""Idempotency keys: the same question twice, another question, a restart."""

import trio
from account import Account, Deposit

from understudy import ActorSystem, KeyReused, Refused


async def main() -> None:
    async with ActorSystem("bank") as system:
        account = await system.spawn(Account, name="alice")
        for cents in (100, 100, 250):
            try:
                print("answer:", await account.ask_async(Deposit(cents=cents), key="invoice-17"))
            except KeyReused as error:
                print("reused:", error)
        for _ in range(2):
            try:
                await account.ask_async(Deposit(cents=-1), key="invoice-18")
            except Refused as refusal:
                print("refused:", refusal)


trio.run(main)
