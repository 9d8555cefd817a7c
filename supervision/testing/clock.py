"""A clock for tests that follows trio's virtual time."""

from __future__ import annotations

import trio

EPOCH_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z, where a virtual clock starts unless told otherwise."""


class VirtualClock:
    """A clock that moves with `trio.current_time()`: under `trio.testing.MockClock`, only when told to.

    Usable inside `trio.run` only. Give it to the system and run the test with `MockClock` or
    pytest-trio's `autojump_clock`: waits of hours take no time, and nothing depends on the machine.
    Keep worker threads out of such tests: trio's autojump takes a busy thread for idleness.

    Args:
        epoch_s: the wall-clock time at which it starts, in seconds since the epoch.

    Attributes:
        jumps: the wall time before and after each jump, in their order.
    """

    def __init__(self, epoch_s: float = EPOCH_S) -> None:
        self._wall_offset_s = epoch_s - trio.current_time()
        self.jumps: list[tuple[float, float]] = []

    def time(self) -> float:
        """Virtual wall-clock time, in seconds since the epoch."""
        return self._wall_offset_s + trio.current_time()

    def monotonic(self) -> float:
        """Trio's own time; `jump` does not change it."""
        return trio.current_time()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back when negative, as an administrator or NTP would."""
        self.jumps.append((self.time(), self.time() + seconds))
        self._wall_offset_s += seconds
