"""How a blocking call is made from the loop: in a thread, or in simulations at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, TypeVarTuple

import trio

from understudy.protocols.errors import WouldDeadlock
from understudy.supervision.wants import out_of, want_of

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class RunBlocking(Protocol):
    """The shape of both; `ActorSystem.run_blocking` is one of them."""

    async def __call__(
        self,
        function: Callable[[*Ts], T],
        /,
        *arguments: *Ts,
        limiter: trio.CapacityLimiter | None = None,
    ) -> T:
        """What `function` returns for these arguments.

        A cancellation waits for its end: not for what may never return.

        Args:
            function: may block; must not touch what belongs to the loop.
            arguments: of it, by position.
            limiter: of threads; trio's of forty by default, which all share.
        """
        ...


async def in_thread(
    function: Callable[[*Ts], T], /, *arguments: *Ts, limiter: trio.CapacityLimiter | None = None
) -> T:
    """In one of trio's threads: the loop goes on meanwhile.

    Raises:
        WouldDeadlock: called from another loop than trio's.
        OutOfResources: no thread can be started; `function` was not called.
    """
    if not trio.lowlevel.in_trio_task():
        msg = "expected a task of the system's own loop for run_blocking, got another loop or thread"
        raise WouldDeadlock(msg)
    begun = False

    def call() -> T:
        nonlocal begun
        begun = True
        return function(*arguments)

    try:
        return await trio.to_thread.run_sync(call, limiter=limiter)
    except (RuntimeError, MemoryError) as error:
        if begun or (want := want_of(error)) is None:
            raise
        raise out_of(want, "make a blocking call", error) from error


async def at_once(
    function: Callable[[*Ts], T],
    /,
    *arguments: *Ts,
    limiter: trio.CapacityLimiter | None = None,  # noqa: ARG001 - there are no threads to limit
) -> T:
    """On the loop, after a checkpoint: others get a turn as they would, and no thread is needed."""
    await trio.lowlevel.checkpoint()
    return function(*arguments)
