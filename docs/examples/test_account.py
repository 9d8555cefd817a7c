"""Tests of an account: rules, restarts, a bad disk, crashes everywhere, and time."""

from contextlib import suppress

import pytest
import trio
from account import Account, Deposit, GetBalance, Pay
from trio.testing import wait_all_tasks_blocked

from understudy import Actor, ActorSystem, Message, OutcomeUnknown, Refused, UnderstudyError
from understudy.supervision.testing import (
    CheckedSystem,
    MemoryFiles,
    Probe,
    Recorder,
    VirtualClock,
    assert_conforms,
    crash_everywhere,
    run_simulated,
)


@pytest.mark.trio
async def test_more_than_there_is_can_not_be_paid() -> None:
    """A refusal changes nothing. The system checks that only events change the state."""
    async with CheckedSystem("/home", files=MemoryFiles(), inline=True) as system:
        account = await system.spawn(Account, name="alice")
        with pytest.raises(Refused, match="at most 0 cents"):
            await account.ask_async(Pay(cents=1, to="bob"))
        assert await account.ask_async(GetBalance()) == 0


class Payee(Probe):
    """A probe that takes deposits."""

    def deposit(self, message: Deposit) -> None:
        self.on_receive(message)


@pytest.mark.trio
async def test_a_payment_reaches_its_receiver() -> None:
    """A probe in the receiver's place records what it is told, and the wait for it is bounded."""
    recorder = Recorder()
    async with ActorSystem("/home", files=MemoryFiles(), inline=True) as system:
        await system.spawn(Payee, name="bob", recorder=recorder)
        account = await system.spawn(Account, name="alice")
        await account.ask_async(Deposit(cents=5))
        await account.ask_async(Pay(cents=2, to="bob"))
        assert await recorder.wait_for(Deposit) == Deposit(cents=2)


@pytest.mark.trio
async def test_what_was_acknowledged_survives_a_power_failure() -> None:
    """A disk that forgets everything that was not synced."""
    disk = MemoryFiles()
    async with ActorSystem("/home", files=disk, inline=True) as system:
        account = await system.spawn(Account, name="alice")
        await account.ask_async(Deposit(cents=5))
    disk.power_failure()
    async with ActorSystem("/home", files=disk, inline=True) as system:
        account = await system.spawn(Account, name="alice")
        assert await account.ask_async(GetBalance()) == 5


@pytest.mark.trio
async def test_a_deposit_of_unknown_outcome_counts_once() -> None:
    """The sync fails, somebody resumes, the caller asks again with the same key."""
    disk = MemoryFiles()
    async with ActorSystem("/home", files=disk, inline=True) as system:
        account = await system.spawn(Account, name="alice")
        disk.fail_next_append("alice")
        with pytest.raises(OutcomeUnknown):
            await account.ask_async(Deposit(cents=5), key="gift-1")
        await system.resume("alice")
        assert await account.ask_async(Deposit(cents=5), key="gift-1") == 5


class Salary:
    """A story: money comes in at one account and goes on to another."""

    def __init__(self) -> None:
        self.told: set[str] = set()

    async def live(self, system: ActorSystem) -> None:
        for name in ("bob", "alice"):
            await system.spawn(Account, name=name)
        for month in ("june", "july"):
            for key, message in (("in", Deposit(cents=5)), ("out", Pay(cents=2, to="bob"))):
                with suppress(UnderstudyError):  # the power has gone
                    await system.get("alice").ask_async(message, key=f"{month}-{key}")
                    self.told.add(f"{month}-{key}")

    async def check(self, system: ActorSystem) -> None:
        told_before = len(self.told)
        await self.live(system)
        assert len(self.told) == 4 >= told_before
        assert await system.get("alice").ask_async(GetBalance()) == 6
        await wait_all_tasks_blocked()
        assert await system.get("bob").ask_async(GetBalance()) == 4


def test_no_crash_loses_or_doubles_a_payment() -> None:
    """The power goes at each operation on the disk, and once more in the recovery."""
    assert crash_everywhere(Salary).crashes > 100


def test_an_account_conforms() -> None:
    """What must hold of every persistent actor: see the reference."""
    assert_conforms(Account, [Deposit(cents=5), Pay(cents=9, to="bob"), Deposit(cents=-1)])


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


async def a_day() -> int:
    """How often the alarm rings."""
    recorder = Recorder()
    async with ActorSystem("/home", files=MemoryFiles(), clock=VirtualClock(), inline=True) as system:
        await system.spawn(Probe, name="listener", recorder=recorder)
        await system.spawn(Alarm, name="alarm", listener="listener")
        await trio.sleep(24 * 3600 + 1)
        return len(recorder.all_of(Ring))


def test_the_alarm_rings_every_hour() -> None:
    """On a virtual clock a day takes no time, journals and all."""
    assert run_simulated(a_day) == 24
