"""The durable rows: output commit against SQLite and against the disk's own limit."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from tests.benchmarks import peer_disk
from tests.benchmarks.cast import Book, Ledger, Ping
from tests.benchmarks.peer_pykka import expect
from tests.benchmarks.rows import Better, Options, Row, Sides, fresh_folder, plain
from understudy import ActorSystem
from understudy.supervision.files import Files
from understudy.supervision.journal import Journals
from understudy.supervision.journal.line import seal
from understudy.supervision.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from understudy import ActorRef

BOOK = Book(amount=1)
TELLS = 100_000
LINES = 64 * 5_000
CHUNK = 64
"""Lines of one append, as an actor hands them over after a slice of messages."""
HALF = Settings().window // 2
"""Half of the lines that the journal row may be ahead of the disk: as many as an actor may be turns."""


class CountingFiles(Files):
    """The file system as it is, counting syncs."""

    def __init__(self) -> None:
        self.syncs = 0

    def fdatasync(self, fd: int) -> None:
        """Sync and count; called by one thread at a time for one journal."""
        super().fdatasync(fd)
        self.syncs += 1


def asks(callers: int, each: int, actors: int = 1) -> Callable[[], float]:
    """`callers` tasks ask `each` times, spread over `actors` ledgers. Durable replies per second.

    Each ledger has one durable turn before the clock starts: then its journal's file exists, as
    SQLite's file and table do.
    """

    async def main(home: Path) -> float:
        async with ActorSystem(home) as system:
            refs = [await system.spawn(Ledger, name=f"ledger-{i}") for i in range(actors)]
            for ref in refs:
                await ref.ask_async(BOOK)

            async def caller(ref: ActorRef[Ledger]) -> None:
                for _ in range(each):
                    await ref.ask_async(BOOK)

            started = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for number in range(callers):
                    nursery.start_soon(caller, refs[number % actors])
            return callers * each / (time.perf_counter() - started)

    def run() -> float:
        with fresh_folder() as home:
            return trio.run(main, home)

    return run


def tells(batches: list[int]) -> Callable[[], float]:
    """100,000 tells of one producer to one ledger, pipelined, and a last ask. Durable turns per second.

    Each run appends to `batches` how many turns a sync made durable on average.
    """

    async def main(home: Path) -> float:
        files = CountingFiles()
        async with ActorSystem(home, files=files) as system:
            ref = await system.spawn(Ledger, name="ledger")
            await ref.ask_async(Ping())
            syncs = files.syncs
            started = time.perf_counter()
            for _ in range(TELLS):
                await ref.tell_async(BOOK)
            total = await ref.ask_async(BOOK)
            took = time.perf_counter() - started
            expect(TELLS + 1, total)
            batches.append(max(1, TELLS // (files.syncs - syncs)))
            return TELLS / took

    def run() -> float:
        with fresh_folder() as home:
            return trio.run(main, home)

    return run


def appends(chunks: Sequence[bytes], batches: list[int]) -> Callable[[], float]:
    """The journal without an actor: chunks of `CHUNK` ready lines appended, pipelined.

    Half a window of lines is appended while the half before becomes durable, so that neither the
    producer nor the disk waits for the other longer than it must. Lines per second; each run appends
    to `batches` how many a sync made durable on average.
    """

    async def main(folder: Path) -> float:
        token = trio.lowlevel.current_trio_token()
        files = CountingFiles()
        journals = Journals(folder, files, token.run_sync_soon, Settings())
        journal = journals.open("alone")
        for _ in journal.replay(starting=True):
            pass
        room = trio.Event()
        journal.on_durable = lambda _watermark: room.set()
        syncs = files.syncs
        started = time.perf_counter()
        last = 0
        for chunk in chunks:
            if last % HALF == 0:
                await trio.lowlevel.checkpoint()
                while last - journal.watermark > HALF:
                    room = trio.Event()
                    await room.wait()
            last += CHUNK
            journal.append(chunk, last)
        await journal.settled()
        took = time.perf_counter() - started
        expect(last, journal.watermark)
        batches.append(last // (files.syncs - syncs))
        await trio.to_thread.run_sync(journals.close, 10.0)
        return last / took

    def run() -> float:
        with fresh_folder() as folder:
            return trio.run(main, folder)

    return run


def ready_lines(count: int) -> list[bytes]:
    """Lines as a ledger writes them, sealed."""
    body = (
        b'{"seq":%d,"ts":1795179817588846,"cause":"outside/%d","from":"","n":0,"mark":%d,'
        b'"events":[{"type":"Booked","v":1,"data":{"amount":1,"who":"customer-17",'
        b'"what":"sku-1,sku-2,sku-3"}}],"sends":[]'
    )
    return [seal(body % (seq, seq, max(0, seq - CHUNK))) for seq in range(1, count + 1)]


@contextlib.contextmanager
def _journal(_options: Options) -> Generator[Sides]:
    lines = ready_lines(LINES)
    chunks = [b"".join(lines[first : first + CHUNK]) for first in range(0, LINES, CHUNK)]
    batches: list[int] = [HALF]
    sides = Sides(
        appends(chunks, batches), lambda: peer_disk.raw_batches(chunks, CHUNK, batches[-1] // CHUNK)
    )
    yield sides
    sides.notes["lines_per_sync"] = batches[-1]


@contextlib.contextmanager
def _tells(_options: Options) -> Generator[Sides]:
    batches: list[int] = [HALF]
    sides = Sides(tells(batches), peer_disk.sqlite_batches(TELLS, lambda: batches[-1]))
    yield sides
    sides.notes["turns_per_sync"] = batches[-1]


def _asks(name: str, work: str, must: float, aim: float, ours: Callable[[], float]) -> Row:
    peer = plain(ours, peer_disk.sqlite_commits)
    return Row(name, work, "SQLite WAL, FULL, one commit each", must, aim, Better.HIGHER, "x", "/s", peer)


ROWS = (
    # Both make, encode and apply the same event, and each event is synced before its caller goes on.
    # Ours crosses to the writer's thread and back for that, SQLite calls fdatasync where it is.
    _asks("durable-ask", "durable asks, one caller", 0.45, 0.8, asks(1, 1_000)),
    # SQLite has one connection that commits once for each record, however many callers there are.
    _asks("durable-256-callers", "durable asks, 256 callers of one actor", 10, 20, asks(256, 40)),
    # Ours: 256 files. SQLite: one database, one commit for each record.
    _asks("durable-256-actors", "durable asks, 256 actors, one caller each", 2, 8, asks(256, 20, 256)),
    # Both get the same sealed lines. Ours: appends of 64 lines, half a window while the half
    # before is synced; the writer's thread takes what waits, joins, writes and syncs it, rotates
    # segments, and moves the watermark on the loop. Raw: joins, writes and syncs equally many at a time.
    Row(
        "journal",
        "the journal alone, pipelined appends of encoded lines",
        "raw write + fdatasync, equal batches",
        0.6,
        0.85,
        Better.HIGHER,
        "x",
        "/s",
        _journal,
    ),
    # Both make, encode and apply the same events and commit equally many at a time. Ours also takes
    # each as a message, and writes more a line: time, cause, watermark, checksum.
    Row(
        "durable-tells",
        "durable tells through one actor, pipelined",
        "SQLite encoding the same events, equal batches",
        0.4,
        0.75,
        Better.HIGHER,
        "x",
        "/s",
        _tells,
    ),
)
