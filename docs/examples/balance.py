"""What the accounts hold."""

import trio
from account import Account, GetBalance

from understudy import ActorSystem


async def main() -> None:
    async with ActorSystem("bank") as system:
        for name in system.journal_names():
            account = await system.spawn(Account, name=name)
            print(name, await account.ask_async(GetBalance()))


trio.run(main)
