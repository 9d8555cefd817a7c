"""Run a program on a virtual clock, in the same order each time."""

from __future__ import annotations

import gc
import math
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import trio
import trio.testing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from random import Random

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run_simulated(
    function: Callable[[*Ts], Awaitable[T]], *arguments: *Ts, seed: int = 0, within_s: float = math.inf
) -> T:
    """What `await function(*arguments)` returns, run by trio on a virtual clock.

    Hours take no time: whenever all tasks wait, the clock jumps to the next deadline. Trio's choice of
    which task runs next, which it makes at random, follows from `seed`: with an
    `ActorSystem(inline=True, seed=seed, clock=VirtualClock(), files=MemoryFiles())` the same seed gives
    the same journals, to the byte. No threads, sockets or processes: the clock would not wait for them.

    Args:
        function: an async function.
        arguments: of it.
        seed: of the order of tasks.
        within_s: virtual seconds after which it is taken to be stuck.

    Raises:
        trio.TooSlowError: it was.
        Exception: what `function` raised.
    """

    async def bounded() -> T:
        with trio.fail_after(within_s):
            return await function(*arguments)

    with _deterministic(seed):
        return trio.run(bounded, clock=trio.testing.MockClock(autojump_threshold=0))


@contextmanager
def _deterministic(seed: int) -> Generator[None]:
    """Trio's order of tasks from a seed, by the hook that trio has for hypothesis.

    Its switch is `trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING` (tasks of a batch are sorted before
    they are shuffled), its source of chance `_r`; trio's documentation names neither, its own tests and
    pytest-trio use both. A collection of garbage in the middle could run finalizers at another place
    in each run, so it waits.
    """
    run: Any = import_module("trio._core._run")
    chance: Random = run._r  # noqa: SLF001
    allowed: bool = run._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001
    state = chance.getstate()
    collecting = gc.isenabled()
    run._ALLOW_DETERMINISTIC_SCHEDULING = True  # noqa: SLF001
    chance.seed(seed)
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        chance.setstate(state)
        run._ALLOW_DETERMINISTIC_SCHEDULING = allowed  # noqa: SLF001
