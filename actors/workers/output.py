"""The output of an attempt, kept within bounds: its end in memory, its start in a file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import IO, TYPE_CHECKING

import trio

from understudy.protocols.tasks import EXCERPT_BYTES, FILE_BYTES, RECORD_BYTES, Output
from understudy.supervision.blocking import in_thread

if TYPE_CHECKING:
    from understudy.supervision.blocking import RunBlocking

log = logging.getLogger("understudy.workers")


class Capture:
    """Takes bytes as they come; a file is made only when they are more than the record keeps.

    The file is not synced: after a crash of the machine it may be short, and the record is the truth.

    Args:
        home: the home's folder; the file lies in it.
        name: the file's path in the home.
        record_bytes, file_bytes: the two bounds.
        run_blocking: how the writing is kept off the loop.
    """

    def __init__(
        self,
        home: Path,
        name: str,
        *,
        record_bytes: int = RECORD_BYTES,
        file_bytes: int = FILE_BYTES,
        run_blocking: RunBlocking = in_thread,
    ) -> None:
        self._run_blocking = run_blocking
        self._path = home / name
        self._name = name
        self._record_bytes = record_bytes
        self._file_bytes = file_bytes
        self._tail = bytearray()
        self._total = 0
        self._file: IO[bytes] | None = None
        self._written = 0
        self._broken = False

    async def write(self, data: bytes) -> None:
        """Keep `data`, or what of it is within the bounds."""
        before = b"" if self._written else bytes(self._tail)
        self._total += len(data)
        self._tail += data
        if self._total <= self._record_bytes:
            return
        del self._tail[: -self._record_bytes]
        room = self._file_bytes - self._written
        if room > 0 and not self._broken:
            # In a thread: a full page cache makes a writer wait, and the loop must not.
            await self._run_blocking(self._append, (before + data)[:room], limiter=trio.CapacityLimiter(1))

    def skip(self, count: int) -> None:
        """`count` bytes were written but could not be had."""
        self._total += count

    async def close(self) -> Output:
        """Close the file; what there is of the output."""
        if self._file is not None:
            file, self._file = self._file, None
            with trio.CancelScope(shield=True):
                await self._run_blocking(self._close, file, limiter=trio.CapacityLimiter(1))
        return Output(
            text=decode_tail(bytes(self._tail)),
            total_bytes=self._total,
            cut=self._total > len(self._tail),
            file=self._name if self._written else None,
            file_cut=self._written > 0 and self._total > self._written,
        )

    def _append(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("wb")
            self._file.write(data)
            self._written += len(data)
        except OSError as error:
            self._give_up(error)

    def _close(self, file: IO[bytes]) -> None:
        try:
            file.close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._broken = True
        log.warning("can't keep the output in %s: %s", self._path, error, extra={"action": "output_lost"})


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
