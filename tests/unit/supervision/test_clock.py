"""The clocks: the machine's own and the virtual one."""

from __future__ import annotations

import time

import trio
from trio.testing import MockClock

from understudy.supervision.clock import Clock, SystemClock
from understudy.supervision.testing.clock import EPOCH_S, VirtualClock


def test_the_system_clock_is_the_machines() -> None:
    """Both of its times lie between two readings of the machine's."""
    clock: Clock = SystemClock()
    before = time.time(), time.monotonic()
    now = clock.time(), clock.monotonic()
    assert before <= now
    assert time.time() >= now[0]
    assert time.monotonic() >= now[1]


async def test_the_virtual_clock_moves_with_trios_time(mock_clock: MockClock) -> None:
    """Wall time and monotonic time go on by what the mock clock jumps."""
    clock: Clock = VirtualClock()
    start = clock.monotonic()
    mock_clock.jump(3600)
    assert (clock.time(), clock.monotonic() - start) == (EPOCH_S + 3600, 3600)


async def test_a_jump_of_the_virtual_wall_clock_leaves_the_monotonic_one_alone(mock_clock: MockClock) -> None:
    """In both directions."""
    clock = VirtualClock(epoch_s=1000)
    before = trio.current_time()
    clock.jump(-10)
    mock_clock.jump(1)
    assert (clock.time(), clock.monotonic()) == (991, before + 1)
