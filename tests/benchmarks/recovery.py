"""The recovery rows: a journal of a million turns, filled once for a run, then recovered and parsed."""

from __future__ import annotations

import contextlib
import gc
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import trio

from tests.benchmarks.cast import Book, Ledger, Ping
from tests.benchmarks.footprint import rss_bytes
from tests.benchmarks.peer_pykka import expect
from tests.benchmarks.rows import Better, Options, Row, Sides
from understudy import ActorSystem
from understudy.supervision.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Generator

BOOK = Book(amount=1)
TAIL = 10_000
FEW = 20
MIB = float(1 << 20)
NEVER = Settings(snapshot_bytes=1 << 50)
"""No snapshots: every turn is replayed."""
AT_ONCE = Settings(snapshot_bytes=1024)
"""A snapshot after some five turns."""
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def recover(home: Path, turns: int) -> float:
    """Seconds from the spawn of a ledger that exists in `home` to its first answer, with the right total."""

    async def main() -> float:
        async with ActorSystem(home, settings=NEVER) as system:
            started = time.perf_counter()
            ref = await system.spawn(Ledger, name="ledger")
            total = await ref.ask_async(Ping())
            took = time.perf_counter() - started
            expect(turns, total)
            return took

    return trio.run(main)


def parse(home: Path) -> float:
    """Seconds that orjson needs for the same lines: no checksum, no validation, nothing applied or kept."""
    paths = segments(home)
    started = time.perf_counter()
    for path in paths:
        with path.open("rb", buffering=1 << 20) as file:
            for line in file:
                orjson.loads(line)
    return time.perf_counter() - started


def memory(home: Path, turns: int) -> float:
    """MiB of resident memory at recovery's peak above what the process had just before it.

    The ledger's state is two fields, so all of it is recovery's own. Before that a small ledger was
    spawned, so that code and buffers which any journal needs are there already.
    """

    async def main() -> float:
        async with ActorSystem(home, settings=NEVER) as system:
            small = await system.spawn(Ledger, name="small")
            await small.ask_async(BOOK)
            gc.collect()
            before = _reset_peak()
            ref = await system.spawn(Ledger, name="ledger")
            expect(turns, await ref.ask_async(Ping()))
            return (_peak_bytes() - before) / MIB

    return trio.run(main)


def segments(home: Path) -> list[Path]:
    """The files of the ledger's journal, in order."""
    return sorted(home.rglob("ledger/*.jsonl"))


def filled(options: Options) -> Path:
    """A home whose ledger has `options.turns` turns and no snapshot; made once for a run."""
    home = options.work / f"turns-{options.turns}"
    if not home.exists():
        trio.run(_fill, home, options.turns, NEVER)
    return home


def with_snapshot(options: Options) -> Path:
    """The same turns in a home of their own, then a snapshot and a tail of 10,000; made once for a run."""
    home = options.work / f"snapshot-{options.turns}"
    if not home.exists():
        trio.run(_fill, home, options.turns, NEVER)
        trio.run(_fill, home, FEW, AT_ONCE)
        trio.run(_fill, home, TAIL, NEVER)
        if not list(home.rglob("ledger/*snap*")):
            msg = f"expected a snapshot of the ledger in {home}, found none"
            raise FileNotFoundError(msg)
    return home


async def _fill(home: Path, turns: int, settings: Settings) -> None:
    async with ActorSystem(home, settings=settings) as system:
        ref = await system.spawn(Ledger, name="ledger")
        for _ in range(turns - 1):
            await ref.tell_async(BOOK)
        await ref.ask_async(BOOK)


def _reset_peak() -> int:
    """Resident bytes now, which Linux is told to take for the peak too."""
    if CLEAR_REFS.exists():
        CLEAR_REFS.write_text("5")
    return rss_bytes()


def _peak_bytes() -> int:
    """The highest resident bytes since; since the process began where that cannot be reset (macOS)."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextlib.contextmanager
def _all_turns(options: Options) -> Generator[Sides]:
    home = filled(options)
    notes = {"turns": options.turns, "mib": round(sum(p.stat().st_size for p in segments(home)) / MIB, 1)}
    yield Sides(lambda: recover(home, options.turns), lambda: parse(home), dict(notes))


@contextlib.contextmanager
def _memory(options: Options) -> Generator[Sides]:
    home = filled(options)
    yield Sides(lambda: memory(home, options.turns))


@contextlib.contextmanager
def _from_snapshot(options: Options) -> Generator[Sides]:
    home, whole = with_snapshot(options), filled(options)
    turns = options.turns + FEW + TAIL
    yield Sides(lambda: recover(home, turns), lambda: parse(whole))


ROWS = (
    # Ours: reads the lines, checks each checksum and sequence number, validates each event, applies
    # it, syncs the file. orjson: reads the same files and parses each line to dicts, nothing else.
    Row(
        "recovery",
        "recovery of 1M turns, checksum and validation",
        "orjson parsing the same file",
        6.5,
        4.5,
        Better.LOWER,
        "x",
        "s",
        _all_turns,
    ),
    Row(
        "recovery-memory",
        "extra memory of that recovery, beyond the state",
        "",
        10,
        None,
        Better.LOWER,
        "MiB",
        "MiB",
        _memory,
        fresh=True,
    ),
    # Ours: snapshot, then 10,000 lines as above. The peer parses all of the million.
    Row(
        "recovery-snapshot",
        "recovery from a snapshot and a tail of 10k",
        "orjson parsing all of it",
        0.1,
        0.05,
        Better.LOWER,
        "x",
        "s",
        _from_snapshot,
    ),
)
