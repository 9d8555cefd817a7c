"""How a foreign thread wakes the loop: an eventfd of our own.

`TrioToken.run_sync_soon` goes through trio's own wake-up socket, lock and queue: foreign asks were
measured at 0.58 to 0.85 of pykka's with it and at 0.8 to 1.1 without (rule S1).
"""

from __future__ import annotations

import os
import sys

import trio


class Wakeup:
    """One waiting task, many waking threads. Wakes before the wait are not lost; several are one."""

    def __init__(self) -> None:
        if sys.platform == "linux":
            self._read = self._write = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._read, self._write = os.pipe()
            os.set_blocking(self._read, False)
            os.set_blocking(self._write, False)

    def wake(self) -> None:
        """From any thread. A full pipe means that a wake is on its way already."""
        try:
            os.write(self._write, b"\1\0\0\0\0\0\0\0")
        except BlockingIOError:
            return

    async def wait(self) -> None:
        """Until somebody called `wake` since the last wait."""
        await trio.lowlevel.wait_readable(self._read)
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the descriptors back. Nobody may wake any more."""
        trio.lowlevel.notify_closing(self._read)
        os.close(self._read)
        if self._write != self._read:
            os.close(self._write)
