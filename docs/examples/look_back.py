"""Time travel: what was on the account after each turn, and what changed in between."""

import trio
from account import Account, Deposit, Pay

from understudy import ActorSystem, diff_states


async def main() -> None:
    async with ActorSystem("bank") as system:
        alice = await system.spawn(Account, name="alice")
        await system.spawn(Account, name="bob")
        await alice.ask_async(Deposit(cents=100))
        await alice.ask_async(Deposit(cents=50))
        await alice.ask_async(Pay(cents=30, to="bob"))
        for seq in range(4):
            print(seq, await system.state_at("alice", seq))
        for change in diff_states(await system.state_at("alice", 1), await system.state_at("alice", 3)):
            print(change.path, change.before, "->", change.after)


trio.run(main)
