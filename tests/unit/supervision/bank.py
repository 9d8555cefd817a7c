"""Persistent actors for the tests of turns: accounts that pay each other, and a log of what they saw."""

from __future__ import annotations

from typing import Any

import trio
from pydantic import BaseModel

from understudy import (
    Actor,
    ActorSystem,
    DeliveryFailed,
    Event,
    Frozen,
    Message,
    PersistentActor,
    Refused,
)


class Balance(Frozen):
    cents: int
    turns: int = 0


class Deposit(Message[Balance]):
    """Add; refused when not positive."""

    cents: int


class Pay(Message[Balance]):
    """Take from here and send to another account, in one turn."""

    cents: int
    to: str


class Read(Message[Balance]):
    """The balance."""


class FailEarly(Message[None]):
    """Fail before the first emit."""


class FailLate(Message[None]):
    """Fail after an emit and a send."""

    to: str = ""


class RefuseLate(Message[None]):
    """Refuse after an emit."""


class Slow(Message[Balance]):
    """An async turn: emit, wait, emit."""

    cents: int
    wait_s: float = 0.01


class Poison(Message[None]):
    """Fails each time that it is handled."""


class SendPoison(Message[None]):
    to: str


class BadReply(Message[Any]):
    """Answer with something that can be neither copied nor encoded."""


class Plan(Message[tuple[str, ...]]):
    """Read the notes."""


class Deposited(Event):
    cents: int


class Noted(Event):
    text: str


class AccountState(BaseModel):
    cents: int = 0
    turns: int = 0
    notes: list[str] = []


class Account(PersistentActor[AccountState]):
    """Money that must not be lost or doubled."""

    def deposit(self, message: Deposit) -> Balance:
        if message.cents <= 0:
            msg = f"expected a positive amount, got {message.cents}"
            raise Refused(msg)
        self.emit(Deposited(cents=message.cents))
        return self.balance()

    def pay(self, message: Pay) -> Balance:
        self.emit(Deposited(cents=-message.cents))
        self.send(message.to, Deposit(cents=message.cents))
        return self.balance()

    def read(self, _message: Read) -> Balance:
        return self.balance()

    def plan(self, _message: Plan) -> tuple[str, ...]:
        return tuple(self.state.notes)

    def fail_early(self, _message: FailEarly) -> None:
        msg = "early"
        raise ValueError(msg)

    def fail_late(self, message: FailLate) -> None:
        self.emit(Deposited(cents=1_000_000))
        if message.to:
            self.send(message.to, Deposit(cents=1_000_000))
        msg = "late"
        raise ValueError(msg)

    def refuse_late(self, _message: RefuseLate) -> None:
        self.emit(Deposited(cents=1_000_000))
        msg = "no, after all"
        raise Refused(msg)

    async def slow(self, message: Slow) -> Balance:
        self.emit(Deposited(cents=message.cents))
        await trio.sleep(message.wait_s)
        self.emit(Noted(text="slow"))
        return self.balance()

    def poison(self, _message: Poison) -> None:
        self.emit(Noted(text="poisoned"))
        msg = "poison"
        raise ValueError(msg)

    def send_poison(self, message: SendPoison) -> None:
        self.send(message.to, Poison())

    def delivery_failed(self, message: DeliveryFailed) -> None:
        self.emit(Noted(text=f"{message.actor} could not take {message.message}: {message.error}"))

    def bad_reply(self, _message: BadReply) -> object:
        self.emit(Deposited(cents=1))
        return (piece for piece in "no")

    def deposited(self, event: Deposited) -> None:
        self.state.cents += event.cents
        self.state.turns += 1

    def noted(self, event: Noted) -> None:
        self.state.notes.append(event.text)

    def balance(self) -> Balance:
        return Balance(cents=self.state.cents, turns=self.state.turns)


class Listener(Actor):
    """A memory actor that is told of deposits."""

    def __init__(self, heard: list[int]) -> None:
        super().__init__()
        self._heard = heard

    def deposit(self, message: Deposit) -> Balance:
        self._heard.append(message.cents)
        return Balance(cents=0)


async def until_reads(system: ActorSystem, name: str, cents: int) -> Balance:
    """The balance of `name`, when it has become `cents`, within 5 seconds."""
    with trio.fail_after(5):
        while (balance := await system.get(name).ask_async(Read())).cents != cents:
            await trio.sleep(0.001)
    return balance
