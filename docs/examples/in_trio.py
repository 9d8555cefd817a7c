"""Many callers of one actor, in a program that has a trio loop of its own."""

import logging

import trio
from account import Account, Deposit, GetBalance

from understudy import ActorRef, ActorSystem, AskTimeout, Settings
from understudy.protocols.lifecycle import LifecycleEvent

log = logging.getLogger("bank")


def observe(event: LifecycleEvent) -> None:
    """Called on the loop: log it, count it, don't wait."""
    log.info("%s %s", event.kind, event.actor)


async def pay_in(account: ActorRef[Account], coins: int) -> None:
    for _ in range(coins):
        await account.ask_async(Deposit(cents=1))


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("understudy").setLevel(logging.WARNING)
    async with ActorSystem("bank", settings=Settings(stop_timeout_s=2)) as system:
        system.lifecycle.subscribe(observe)
        account = await system.spawn(Account, name="alice")
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(pay_in, account, 10)
        try:
            print("balance:", await account.ask_async(GetBalance(), timeout_s=5))
        except AskTimeout:
            print("no answer in time")
        (status,) = system.status().actors
        print(f"{status.name} is {status.phase}, {status.watermark} turns on disk")


trio.run(main)
