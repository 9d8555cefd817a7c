"""Step 2: an account on disk. Run it twice."""

import trio
from account import Account, Deposit, Pay

from understudy import ActorSystem, Refused


async def main() -> None:
    async with ActorSystem("bank") as system:
        alice = await system.spawn(Account, name="alice")
        print("balance:", await alice.ask_async(Deposit(cents=100)))
        try:
            await alice.ask_async(Pay(cents=1_000_000, to="bob"))
        except Refused as refusal:
            print("refused:", refusal)


trio.run(main)
