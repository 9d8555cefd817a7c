"""Files of a home that somebody moves, removes or changes while it is in use (rules H2, J5)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.supervision.bank import Account, Balance, Deposit, Read
from understudy import ActorBlocked, ActorHalted, ActorSystem, JournalDamaged, OutcomeUnknown, Settings
from understudy.supervision.files import Files
from understudy.supervision.testing.journals import SmallSettings, append, make_line, open_journals

FIRST = "0000000000000001-0001.jsonl"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures that a test provokes are logged; they need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


def moved(segment: Path) -> None:
    """As `mv`."""
    segment.rename(segment.with_suffix(".away"))


def replaced(segment: Path) -> None:
    """As `sed -i`: another file of the same bytes."""
    moved(segment)
    shutil.copy(segment.with_suffix(".away"), segment)


def shortened(segment: Path) -> None:
    """As `truncate -s -1`."""
    os.truncate(segment, segment.stat().st_size - 1)


def lengthened(segment: Path) -> None:
    """As `echo >>`."""
    with segment.open("ab") as file:
        file.write(b"\n")


def put_back(segment: Path) -> None:
    """The file that was moved has its name again."""
    away = segment.with_suffix(".away")
    if away.exists():
        away.replace(segment)


@pytest.mark.req("JR-8")
@pytest.mark.rule("J5")
async def test_nothing_is_acknowledged_that_went_to_a_removed_file(tmp_path: Path) -> None:
    """The writes and syncs succeed, and nobody will ever read what they wrote."""
    home = tmp_path / "home"
    async with ActorSystem(home) as system:
        account = await system.spawn(Account, name="a")
        await account.ask_async(Deposit(cents=1))
        shutil.rmtree(home)
        with pytest.raises(OutcomeUnknown, match="the segment that is written was moved or removed"):
            await account.ask_async(Deposit(cents=2))
        with pytest.raises(ActorHalted):
            await account.ask_async(Deposit(cents=3))


@pytest.mark.req("JR-8")
@pytest.mark.rule("J5")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (moved, "moved or removed: put it back"),
        (replaced, "got another file: put the first one back"),
        (lengthened, r"expected a segment of \d+ bytes, got \d+"),
    ],
)
async def test_a_segment_that_is_changed_by_hand_halts_its_actor_until_it_is_whole_again(
    tmp_path: Path, change: Callable[[Path], None], told: str
) -> None:
    """Found by the next turn, before it is acknowledged. Put back, a resume has all that was."""
    segment = tmp_path / "state/journals/a" / FIRST
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        await account.ask_async(Deposit(cents=1))
        change(segment)
        with pytest.raises(OutcomeUnknown, match=told):
            await account.ask_async(Deposit(cents=10), key="ten")
        with pytest.raises(ActorHalted):
            await account.ask_async(Deposit(cents=100))
        put_back(segment)
        await system.resume("a")
        assert await account.ask_async(Deposit(cents=10), key="ten") == Balance(cents=11, turns=2)
    async with ActorSystem(tmp_path) as system:
        assert await (await system.spawn(Account, name="a")).ask_async(Read()) == Balance(cents=11, turns=2)


@pytest.mark.req("JR-8")
@pytest.mark.rule("J5")
@pytest.mark.parametrize("change", [moved, replaced, lengthened, shortened])
@pytest.mark.parametrize("is_full", [False, True])
async def test_a_segment_that_is_changed_before_the_first_turn_after_a_start_is_found_too(
    tmp_path: Path, change: Callable[[Path], None], *, is_full: bool
) -> None:
    """Also where that turn would begin the next segment; nothing is written to a file of somebody else's."""
    settings = Settings(segment_bytes=4096)
    segment = tmp_path / "state/journals/a" / FIRST
    async with ActorSystem(tmp_path, settings=settings) as system:
        account = await system.spawn(Account, name="a")
        await account.ask_async(Deposit(cents=1))
        while is_full and segment.stat().st_size < settings.segment_bytes:
            await account.ask_async(Deposit(cents=1))
    async with ActorSystem(tmp_path, settings=settings) as system:
        account = await system.spawn(Account, name="a")
        change(segment)
        before = {path.name: path.read_bytes() for path in segment.parent.glob("*.jsonl")}
        with pytest.raises(OutcomeUnknown):
            await account.ask_async(Deposit(cents=10))
        assert {path.name: path.read_bytes() for path in segment.parent.glob("*.jsonl")} == before


@pytest.mark.req("JR-8")
@pytest.mark.rule("J5")
async def test_a_segment_that_is_cut_by_hand_halts_its_actor_and_blocks_it_at_the_resume(
    tmp_path: Path,
) -> None:
    """What was acknowledged is gone: a resume does not go on without it."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        await account.ask_async(Deposit(cents=1))
        shortened(tmp_path / "state/journals/a" / FIRST)
        with pytest.raises(OutcomeUnknown, match=r"expected a segment of \d+ bytes, got \d+"):
            await account.ask_async(Deposit(cents=10))
        with pytest.raises(
            JournalDamaged, match="seq 1 is not readable, but everything up to seq 1 was durable"
        ):
            await system.resume("a")
        with pytest.raises(ActorBlocked):
            await account.ask_async(Read())


@pytest.mark.rule("J5")
@pytest.mark.parametrize("change", [moved, replaced])
@pytest.mark.parametrize("segment_bytes", [1, 1 << 20])
async def test_a_segment_that_is_not_open_is_looked_at_too(
    tmp_path: Path, change: Callable[[Path], None], segment_bytes: int
) -> None:
    """One that is about to be left for the next, and one whose descriptor was given back."""
    settings = SmallSettings(segment_bytes=segment_bytes)
    async with open_journals(tmp_path, Files(), settings) as journals:
        journal = journals.open("a")
        await append(journal, [make_line(1)], 1)
        journal.close()
        change(tmp_path / "a" / FIRST)
        with pytest.raises(OSError, match=r"moved or removed|another file|No such file"):
            await append(journal, [make_line(2)], 2)
        assert journal.watermark == 1
