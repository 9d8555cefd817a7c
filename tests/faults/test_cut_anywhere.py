"""An actor's journal cut at every byte: it recovers to whole turns and takes new ones (JR-3, rule J4)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.supervision.bank import Account, Balance, Deposit, Pay, Read
from understudy import ActorSystem, JournalDamaged

DEPOSITS = 3


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Cut tails are logged; that need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


async def make(home: Path) -> Path:
    """A journal of some turns, with a keyed one and one that sends; returns its segment."""
    async with ActorSystem(home) as system:
        account = await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        for number in range(DEPOSITS):
            await account.ask_async(Deposit(cents=1), key=f"k{number}")
        await account.ask_async(Pay(cents=2, to="b"))
    (segment,) = (home / "state" / "journals" / "a").glob("*.jsonl")
    shutil.rmtree(home / "state" / "journals" / "b", ignore_errors=True)
    return segment


@pytest.mark.req("JR-3")
@pytest.mark.rule("J4")
@pytest.mark.rule("T1")
async def test_a_journal_cut_at_every_byte_recovers_to_whole_turns_and_takes_new_ones(tmp_path: Path) -> None:
    """A turn is there whole or not at all; the next turn goes on from there, and is there after a restart."""
    segment = await make(tmp_path)
    whole = segment.read_bytes()
    ends = [0, *(index + 1 for index, byte in enumerate(whole) if byte == 0x0A)]
    balances = [Balance(cents=cents, turns=turns) for turns, cents in enumerate((0, 1, 2, 3, 1))]
    for cut in range(len(whole) + 1):
        turns = sum(1 for end in ends[1:] if end <= cut)
        segment.write_bytes(whole[:cut])
        async with ActorSystem(tmp_path) as system:
            account = await system.spawn(Account, name="a")
            assert await account.ask_async(Read()) == balances[turns], f"cut at byte {cut}"
            await account.ask_async(Deposit(cents=100))
        kept = [path.read_bytes() for path in segment.parent.glob("*torn*")]
        torn = whole[ends[turns] : cut]
        assert kept == ([torn] if torn else []), f"cut at byte {cut}"
        async with ActorSystem(tmp_path) as system:
            account = await system.spawn(Account, name="a")
            expected = Balance(cents=balances[turns].cents + 100, turns=turns + 1)
            assert await account.ask_async(Read()) == expected, f"cut at byte {cut}"
        for path in segment.parent.iterdir():
            path.unlink()


@pytest.mark.req("JR-3")
@pytest.mark.rule("J4")
async def test_a_flipped_bit_in_any_byte_of_a_complete_line_is_refused_with_its_place(tmp_path: Path) -> None:
    """One bit of every byte (journal/test_*.py flips all eight below the actor)."""
    segment = await make(tmp_path)
    whole = segment.read_bytes()
    starts = [0, *(index + 1 for index, byte in enumerate(whole) if byte == 0x0A)]
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (place % 8)
        segment.write_bytes(flipped)
        line = sum(1 for start in starts[1:] if start <= place)
        async with ActorSystem(tmp_path) as system:
            with pytest.raises(JournalDamaged) as caught:
                await system.spawn(Account, name="a")
        found = (caught.value.file, caught.value.line, caught.value.offset)
        assert found == (str(segment), line + 1, starts[line]), f"byte {place}"
        assert segment.read_bytes() == flipped
