"""The disk's own limit, and SQLite, doing the durable rows' work. SQLite is a peer here and nothing else."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from tests.benchmarks.cast import Booked
from tests.benchmarks.rows import fresh_folder
from understudy.supervision.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

SINGLES = 1_000
FILES = Files()
"""Syncs as our journals do: fdatasync, or F_FULLFSYNC on macOS."""
LINE = (
    b'{"seq":100001,"ts":1795179817588846,"cause":"outside/100001","from":"","n":0,"mark":99000,'
    b'"events":[{"type":"Booked","v":1,"data":{"amount":1,"who":"customer-17",'
    b'"what":"sku-1,sku-2,sku-3"}}],"sends":[],"crc":"12345678"}\n'
)
"""A line as long as the ledger's."""


def raw_syncs() -> float:
    """Write and `fdatasync` of one ready line at a time, to one file. Per second."""
    with fresh_folder() as folder, _appending(folder) as write:
        started = time.perf_counter()
        for _ in range(SINGLES):
            write(LINE)
        return SINGLES / (time.perf_counter() - started)


def raw_batches(chunks: Sequence[bytes], lines: int, batch: int) -> float:
    """Join, write and sync `batch` ready chunks at a time, each of `lines` lines. Lines per second."""
    batch = max(1, batch)
    with fresh_folder() as folder, _appending(folder) as write:
        started = time.perf_counter()
        for first in range(0, len(chunks), batch):
            write(b"".join(chunks[first : first + batch]))
        return len(chunks) * lines / (time.perf_counter() - started)


def sqlite_commits() -> float:
    """Make, encode and apply one event, insert it, commit: one at a time. Commits per second."""
    with fresh_folder() as folder:
        database = _open(folder)
        total = 0
        started = time.perf_counter()
        for _ in range(SINGLES):
            event = _event()
            database.execute("insert into journal(actor, event) values(?, ?)", _row(event))
            total += event.amount
        took = time.perf_counter() - started
        database.close()
        return SINGLES / took


def sqlite_batches(count: int, batch: Callable[[], int]) -> Callable[[], float]:
    """Make, encode and apply `count` events and insert them, a commit for every `batch()`. Per second."""

    def run() -> float:
        size = batch()
        with fresh_folder() as folder:
            database = _open(folder)
            started = time.perf_counter()
            for first in range(0, count, size):
                database.execute("begin immediate")
                database.executemany(
                    "insert into journal(actor, event) values(?, ?)", _rows(min(size, count - first))
                )
                database.execute("commit")
            took = time.perf_counter() - started
            database.close()
            return count / took

    return run


def _rows(count: int) -> Iterator[tuple[str, bytes]]:
    total = 0
    for _ in range(count):
        event = _event()
        total += event.amount
        yield _row(event)


def _event() -> Booked:
    return Booked(amount=1, who="customer-17", what="sku-1,sku-2,sku-3")


def _row(event: Booked) -> tuple[str, bytes]:
    """What SQLite keeps: less than our line (no time, cause, sender, checksum), in its favour."""
    return "ledger", event.__pydantic_serializer__.to_json(event)


def _open(folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(folder / "journal.db", isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("pragma fullfsync=on")  # only macOS has it
    database.execute("create table journal(seq integer primary key, actor text, event blob)")
    return database


@contextlib.contextmanager
def _appending(folder: Path) -> Generator[Callable[[bytes], None]]:
    """A new file and the function that appends to it, durably."""
    file = os.open(folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(data: bytes) -> None:
        os.write(file, data)
        FILES.fdatasync(file)

    try:
        yield write
    finally:
        os.close(file)
