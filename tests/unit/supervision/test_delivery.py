"""Durable delivery and idempotency keys (rules D1 to D4, JR-4)."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.unit.supervision.bank import (
    Account,
    Balance,
    Deposit,
    Listener,
    Pay,
    Read,
    Slow,
    until_reads,
)
from understudy import (
    ActorSystem,
    JournalDamaged,
    KeyReused,
    Message,
    NotPersistent,
    OutboxFull,
    OutcomeUnknown,
    Refused,
    Settings,
    UnderstudyError,
)
from understudy.supervision.files import Files
from understudy.supervision.journal import claims_on, repair_journal, verify
from understudy.supervision.keys import KeyWindow, Remembered
from understudy.supervision.testing.probe import Probe, Recorder
from understudy.supervision.turns import PersistentCell


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures that a test provokes are logged; they need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


def cell_of(system: ActorSystem, name: str) -> PersistentCell:
    """The cell of a persistent actor."""
    cell = system.cell(name)
    assert isinstance(cell, PersistentCell)
    return cell


@pytest.mark.req("JR-4")
@pytest.mark.rule("D1")
async def test_what_was_sent_while_the_receiver_did_not_run_arrives_once_when_it_opens(
    tmp_path: Path,
) -> None:
    """Senders re-send everything above the receiver's last number when it opens its journal."""
    async with ActorSystem(tmp_path) as system:
        await (await system.spawn(Account, name="b")).ask_async(Deposit(cents=100))
    async with ActorSystem(tmp_path) as system:
        payer = await system.spawn(Account, name="a")
        for _ in range(5):
            await payer.ask_async(Pay(cents=1, to="b"))
        await system.spawn(Account, name="b")
        assert (await until_reads(system, "b", 105)).turns == 6
        await system.stop("b")
        await payer.ask_async(Pay(cents=1, to="b"))
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Account, name="b")
        assert await system.get("b").ask_async(Read()) == Balance(cents=105, turns=6)
        await system.spawn(Account, name="a")
        assert (await until_reads(system, "b", 106)).turns == 7


@pytest.mark.rule("D1")
async def test_repetitions_and_gaps_are_not_taken(tmp_path: Path) -> None:
    """The receiver takes last + 1 only, whatever order a redelivery comes in."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        receiver, order = cell_of(system, "b"), random.Random(7)
        numbers = [*range(1, 31)] * 4
        order.shuffle(numbers)
        for n in [*numbers, *range(1, 31)]:
            receiver.deliver((Deposit(cents=n), None, "a", n, b"a/%d" % n, None))
        assert await until_reads(system, "b", sum(range(1, 31))) == Balance(cents=465, turns=30)


@pytest.mark.rule("D2")
async def test_durable_at_the_receiver_is_the_acknowledgement(tmp_path: Path) -> None:
    """The sender forgets what the receiver has made durable; no line says so."""
    async with ActorSystem(tmp_path) as system:
        payer = await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        for _ in range(10):
            await payer.ask_async(Pay(cents=1, to="b"))
        await until_reads(system, "b", 10)
        assert not cell_of(system, "a").outbox.box("b").waiting
        assert cell_of(system, "a").seq == 10


@pytest.mark.rule("D2")
async def test_a_receiver_that_is_too_far_behind_stops_its_sender(tmp_path: Path) -> None:
    """`OutboxFull` says so in the turn, which has changed nothing."""
    async with ActorSystem(tmp_path) as system:
        await (await system.spawn(Account, name="b")).ask_async(Deposit(cents=100))
    async with ActorSystem(tmp_path, settings=Settings(window=3)) as system:
        payer = await system.spawn(Account, name="a")
        for _ in range(3):
            await payer.ask_async(Pay(cents=1, to="b"))
        with pytest.raises(OutboxFull, match="b has not made 3 messages durable"):
            await payer.ask_async(Pay(cents=1, to="b"))
        assert await payer.ask_async(Read()) == Balance(cents=-3, turns=3)
        await system.spawn(Account, name="b")
        await until_reads(system, "b", 103)
        await payer.ask_async(Pay(cents=1, to="b"))
        await until_reads(system, "b", 104)


@pytest.mark.rule("D2")
async def test_a_send_to_an_actor_without_a_journal_is_at_most_once(tmp_path: Path) -> None:
    """It has no number, and a restart does not repeat it."""
    heard: list[int] = []
    async with ActorSystem(tmp_path) as system:
        payer = await system.spawn(Account, name="a")
        await system.spawn(Listener, name="ear", heard=heard)
        await payer.ask_async(Pay(cents=2, to="ear"))
        await trio.testing.wait_all_tasks_blocked()
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Listener, name="ear", heard=heard)
        await system.spawn(Account, name="a")
        await trio.testing.wait_all_tasks_blocked()
    assert heard == [2]


@pytest.mark.rule("D2")
async def test_a_receiver_that_takes_everything_takes_what_a_turn_sends(tmp_path: Path) -> None:
    """An actor with an `on_receive` of its own need not declare each message."""
    recorder = Recorder()
    async with ActorSystem(tmp_path) as system:
        payer = await system.spawn(Account, name="a")
        await system.spawn(Probe, name="probe", recorder=recorder)
        await payer.ask_async(Pay(cents=2, to="probe"))
        await trio.testing.wait_all_tasks_blocked()
    assert recorder.all_of(Deposit) == [Deposit(cents=2)]


@pytest.mark.req("JR-4")
@pytest.mark.rule("D3")
async def test_the_same_key_gets_the_same_reply_also_after_a_restart(tmp_path: Path) -> None:
    """Replies and refusals are remembered; state changes once; another payload is refused."""
    for _ in range(3):
        async with ActorSystem(tmp_path) as system:
            account = await system.spawn(Account, name="a")
            for _ in range(2):
                reply = await account.ask_async(Deposit(cents=5), key="pay-1")
                assert reply == Balance(cents=5, turns=1)
                with pytest.raises(Refused, match="expected a positive amount, got -1"):
                    await account.ask_async(Deposit(cents=-1), key="bad")
                with pytest.raises(KeyReused, match="'pay-1'"):
                    await account.ask_async(Deposit(cents=6), key="pay-1")
            assert await account.ask_async(Read()) == Balance(cents=5, turns=1)


@pytest.mark.rule("D3")
async def test_duplicates_of_a_key_that_come_together_change_state_once(tmp_path: Path) -> None:
    """They wait for the original's watermark."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        replies: list[Balance] = []

        async def ask() -> None:
            replies.append(await account.ask_async(Deposit(cents=5), key="k"))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        assert replies == [Balance(cents=5, turns=1)] * 20


@pytest.mark.rule("D3")
async def test_a_key_is_kept_by_a_journal_and_has_a_bounded_length(tmp_path: Path) -> None:
    """A memory actor can't keep one, and says so instead of forgetting it."""
    async with ActorSystem(tmp_path) as system:
        ear = await system.spawn(Listener, name="ear", heard=[])
        with pytest.raises(NotPersistent, match="expected a persistent actor"):
            await ear.ask_async(Deposit(cents=1), key="k")
        account = await system.spawn(Account, name="a")
        for key in ("", "x" * 257):
            with pytest.raises(Refused, match="1 to 256 characters"):
                await account.ask_async(Deposit(cents=1), key=key)


@pytest.mark.rule("D3")
def test_keys_are_evicted_when_too_old_and_too_many() -> None:
    """Both must hold, and only the lines' own times count, so that a replay evicts the same."""
    window = KeyWindow(size=3, age_s=10.0)
    for second in range(8):
        window.add(f"k{second}", Remembered("h", second * 1_000_000, "Deposit", b"null", None))
    assert len(window) == 8
    window.add("late", Remembered("h", 15 * 1_000_000, "Deposit", b"null", None))
    assert [key for key, _ in window] == ["k6", "k7", "late"]
    assert window.find("k0", "h") is None
    with pytest.raises(KeyReused):
        window.find("k7", "other")


@pytest.mark.rule("D3")
async def test_whoever_waits_for_a_turn_that_is_dropped_learns_that_its_outcome_is_unknown(
    tmp_path: Path,
) -> None:
    """A stop in the middle of an async turn; see test_halt.py for a failing disk."""
    async with ActorSystem(tmp_path, settings=Settings(stop_timeout_s=0.01)) as system:
        account = await system.spawn(Account, name="a")
        outcomes: list[BaseException] = []

        async def ask(message: Message[Any]) -> None:
            try:
                await account.ask_async(message)
            except UnderstudyError as error:
                outcomes.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, Slow(cents=1, wait_s=60))
            await trio.testing.wait_all_tasks_blocked()
            await system.stop("a")
        assert [type(error) for error in outcomes] == [OutcomeUnknown]


@pytest.mark.rule("D4")
async def test_after_a_repair_of_the_sender_its_reused_numbers_are_not_taken_for_old_ones(
    tmp_path: Path,
) -> None:
    """A new incarnation of the journal is a new stream, with numbers of its own."""
    async with ActorSystem(tmp_path) as system:
        payer = await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        for _ in range(4):
            await payer.ask_async(Pay(cents=1, to="b"))
        await until_reads(system, "b", 4)
    (segment,) = (tmp_path / "state" / "journals" / "a").glob("*.jsonl")
    whole = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join([whole[0], whole[1][:50] + b"\n", *whole[2:]]))
    async with ActorSystem(tmp_path) as system:
        with pytest.raises(JournalDamaged, match="line 2"):
            await system.spawn(Account, name="a")
        (blocked,) = system.status().blocked
        assert blocked.actor == "a"
        assert "journal repair" in blocked.advice
    repair_journal(Files(), tmp_path / "state" / "journals" / "a")
    async with ActorSystem(tmp_path) as system:
        payer = await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        assert await payer.ask_async(Read()) == Balance(cents=-3, turns=3)
        for _ in range(4):
            await payer.ask_async(Pay(cents=1, to="b"))
        assert (await until_reads(system, "b", 8)).turns == 8
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Account, name="b")
        await system.spawn(Account, name="a")
        await system.get("a").ask_async(Pay(cents=1, to="b"))
        assert (await until_reads(system, "b", 9)).turns == 9


@pytest.mark.rule("D4")
async def test_a_sender_whose_journal_is_gone_is_blocked_until_a_repair_gives_it_new_numbers(
    tmp_path: Path,
) -> None:
    """The receiver would take its new messages for repetitions; verify and repair see what blocks it."""
    async with ActorSystem(tmp_path) as system:
        payer = await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        await payer.ask_async(Pay(cents=1, to="b"))
        await until_reads(system, "b", 1)
    for path in (tmp_path / "state" / "journals" / "a").iterdir():
        path.unlink()
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Account, name="b")
        with pytest.raises(JournalDamaged, match="lines are missing") as blocked:
            await system.spawn(Account, name="a")
    journals = tmp_path / "state" / "journals"
    assert [damage.reason for damage in verify(Files(), journals)[0].damage] == [blocked.value.reason]
    repair_journal(Files(), journals / "a", claim=claims_on(Files(), journals)["a"])
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Account, name="b")
        payer = await system.spawn(Account, name="a")
        await payer.ask_async(Pay(cents=1, to="b"))
        assert (await until_reads(system, "b", 2)).turns == 2
    assert all(report.whole for report in verify(Files(), journals))
