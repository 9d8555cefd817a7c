"""The output of an attempt, kept within bounds: its end in memory, its start in a file."""

from __future__ import annotations

import logging
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from understudy.protocols.errors import OutOfResources
from understudy.protocols.tasks import EXCERPT_BYTES, FILE_BYTES, RECORD_BYTES, Output
from understudy.supervision.blocking import in_thread
from understudy.supervision.files import REPLACE, Files

if TYPE_CHECKING:
    from understudy.supervision.blocking import RunBlocking

log = logging.getLogger("understudy.workers")


class Capture:
    """Takes bytes as they come; a file is made only when they are more than the record keeps.

    The file is not synced: after a crash of the machine it may be short, and the record is the truth.
    What comes with `put` is written to it at the next `flush`, so that the loop never waits for a disk.

    Args:
        home: the home's folder; the file lies in it.
        name: the file's path in the home.
        record_bytes, file_bytes: the two bounds.
        run_blocking: how the writing is kept off the loop.
        files: what it is written with.
    """

    __slots__ = (
        "_broken", "_file", "_file_bytes", "_files", "_home", "_lock", "_name", "_order", "_pending",
        "_record_bytes", "_run_blocking", "_tail", "_taken", "_written", "total",
    )  # fmt: skip

    def __init__(
        self,
        home: Path,
        name: str,
        *,
        record_bytes: int = RECORD_BYTES,
        file_bytes: int = FILE_BYTES,
        run_blocking: RunBlocking = in_thread,
        files: Files | None = None,
    ) -> None:
        self._files = files or Files()
        self._run_blocking = run_blocking
        self._home = home
        self._name = name
        self._record_bytes = record_bytes
        self._file_bytes = file_bytes
        self._tail = bytearray()
        self._pending = bytearray()
        self._taken = 0  # by the file or for it
        self._written = 0
        self._file: int | None = None  # a descriptor of `files`
        self._broken = False
        self._lock: threading.Lock | None = None
        self._order: trio.Lock | None = None
        self.total = 0

    def shared(self) -> None:
        """From now on `put` may be called from another thread."""
        self._lock = threading.Lock()

    def put(self, data: bytes) -> None:
        """Keep `data`, or what of it is within the bounds. Never waits for the disk."""
        if self._lock is None:
            self._put(data)
        else:
            with self._lock:
                self._put(data)

    async def write(self, data: bytes) -> None:
        """The same, and wait until it is written, so that who writes is held back by a slow disk."""
        self.put(data)
        if self._pending:
            await self.flush()

    def skip(self, count: int) -> None:
        """`count` bytes were written but could not be had."""
        self.total += count

    async def flush(self) -> None:
        """Write to the file what waits for it."""
        if self._order is None:
            self._order = trio.Lock()
        async with self._order:
            if data := self._take():
                # In a thread: a full page cache makes a writer wait, and the loop must not.
                try:
                    await self._run_blocking(self._append, data, limiter=trio.CapacityLimiter(1))
                except OutOfResources:  # no thread is left
                    self._append(data)

    async def close(self) -> Output:
        """Close the file; what there is of the output."""
        if not self.total:
            return NOTHING
        if self._pending or self._file is not None:
            with trio.CancelScope(shield=True):
                await self.flush()
                try:
                    await self._run_blocking(self._close, limiter=trio.CapacityLimiter(1))
                except OutOfResources:
                    self._close()
        return self.now()

    def now(self) -> Output:
        """What there is of the output so far."""
        tail = bytes(self._tail)
        return Output(
            text=decode_tail(tail),
            total_bytes=self.total,
            cut=self.total > len(tail),
            file=self._name if self._written else None,
            file_cut=self._written > 0 and self.total > self._written,
        )

    def end(self, limit_bytes: int) -> str:
        """The end of the output so far."""
        return decode_tail(bytes(self._tail[-limit_bytes:]))

    def _put(self, data: bytes) -> None:
        self.total += len(data)
        goes_on = self._taken or self.total > self._record_bytes
        if goes_on and not self._broken and (room := self._file_bytes - self._taken) > 0:
            piece = (data if self._taken else bytes(self._tail) + data)[:room]
            self._taken += len(piece)
            self._pending += piece
        self._tail += data
        if len(self._tail) > self._record_bytes:
            del self._tail[: -self._record_bytes]

    def _take(self) -> bytearray:
        """What waits for the file. Taken on the loop: a thread must not exchange what the loop adds to."""
        with self._lock or nullcontext():
            data, self._pending = self._pending, bytearray()
        return data

    def _append(self, data: bytearray) -> None:
        try:
            if self._file is None:
                path = self._home / self._name
                self._files.make_folders(path.parent)
                self._file = self._files.open(path, REPLACE)
            self._files.write_all(self._file, bytes(data))
            self._written += len(data)
        except OSError as error:
            self._give_up(error)

    def _close(self) -> None:
        try:
            if self._file is not None:
                file, self._file = self._file, None
                self._files.close(file)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._broken = True
        log.warning(
            "can't keep the output in %s: %s", self._home / self._name, error, extra={"action": "output_lost"}
        )


NOTHING = Output()
"""Of an attempt that wrote nothing."""


def decode_tail(data: bytes) -> str:
    """Text of bytes that may start in the middle of a character; what is not UTF-8 is replaced."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:  # noqa: PLR2004 - a continuation byte
        start += 1
    # A NUL can't be shown, and a lone one makes grep take a journal for binary.
    return data[start:].decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")


def excerpt(output: Output, limit_bytes: int = EXCERPT_BYTES) -> tuple[str, bool]:
    """What `limit_bytes` of UTF-8 hold of an output; whether that, or the record, lacks something.

    A quarter of its start and three of its end: the end mostly says how it went, the start what it
    was about. Only the end when the record has lost the start.
    """
    data = output.text.encode("utf-8", "replace")
    if len(data) <= limit_bytes and not output.cut:
        return output.text, False
    head = b"" if output.cut else data[: limit_bytes // 4]
    tail = decode_tail(data[-(limit_bytes - len(head)) :])
    start = head.decode("utf-8", "ignore")
    left_out = max(output.total_bytes, len(data)) - len(start.encode()) - len(tail.encode())
    return f"{start}\n[… {left_out} bytes left out …]\n{tail}".lstrip("\n"), True
