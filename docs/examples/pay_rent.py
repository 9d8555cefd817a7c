"""Step 4: pay once, however often it is asked for. With the word `crash` the answer is lost."""

import os
import signal
import sys

import trio
from account import Account, Pay

from understudy import ActorSystem


async def main() -> None:
    async with ActorSystem("bank") as system:
        await system.spawn(Account, name="bob")
        alice = await system.spawn(Account, name="alice")
        rent = Pay(cents=400, to="bob")
        balance = await alice.ask_async(rent, key="rent-november")
        if "crash" in sys.argv:
            os.kill(os.getpid(), signal.SIGKILL)
        print("paid; alice has", balance)


trio.run(main)
