"""A system without threads: journals are written on the loop, in steps of their own, on a virtual clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.unit.supervision.bank import Account, Balance, Deposit, Pay, Read
from understudy import ActorSystem
from understudy.protocols.errors import CommandNotStarted
from understudy.supervision.files import Files
from understudy.supervision.journal import Journals
from understudy.supervision.testing.clock import EPOCH_S, VirtualClock
from understudy.supervision.testing.files import FaultyFiles, Operation
from understudy.supervision.testing.journals import SmallSettings, make_line, read


async def test_no_thread_is_started_by_a_system_that_runs_inline(tmp_path: Path) -> None:
    """Journals of several actors, a blocking call and the end of the system included."""
    before = set(threading.enumerate())
    seen: set[threading.Thread] = set()
    async with ActorSystem(tmp_path, inline=True) as system:
        for name in ("a", "b"):
            await system.spawn(Account, name=name)
        await system.get("a").ask_async(Deposit(cents=5))
        await system.get("a").ask_async(Pay(cents=2, to="b"))
        assert await system.run_blocking(threading.current_thread) is threading.current_thread()
        seen = set(threading.enumerate())
    assert seen == before
    async with ActorSystem(tmp_path, inline=True) as system:
        account = await system.spawn(Account, name="a")
        assert await account.ask_async(Read()) == Balance(cents=3, turns=2)


async def test_blocking_calls_run_in_another_thread_normally() -> None:
    """The loop goes on meanwhile."""
    async with ActorSystem() as system:
        assert await system.run_blocking(threading.current_thread) is not threading.current_thread()


async def test_inline_the_watermark_lags_the_turn(tmp_path: Path) -> None:
    """The turns of a batch are over when their lines are written, and nobody was told of any yet."""
    files = FaultyFiles(tmp_path)
    seen: list[tuple[str, int | None, int | None, bool]] = []
    async with ActorSystem(tmp_path / "home", files=files, inline=True) as system:
        account = await system.spawn(Account, name="a")
        await account.ask_async(Deposit(cents=1))
        cell = system.cell("a")

        def look(operation: Operation) -> None:
            status = cell.status()
            seen.append((operation.name, status.sequence, status.watermark, cell.in_turn))

        files.on_operation = look
        replies = [account.ask(Deposit(cents=2), block=False) for _ in range(2)]
        assert [(await reply).cents for reply in replies] == [3, 5]
        assert cell.status().watermark == 3
        files.on_operation = None
    assert seen == [("write", 3, 1, False), ("fdatasync", 3, 1, False)]


async def test_hours_of_virtual_time_pass_with_journals_on_disk(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Trio's autojump sees a system with journals for what it is: idle, or at work."""
    del autojump_clock  # asking for it is enough
    async with ActorSystem(tmp_path, inline=True, clock=VirtualClock()) as system:
        account = await system.spawn(Account, name="a")
        for _ in range(24):
            await trio.sleep(3600)
            await account.ask_async(Deposit(cents=1), timeout_s=1)
        assert system.clock.time() == EPOCH_S + 24 * 3600
        assert (await account.ask_async(Read())).cents == 24


def test_inline_what_is_queued_at_the_end_is_written(tmp_path: Path) -> None:
    """Closing the journals writes what no call on the loop came to write."""
    never: list[Callable[[], None]] = []
    journals = Journals(tmp_path / "journals", Files(), never.append, SmallSettings(), inline=True)
    journal = journals.open("a")
    assert read(journal) == []
    journal.append(make_line(1), 1)
    journal.append(make_line(2), 2)
    assert journals.names() == []
    assert journals.close(1)
    assert len(never) == 2, "one call to write, and one to tell"
    assert read(journals.open("a")) == [make_line(1), make_line(2)]


async def test_a_system_that_runs_inline_starts_no_process_and_looks_for_none(tmp_path: Path) -> None:
    """Both need a thread, during which a virtual clock would run away."""
    before = set(threading.enumerate())
    async with ActorSystem(tmp_path, inline=True) as system:
        assert await system.processes.end_leftovers() == []
        with pytest.raises(CommandNotStarted, match="'true', got one that runs inline"):
            await system.processes.spawn(["true"], cwd=tmp_path, mark="task-1/1")
        assert set(threading.enumerate()) == before
