"""Small journals for tests: lines, a service on the running loop, and what a start reads."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from understudy.supervision.files import Files
from understudy.supervision.journal import Chunk, Journal, Journals, Snapshot, seal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from pathlib import Path

_CLOSE_S = 5.0


@dataclass(frozen=True)
class SmallSettings:
    """Settings that may be smaller than those of a real system."""

    segment_bytes: int = 1 << 20
    open_files: int = 8
    sync_threads: int = 2


def make_line(seq: int, *, mark: int | None = None, text: str = "text") -> bytes:
    """A sealed line of one event; `mark` is by default what a writer that waits for each line knows."""
    event = b'{"type":"Written","v":1,"data":{"text":"%b"}}' % text.encode()
    return seal(
        b'{"seq":%d,"ts":1795179817588846,"cause":"outside/%d","from":"","n":0,"mark":%d,"events":[%b],"sends":[]'
        % (seq, seq, seq - 1 if mark is None else mark, event)
    )


def make_lines(first: int, last: int, *, text: str = "text") -> list[bytes]:
    """Lines `first` to `last`."""
    return [make_line(seq, text=text) for seq in range(first, last + 1)]


def write_segment(folder: Path, lines: Iterable[bytes], *, first_seq: int = 1, epoch: int = 1) -> Path:
    """A segment's file as a writer would have left it (nothing is synced)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{first_seq:016d}-{epoch:04d}.jsonl"
    path.write_bytes(b"".join(lines))
    return path


@asynccontextmanager
async def open_journals(
    folder: Path, files: Files | None = None, settings: SmallSettings | None = None
) -> AsyncGenerator[Journals]:
    """A journal service that posts to the running loop."""
    post = _poster(trio.lowlevel.current_trio_token())
    journals = Journals(folder, files or Files(), post, settings or SmallSettings())
    try:
        yield journals
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(journals.close, _CLOSE_S)


def _poster(token: trio.lowlevel.TrioToken) -> Callable[[Callable[[], None]], None]:
    def post(call: Callable[[], None]) -> None:
        try:
            token.run_sync_soon(call)
        except trio.RunFinishedError:
            return

    return post


def read(journal: Journal, *, starting: bool = True, proven: int = 0) -> list[bytes]:
    """All lines of a replay, after its snapshot."""
    lines: list[bytes] = []
    for item in journal.replay(starting=starting, proven=proven):
        if isinstance(item, Chunk):
            lines += item.lines
    return lines


def read_snapshot(journal: Journal) -> Snapshot | None:
    """The snapshot that a replay begins with; the replay is read to its end."""
    snapshots = [item for item in journal.replay(starting=True) if isinstance(item, Snapshot)]
    return snapshots[0] if snapshots else None


async def append(journal: Journal, lines: list[bytes], last_seq: int) -> None:
    """Append and wait until the lines are durable.

    Raises:
        OSError: the journal's problem.
    """
    journal.append(b"".join(lines), last_seq)
    with trio.fail_after(_CLOSE_S):
        await journal.settled()
    if journal.problem is not None:
        raise journal.problem
