"""Tests of an account: rules, restarts, a bad disk, a power failure, and time."""

from pathlib import Path

import pytest
import trio
from account import Account, Deposit, GetBalance, Pay
from trio.testing import MockClock

from understudy import Actor, ActorSystem, Message, OutcomeUnknown, Refused
from understudy.supervision.testing.clock import VirtualClock
from understudy.supervision.testing.files import FaultyFiles
from understudy.supervision.testing.probe import Probe, Recorder

pytestmark = pytest.mark.trio


async def test_more_than_there_is_can_not_be_paid(tmp_path: Path) -> None:
    """A refusal changes nothing."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="alice")
        with pytest.raises(Refused, match="at most 0 cents"):
            await account.ask_async(Pay(cents=1, to="bob"))
        assert await account.ask_async(GetBalance()) == 0


class Payee(Probe):
    """A probe that takes deposits."""

    def deposit(self, message: Deposit) -> None:
        self.on_receive(message)


async def test_a_payment_reaches_its_receiver(tmp_path: Path) -> None:
    """A probe in the receiver's place records what it is told, and the wait for it is bounded."""
    recorder = Recorder()
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Payee, name="bob", recorder=recorder)
        account = await system.spawn(Account, name="alice")
        await account.ask_async(Deposit(cents=5))
        await account.ask_async(Pay(cents=2, to="bob"))
        assert await recorder.wait_for(Deposit) == Deposit(cents=2)


async def test_what_was_acknowledged_survives_a_power_failure(tmp_path: Path) -> None:
    """A disk that forgets everything that was not synced."""
    disk = FaultyFiles(tmp_path)
    async with ActorSystem(tmp_path / "home", files=disk) as system:
        account = await system.spawn(Account, name="alice")
        await account.ask_async(Deposit(cents=5))
    disk.power_failure()
    async with ActorSystem(tmp_path / "home", files=disk) as system:
        account = await system.spawn(Account, name="alice")
        assert await account.ask_async(GetBalance()) == 5


async def test_a_deposit_of_unknown_outcome_counts_once(tmp_path: Path) -> None:
    """The sync fails, somebody resumes, the caller asks again with the same key."""
    disk = FaultyFiles(tmp_path)
    async with ActorSystem(tmp_path / "home", files=disk) as system:
        account = await system.spawn(Account, name="alice")
        disk.fail("fdatasync")
        with pytest.raises(OutcomeUnknown):
            await account.ask_async(Deposit(cents=5), key="gift-1")
        await system.resume("alice")
        assert await account.ask_async(Deposit(cents=5), key="gift-1") == 5


class Ring(Message[None]):
    """From the clock's own timer."""


class Alarm(Actor):
    """Tells `listener` every hour."""

    def __init__(self, *, listener: str) -> None:
        super().__init__()
        self.listener = listener

    def on_start(self) -> None:
        self.start_timer("hour", Ring(), period_s=3600)

    def ring(self, message: Ring) -> None:
        self.send(self.listener, message)


async def test_the_alarm_rings_every_hour(autojump_clock: MockClock) -> None:
    """Under a virtual clock a day takes no time; no journals here, since their threads would not be seen."""
    del autojump_clock  # asking for it is enough
    recorder = Recorder()
    async with ActorSystem(clock=VirtualClock()) as system:
        await system.spawn(Probe, name="listener", recorder=recorder)
        await system.spawn(Alarm, name="alarm", listener="listener")
        await trio.sleep(24 * 3600 + 1)
        assert len(recorder.all_of(Ring)) == 24
