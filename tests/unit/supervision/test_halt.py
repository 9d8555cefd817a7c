"""A disk that fails (JR-8, rules J5, T5): nothing leaves, others go on, and a person's word resumes."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio

from tests.unit.supervision.bank import (
    Account,
    AccountState,
    Balance,
    Deposit,
    FailLate,
    Pay,
    Read,
    Slow,
    until_reads,
)
from understudy import (
    ActorBlocked,
    ActorHalted,
    ActorSystem,
    JournalDamaged,
    OutcomeUnknown,
    PersistentActor,
    RecordNotUnderstood,
    Refused,
    Settings,
)
from understudy.protocols.lifecycle import ActorBlocked as ActorIsBlocked
from understudy.protocols.lifecycle import ActorHalted as ActorIsHalted
from understudy.protocols.lifecycle import ActorResumed, LifecycleEvent
from understudy.supervision.testing.files import FaultyFiles


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures that a test provokes are logged; they need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


@pytest.mark.req("JR-8")
@pytest.mark.rule("J5")
@pytest.mark.parametrize(("operation", "error"), [("write", errno.ENOSPC), ("fdatasync", errno.EIO)])
async def test_a_write_error_halts_that_actor_only_until_it_is_resumed(
    tmp_path: Path, operation: str, error: int
) -> None:
    """The asker learns that the outcome is unknown, the next ones that nothing happened."""
    files = FaultyFiles(tmp_path)
    events: list[LifecycleEvent] = []
    async with ActorSystem(tmp_path / "home", files=files) as system:
        system.lifecycle.subscribe(events.append)
        account = await system.spawn(Account, name="a")
        other = await system.spawn(Account, name="b")
        await account.ask_async(Deposit(cents=1), key="before")
        files.fail(operation, error=error, times=None)
        with pytest.raises(OutcomeUnknown, match="idempotency key"):
            await account.ask_async(Deposit(cents=10), key="unknown")
        files.heal()
        assert await other.ask_async(Deposit(cents=7)) == Balance(cents=7, turns=1)
        for message in (Deposit(cents=2), Read()):
            with pytest.raises(ActorHalted, match="understudy resume a"):
                await account.ask_async(message)
        with pytest.raises(ActorHalted):
            account.tell(Deposit(cents=2))
        (halt,) = system.status().halted
        assert (halt.actor, halt.advice[:14]) == ("a", "check the disk")
        segments = sorted((tmp_path / "home/state/journals/a").glob("*.jsonl"))
        await system.resume("a")
        assert await account.ask_async(Deposit(cents=1), key="before") == Balance(cents=1, turns=1)
        # The outcome was unknown; whatever it was, the key makes the state change once.
        assert (await account.ask_async(Deposit(cents=10), key="unknown")).cents == 11
        assert await account.ask_async(Deposit(cents=100)) == Balance(cents=111, turns=3)
        assert system.status().halted == ()
        after = sorted((tmp_path / "home/state/journals/a").glob("*.jsonl"))
        assert len(after) == len(segments) + 1
        kinds = [type(event) for event in events if isinstance(event, ActorIsHalted | ActorResumed)]
        assert kinds == [ActorIsHalted, ActorResumed]
    async with ActorSystem(tmp_path / "home") as system:
        account = await system.spawn(Account, name="a")
        assert await account.ask_async(Read()) == Balance(cents=111, turns=3)


@pytest.mark.req("JR-8")
@pytest.mark.parametrize("operation", ["write", "fdatasync"])
async def test_a_resume_on_a_bad_disk_says_so_and_changes_nothing(tmp_path: Path, operation: str) -> None:
    """And the resume of an actor that is not halted is refused."""
    files = FaultyFiles(tmp_path)
    async with ActorSystem(tmp_path / "home", files=files) as system:
        account = await system.spawn(Account, name="a")
        with pytest.raises(Refused, match="expected a halted actor"):
            await system.resume("a")
        files.fail(operation, times=None)
        with pytest.raises(OutcomeUnknown):
            await account.ask_async(Deposit(cents=1))
        with pytest.raises(ActorHalted, match="stays halted"):
            await system.resume("a")
        assert system.status().halted
        files.heal()
        await system.resume("a")
        assert await account.ask_async(Read()) == Balance(cents=0)


@pytest.mark.req("JR-8")
async def test_a_system_can_be_set_to_resume_by_itself(tmp_path: Path) -> None:
    """`resume_every_s` tries again until the disk is good."""
    files = FaultyFiles(tmp_path)
    settings = Settings(resume_every_s=0.01)
    async with ActorSystem(tmp_path / "home", files=files, settings=settings) as system:
        account = await system.spawn(Account, name="a")
        files.fail("fdatasync", times=None)
        with pytest.raises(OutcomeUnknown):
            await account.ask_async(Deposit(cents=1))
        before = len(files.operations)
        with trio.fail_after(5):
            while len(files.operations) == before:  # until it has tried, in vain
                await trio.sleep(0.005)
        assert system.status().halted
        files.heal()
        with trio.fail_after(5):
            while system.status().halted:
                await trio.sleep(0.005)
        assert await account.ask_async(Deposit(cents=1)) == Balance(cents=1, turns=1)


@pytest.mark.rule("J5")
@pytest.mark.rule("D1")
async def test_what_was_sent_to_a_halted_actor_arrives_once_after_the_resume(tmp_path: Path) -> None:
    """Its sender goes on, and sends again at the end of the halt."""
    files = FaultyFiles(tmp_path)
    async with ActorSystem(tmp_path / "home", files=files) as system:
        payer = await system.spawn(Account, name="a")
        receiver = await system.spawn(Account, name="b")
        await payer.ask_async(Pay(cents=1, to="b"))
        await until_reads(system, "b", 1)
        files.fail("fdatasync", times=1)
        with pytest.raises(OutcomeUnknown):
            await receiver.ask_async(Deposit(cents=1000))
        for _ in range(5):
            await payer.ask_async(Pay(cents=1, to="b"))
        await system.resume("b")
        assert (await until_reads(system, "b", 6)).turns == 6


@pytest.mark.rule("J5")
async def test_a_halt_in_the_middle_of_an_async_turn_discards_it(tmp_path: Path) -> None:
    """It is cancelled: what it would do next must not happen."""
    files = FaultyFiles(tmp_path)
    async with ActorSystem(tmp_path / "home", files=files) as system:
        account = await system.spawn(Account, name="a")
        files.fail("fdatasync", times=None)
        account.tell(Deposit(cents=1))  # first in the mailbox: its line fails while the next turn waits
        with trio.fail_after(5), pytest.raises((OutcomeUnknown, ActorHalted)):
            await account.ask_async(Slow(cents=1, wait_s=60))
        files.heal()
        await system.resume("a")
        assert await account.ask_async(Read()) == Balance(cents=0)


@pytest.mark.rule("T5")
@pytest.mark.rule("J4")
async def test_a_rebuild_that_finds_damage_blocks_the_actor_and_answers_everybody(tmp_path: Path) -> None:
    """Who waits for the turn gets `OutcomeUnknown`, who comes later `ActorBlocked` with the place."""
    events: list[LifecycleEvent] = []
    async with ActorSystem(tmp_path) as system:
        system.lifecycle.subscribe(events.append)
        account = await system.spawn(Account, name="a")
        await account.ask_async(Deposit(cents=1))
        (segment,) = (tmp_path / "state/journals/a").glob("*.jsonl")
        segment.write_bytes(segment.read_bytes().replace(b'"cents":1', b'"cents":9'))
        with pytest.raises(OutcomeUnknown, match="offset 0"):
            await account.ask_async(FailLate())
        with pytest.raises(ActorBlocked, match="line 1, offset 0"):
            await account.ask_async(Read())
        (blocked,) = system.status().blocked
        assert blocked.actor == "a"
        (event,) = [event for event in events if isinstance(event, ActorIsBlocked)]
        assert "line 1, offset 0" in event.error
        assert system.status().actors[0].restarts == 0


@pytest.mark.req("JR-3")
async def test_whole_records_that_the_class_does_not_know_are_not_called_damaged(tmp_path: Path) -> None:
    """The advice is not to repair what is not broken; the right class reads it all the same."""

    class Stranger(PersistentActor[AccountState]):
        pass

    async with ActorSystem(tmp_path) as system:
        await (await system.spawn(Account, name="a")).ask_async(Deposit(cents=1))
    async with ActorSystem(tmp_path) as system:
        with pytest.raises(RecordNotUnderstood, match=r"line 1, offset 0: .* got 'Deposited'"):
            await system.spawn(Stranger, name="a")
        (blocked,) = system.status().blocked
        assert blocked.advice == "run the program that wrote it, or give Stranger what it lacks"
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        assert await account.ask_async(Read()) == Balance(cents=1, turns=1)


@pytest.mark.req("JR-3")
@pytest.mark.rule("J4")
async def test_damage_blocks_that_actor_only_with_file_line_and_offset(tmp_path: Path) -> None:
    """The others recover; the damaged file is not touched."""
    async with ActorSystem(tmp_path) as system:
        for name in ("a", "b"):
            account = await system.spawn(Account, name=name)
            for _ in range(3):
                await account.ask_async(Deposit(cents=1))
    (segment,) = (tmp_path / "state/journals/a").glob("*.jsonl")
    first, second, third = segment.read_bytes().splitlines(keepends=True)
    damaged = first + second.replace(b"cents", b"pence") + third
    segment.write_bytes(damaged)
    async with ActorSystem(tmp_path) as system:
        with pytest.raises(JournalDamaged) as caught:
            await system.spawn(Account, name="a")
        assert (caught.value.line, caught.value.offset) == (2, len(first))
        assert caught.value.file == str(segment)
        other = await system.spawn(Account, name="b")
        assert await other.ask_async(Read()) == Balance(cents=3, turns=3)
        with pytest.raises(ActorBlocked, match="journal repair"):
            await system.get("a").ask_async(Read())
    assert segment.read_bytes() == damaged
