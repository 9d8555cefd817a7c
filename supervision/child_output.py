"""What a child prints: read from its pipe all the time, kept up to a bound."""

from __future__ import annotations

import fcntl
import os
import sys
from collections import deque
from contextlib import suppress
from typing import Final

import trio

CHUNK_BYTES: Final = 64 * 1024
BUFFER_BYTES: Final = 1024 * 1024
_PATIENCE_S: Final = 5.0


class ChildOutput:
    """The reading end of a child's pipe, and what was read and not yet taken.

    A full buffer makes the child wait for the reader (who may be writing to a disk). When nobody
    comes for `patience_s`, the oldest is dropped from then on, until somebody comes.

    Attributes:
        finished: nothing more will come.
        dropped_bytes: how much was dropped.
    """

    def __init__(
        self, pipe: int, *, bound_bytes: int = BUFFER_BYTES, patience_s: float = _PATIENCE_S
    ) -> None:
        self.finished = trio.Event()
        self.dropped_bytes = 0
        self._pipe = pipe
        self._bound_bytes = bound_bytes
        self._patience_s = patience_s
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._dropping = False
        self._data = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    async def pump(self) -> None:
        """Move output from the pipe to the buffer until the pipe ends."""
        while True:
            await trio.lowlevel.wait_readable(self._pipe)
            try:
                chunk = os.read(self._pipe, CHUNK_BYTES)
            except BlockingIOError:
                continue
            if not chunk:
                break
            self._keep(chunk)
            await self._make_room()
        self._finish()

    async def take(self) -> bytes:
        """All that is there, as soon as there is something; `b""` at the end."""
        await trio.lowlevel.checkpoint()
        self._dropping = False
        while not self._chunks and not self.finished.is_set():
            await self._data.park()
        taken = b"".join(self._chunks)
        self._chunks.clear()
        self._bytes = 0
        self._room.unpark_all()
        return taken

    def drop_rather_than_wait(self) -> None:
        """From now on, until somebody takes something, drop rather than wait for a reader."""
        self._dropping = True
        self._room.unpark_all()

    def close(self) -> None:
        """Take what the pipe still holds, and close it."""
        if not self.finished.is_set():
            self._sweep()
        os.close(self._pipe)

    def _sweep(self) -> None:
        """Read what is in the pipe, but not for ever: who left the group may go on writing."""
        capacity = fcntl.fcntl(self._pipe, fcntl.F_GETPIPE_SZ) if sys.platform == "linux" else CHUNK_BYTES
        with suppress(BlockingIOError):
            for _ in range(0, capacity, CHUNK_BYTES):
                if not (chunk := os.read(self._pipe, CHUNK_BYTES)):
                    break
                self._keep(chunk)
        self._finish()

    async def _make_room(self) -> None:
        """Wait for room; after a while without a reader, drop the oldest."""
        while self._bytes >= self._bound_bytes and not self._dropping:
            with trio.move_on_after(self._patience_s) as scope:
                await self._room.park()
            if scope.cancelled_caught:
                self._dropping = True
        while self._bytes > self._bound_bytes:
            oldest = self._chunks.popleft()
            self._bytes -= len(oldest)
            self.dropped_bytes += len(oldest)

    def _keep(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._bytes += len(chunk)
        self._data.unpark_all()

    def _finish(self) -> None:
        self.finished.set()
        self._data.unpark_all()
