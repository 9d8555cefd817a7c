"""A disk without room, and what an actor does about it. The faulty disk is one for tests."""

import logging
from pathlib import Path

import trio
from account import Account, Deposit

from understudy import ActorHalted, ActorSystem, OutcomeUnknown
from understudy.supervision.testing.files import FaultyFiles


async def main() -> None:
    disk = FaultyFiles(Path.cwd())
    async with ActorSystem("full", files=disk) as system:
        account = await system.spawn(Account, name="alice")
        print("balance:", await account.ask_async(Deposit(cents=100)))

        disk.space_bytes = 0
        try:
            await account.ask_async(Deposit(cents=100), key="gift-1")
        except OutcomeUnknown as error:
            print("unknown:", error)
        try:
            await account.ask_async(Deposit(cents=1))
        except ActorHalted as error:
            print("halted:", error)
        for halt in system.status().halted:
            print(f"{halt.actor} needs you: {halt.advice}")

        disk.heal()  # somebody deletes old films
        await system.resume("alice")
        print("balance:", await account.ask_async(Deposit(cents=100), key="gift-1"))


logging.getLogger("understudy").setLevel(logging.CRITICAL)  # what is logged as an error is printed here
trio.run(main)
