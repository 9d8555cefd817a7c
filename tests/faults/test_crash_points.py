"""A whole system crashed at every operation on its disk: nothing acknowledged is lost, nothing doubles.

The power goes at operation n (a write is torn in its middle), what was not synced is forgotten, and
the system starts again; then the same callers ask again with the same keys. The same check is pointed
at a system that does not sync and at one that answers before it syncs, and has to catch both.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
import trio

from tests.unit.supervision.bank import Account, Balance, Deposit, FailLate, Pay, Read, until_reads
from understudy import ActorSystem, Message, Settings
from understudy.protocols.errors import UnderstudyError
from understudy.supervision.testing.files import FaultyFiles

SETTINGS = Settings(snapshot_bytes=1024, segment_bytes=4096, flush_timeout_s=1)
DEPOSITS = 8
PAYMENTS = 12


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A crashing disk is logged; that need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


@dataclass
class Told:
    """The replies that callers got, by key."""

    replies: dict[str, Balance] = field(default_factory=dict[str, Balance])


async def callers(system: ActorSystem, told: Told) -> None:
    """Two accounts; money goes into `a` and from there to `b`. Every ask has a key, and may fail."""

    async def ask(name: str, key: str, message: Message[Balance]) -> None:
        with suppress(UnderstudyError):
            reply = await system.get(name).ask_async(message, key=key, timeout_s=5)
            assert told.replies.setdefault(key, reply) == reply, f"{key}: another reply than before"

    async with trio.open_nursery() as nursery:
        for number in range(DEPOSITS):
            nursery.start_soon(ask, "a", f"deposit-{number}", Deposit(cents=100))
    for number in range(PAYMENTS):
        await ask("a", f"pay-{number}", Pay(cents=1, to="b"))
        if number % 5 == 0:
            with suppress(ValueError, UnderstudyError):
                await system.get("a").ask_async(FailLate(to="b"), timeout_s=5)


async def live(home: Path, files: FaultyFiles, told: Told) -> None:
    """Open the accounts and let the callers at them."""
    async with ActorSystem(home, files=files, settings=SETTINGS) as system:
        await system.spawn(Account, name="b")
        await system.get("b").ask_async(Deposit(cents=5), key="opening", timeout_s=5)
        await system.spawn(Account, name="a")
        await callers(system, told)


def make(root: Path) -> Path:
    """`root`, made."""
    root.mkdir()
    return root


async def check(root: Path, crash_at: int | None, survivors: int | None) -> int:
    """Live until the crash, recover, finish the work; returns how many operations there were."""
    files, told = FaultyFiles(make(root)), Told()
    if crash_at is not None:
        files.crash_at(crash_at)
    with suppress(OSError, UnderstudyError), trio.fail_after(20):
        await live(root / "home", files, told)
    operations = len(files.operations)
    files.power_failure(None if survivors is None else Random(f"{crash_at}-{survivors}"))
    files.heal()
    with trio.fail_after(20):
        await finish(root / "home", files, told)
    return operations


async def finish(home: Path, files: FaultyFiles, told: Told) -> None:
    """Recover twice; the first time finish the work. What was told before is told again the same."""
    wanted = Balance(cents=DEPOSITS * 100 - PAYMENTS, turns=DEPOSITS + PAYMENTS)
    async with ActorSystem(home, files=files, settings=SETTINGS) as system:
        # `a` first this time: it sends again before `b` runs.
        await system.spawn(Account, name="a")
        before = await system.get("a").ask_async(Read())
        acknowledged = sum(1 for key in told.replies if not key.startswith("opening"))
        assert before.turns >= acknowledged, "an acknowledged turn is lost"
        await system.spawn(Account, name="b")
        await system.get("b").ask_async(Deposit(cents=5), key="opening")
        await callers(system, told)
        assert await system.get("a").ask_async(Read()) == wanted
        assert (await until_reads(system, "b", 5 + PAYMENTS)).turns == 1 + PAYMENTS
        assert not system.status().halted
    async with ActorSystem(home, files=files, settings=SETTINGS) as system:
        for name in ("a", "b"):
            await system.spawn(Account, name=name)
        assert await system.get("a").ask_async(Read()) == wanted
        assert await system.get("b").ask_async(Read()) == Balance(cents=5 + PAYMENTS, turns=1 + PAYMENTS)


@pytest.mark.req("JR-2")
@pytest.mark.req("JR-4")
@pytest.mark.rule("T1")
@pytest.mark.rule("J1")
@pytest.mark.rule("J2")
@pytest.mark.parametrize("survivors", [None, 1, 2])
async def test_nothing_acknowledged_is_lost_or_doubled_by_a_crash_at_any_operation(
    tmp_path: Path, survivors: int | None
) -> None:
    """Each operation of the scenario, with nothing or something of the unsynced surviving."""
    operations = await check(tmp_path / "whole", None, None)
    assert operations > 60
    for number in range(1, operations + 1):
        try:
            await check(tmp_path / str(number), number, survivors)
        except BaseException as error:
            error.add_note(f"crashed at operation {number} of {operations}, survivors {survivors}")
            raise


async def check_some(root: Path) -> None:
    """The check, at every third operation."""
    operations = await check(root / "whole", None, None)
    for number in range(10, operations + 1, 3):
        await check(root / str(number), number, None)


@pytest.mark.rule("J1")
@pytest.mark.parametrize("broken", ["no fdatasync", "answers before the fdatasync"])
async def test_the_check_catches_a_writer_that_does_not_sync_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """A test that can't fail proves nothing."""
    real: Callable[[FaultyFiles, int], None] = FaultyFiles.fdatasync
    late: list[tuple[FaultyFiles, int]] = []

    def skip(files: FaultyFiles, fd: int) -> None:
        if broken == "answers before the fdatasync":
            # What was written before is synced now, and this one with the next.
            if late:
                with suppress(OSError, KeyError):  # closed meanwhile
                    real(*late.pop())
            late.append((files, fd))

    monkeypatch.setattr(FaultyFiles, "fdatasync", skip)
    with pytest.raises((AssertionError, ExceptionGroup, UnderstudyError, trio.TooSlowError)):
        await check_some(tmp_path)
