"""What idle actors cost: memory each, and CPU time of ten thousand."""

from __future__ import annotations

import contextlib
import gc
import resource
import sys
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from tests.benchmarks import peer_pykka
from tests.benchmarks.cast import Counter, Ledger, Ping
from tests.benchmarks.rows import Better, Options, Row, Sides, fresh_folder
from understudy import ActorSystem

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.benchmarks.rows import Note

KIB = 1024.0
WARM, COUNT, TRACED, PYKKA_COUNT = 100, 20_000, 2_000, 500
IDLE, IDLE_S = 10_000, 8.0
STATM = Path("/proc/self/statm")


def rss_bytes() -> int:
    """Resident memory now; on macOS the peak so far, which is the same while it only grows."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def _spawn(system: ActorSystem, first: int, count: int) -> None:
    for index in range(first, first + count):
        await system.spawn(Counter, name=f"counter-{index}")


def _ours(notes: dict[str, Note]) -> float:
    """KiB for each of 20,000 spawned actors; the higher of resident memory and traced allocations."""

    async def main() -> float:
        async with ActorSystem(None) as system:
            await _spawn(system, 0, WARM)
            gc.collect()
            before = rss_bytes()
            await _spawn(system, WARM, COUNT)
            await trio.sleep(0.01)
            rss = (rss_bytes() - before) / COUNT / KIB
            tracemalloc.start()
            await _spawn(system, WARM + COUNT, TRACED)
            traced = tracemalloc.get_traced_memory()[0] / TRACED / KIB
            tracemalloc.stop()
            notes.update(rss_kib=round(rss, 2), traced_kib=round(traced, 2))
            return max(rss, traced)

    return trio.run(main)


def _pykka() -> float:
    """KiB of resident memory for each of 500 started actors (a thread each)."""
    gc.collect()
    before = rss_bytes()
    refs = [peer_pykka.Counter.start() for _ in range(PYKKA_COUNT)]
    for ref in refs:
        ref.ask(peer_pykka.PING)
    used = (rss_bytes() - before) / PYKKA_COUNT / KIB
    for ref in refs:
        ref.stop()
    return used


@contextlib.contextmanager
def _memory(_options: Options) -> Generator[Sides]:
    sides = Sides(lambda: _ours(sides.notes), _pykka)
    yield sides


def _idle_cpu() -> float:
    """Milliseconds of CPU time, of all threads, for each second that 10,000 actors are left alone.

    The system has a home and one persistent actor, so that the writer's threads are counted too.
    """

    async def main(home: Path) -> float:
        async with ActorSystem(home) as system:
            ledger = await system.spawn(Ledger, name="ledger")
            await ledger.ask_async(Ping())
            await _spawn(system, 0, IDLE)
            gc.collect()
            await trio.sleep(0.2)
            cpu, wall = time.process_time(), time.perf_counter()
            await trio.sleep(IDLE_S)
            return (time.process_time() - cpu) * 1e3 / (time.perf_counter() - wall)

    with fresh_folder() as home:
        return trio.run(main, home)


@contextlib.contextmanager
def _idle(_options: Options) -> Generator[Sides]:
    yield Sides(_idle_cpu)


ROWS = (
    # A fresh process for each round: memory that an earlier round gave back to the allocator would
    # hide what the next one uses. The result is ours; pykka's is for comparison.
    Row(
        "memory",
        "memory per idle actor",
        "pykka for comparison",
        4.3,
        3.0,
        Better.LOWER,
        "KiB",
        "KiB",
        _memory,
        fresh=True,
    ),
    # No peer: absolute. One measurement is eight seconds of sleep; its own wake-up (0.3 ms) is counted.
    Row(
        "idle-cpu",
        "10,000 idle actors, CPU per second",
        "",
        1.0,
        0.1,
        Better.LOWER,
        "ms/s",
        "ms/s",
        _idle,
    ),
)
