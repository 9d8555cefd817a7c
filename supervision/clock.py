"""The clock that a system is given: nothing in the runtime reads the time in any other way."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, and how much of it has passed."""

    def time(self) -> float:
        """Wall-clock time, in seconds since the epoch. It can jump in both directions."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never steps back. Only differences mean something."""
        ...


class SystemClock:
    """The machine's own clock; callable from any thread."""

    def time(self) -> float:
        """Wall-clock time of the machine, in seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """The machine's monotonic clock, in seconds."""
        return time.monotonic()
