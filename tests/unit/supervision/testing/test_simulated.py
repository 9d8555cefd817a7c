"""Programs on a virtual clock: hours take no time, and the same seed gives the same journals."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from tests.unit.supervision.bank import Account, Deposit, Pay, Slow
from understudy import ActorSystem
from understudy.supervision.testing.clock import VirtualClock
from understudy.supervision.testing.files import MemoryFiles
from understudy.supervision.testing.simulated import run_simulated


async def payments(files: MemoryFiles) -> None:
    """Callers who get into each other's way."""

    async def caller(system: ActorSystem, number: int) -> None:
        for _ in range(5):
            await trio.sleep(system.random.choice((0, 0, 1)))
            await system.get("a").ask_async(Deposit(cents=number), timeout_s=60)
            await system.get("b").ask_async(Slow(cents=number), timeout_s=60)
            await system.get("a").ask_async(Pay(cents=1, to="b"), timeout_s=60)

    async with ActorSystem("/home", files=files, clock=VirtualClock(), seed=1, inline=True) as system:
        for name in ("a", "b"):
            await system.spawn(Account, name=name)
        async with trio.open_nursery() as nursery:
            for number in range(1, 8):
                nursery.start_soon(caller, system, number)


def journals_of(seed: int) -> dict[Path, bytes]:
    """The journals that the payments leave."""
    files = MemoryFiles()
    run_simulated(payments, files, seed=seed, within_s=3600)
    return {path: data for path, data in files.everything().items() if path.suffix == ".jsonl"}


def test_the_same_seed_gives_the_same_journals_to_the_byte() -> None:
    """And another seed another order."""
    first = journals_of(1)
    assert len(first) == 2
    assert journals_of(1) == first
    assert journals_of(2) != first


def test_hours_take_no_time_and_what_is_stuck_is_found_at_once() -> None:
    """The clock jumps to the next deadline; the last one is that of the run."""

    async def sleep(hours: float) -> float:
        await trio.sleep(hours * 3600)
        return trio.current_time()

    began = time.monotonic()
    assert run_simulated(sleep, 1000) >= 3_600_000
    with pytest.raises(trio.TooSlowError):
        run_simulated(trio.sleep_forever, within_s=3600)
    assert time.monotonic() - began < 60
