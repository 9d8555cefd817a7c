"""Step 3: die without a word. SIGKILL can't be caught: nothing is closed, flushed or saved."""

import os
import signal

import trio
from account import Account, Deposit

from understudy import ActorSystem


async def main() -> None:
    async with ActorSystem("bank") as system:
        alice = await system.spawn(Account, name="alice")
        for _ in range(3):
            balance = await alice.ask_async(Deposit(cents=100))
            print("acknowledged:", balance, flush=True)
        alice.tell(Deposit(cents=100))  # nobody waits for this one
        os.kill(os.getpid(), signal.SIGKILL)


trio.run(main)
