"""A whole system crashed at every operation on its disk: nothing acknowledged is lost, nothing doubles.

The power goes at operation n (a write is torn in its middle), what was not synced is forgotten, and
the system starts again, is mostly crashed a second time, and starts again; then the same callers ask
again with the same keys. The same check is pointed at a system that does not sync and at one that
answers before it syncs, and has to catch both.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from tests.unit.supervision.bank import Account, Balance, Deposit, FailLate, Pay, Read, until_reads
from understudy import ActorSystem, Message
from understudy.protocols.errors import UnderstudyError
from understudy.supervision.testing.crashes import crash_everywhere
from understudy.supervision.testing.files import MemoryFiles

DEPOSITS = 8
PAYMENTS = 12


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A crashing disk is logged; that need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


class Payments:
    """Two accounts; money goes into `a` and from there to `b`. Every ask has a key, and may fail."""

    def __init__(self) -> None:
        self.told: dict[str, Balance] = {}

    async def live(self, system: ActorSystem) -> None:
        """Open the accounts and let the callers at them."""
        await system.spawn(Account, name="b")
        await system.get("b").ask_async(Deposit(cents=5), key="opening", timeout_s=5)
        await system.spawn(Account, name="a")
        await self.callers(system)

    async def callers(self, system: ActorSystem) -> None:
        """Everybody asks; a reply that was had before has to be had again."""

        async def ask(name: str, key: str, message: Message[Balance]) -> None:
            with suppress(UnderstudyError):
                reply = await system.get(name).ask_async(message, key=key, timeout_s=5)
                assert self.told.setdefault(key, reply) == reply, f"{key}: another reply than before"

        async with trio.open_nursery() as nursery:
            for number in range(DEPOSITS):
                nursery.start_soon(ask, "a", f"deposit-{number}", Deposit(cents=100))
        for number in range(PAYMENTS):
            await ask("a", f"pay-{number}", Pay(cents=1, to="b"))
            if number % 5 == 0:
                with suppress(ValueError, UnderstudyError):
                    await system.get("a").ask_async(FailLate(to="b"), timeout_s=5)

    async def check(self, system: ActorSystem) -> None:
        """Recover and finish the work. What was told before is told again the same."""
        wanted = Balance(cents=DEPOSITS * 100 - PAYMENTS, turns=DEPOSITS + PAYMENTS)
        # `a` first this time: it sends again before `b` runs.
        await system.spawn(Account, name="a")
        before = await system.get("a").ask_async(Read())
        assert before.turns >= len(self.told), "an acknowledged turn is lost"
        await system.spawn(Account, name="b")
        await system.get("b").ask_async(Deposit(cents=5), key="opening")
        await self.callers(system)
        assert await system.get("a").ask_async(Read()) == wanted
        assert (await until_reads(system, "b", 5 + PAYMENTS)).turns == 1 + PAYMENTS
        assert not system.status().halted


@pytest.mark.req("JR-2")
@pytest.mark.req("JR-4")
@pytest.mark.rule("T1")
@pytest.mark.rule("J1")
@pytest.mark.rule("J2")
@pytest.mark.parametrize("survivors", [None, 1, 2])
def test_nothing_acknowledged_is_lost_or_doubled_by_a_crash_at_any_operation(survivors: int | None) -> None:
    """Each operation of the scenario, with nothing or something of the unsynced surviving."""
    done = crash_everywhere(Payments, survivors=[survivors])
    assert len(done.operations) > 60
    assert done.crashes == 2 * len(done.operations)


class NeverSynced(MemoryFiles):
    """A disk on which nobody waits for an fdatasync."""

    def fdatasync(self, fd: int) -> None:
        """Nothing."""


class SyncedLate(MemoryFiles):
    """Each fdatasync does the work of the one before."""

    late: int | None = None

    def fdatasync(self, fd: int) -> None:
        """What was written before is synced now, and this one with the next."""
        if self.late is not None:
            with suppress(OSError, KeyError):  # closed meanwhile
                super().fdatasync(self.late)
        self.late = fd


@pytest.mark.rule("J1")
@pytest.mark.parametrize("files", [NeverSynced, SyncedLate])
def test_the_check_catches_a_writer_that_does_not_sync_in_time(files: type[MemoryFiles]) -> None:
    """A test that can't fail proves nothing."""
    with pytest.raises((AssertionError, ExceptionGroup, UnderstudyError, trio.TooSlowError)) as caught:
        crash_everywhere(Payments, survivors=[None], files=files)
    assert "repeat with crash_everywhere(" in caught.value.__notes__[-1]
