"""The callback: a function of the program that embeds the cast."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import trio

from understudy.actors.notifier.sinks.sink import NotDelivered

if TYPE_CHECKING:
    from understudy.actors.notifier.sinks.config import CallbackConfig
    from understudy.protocols.notifications import Delivery


class Callback:
    """Calls an async function in the loop, and any other one in a thread, as it may block.

    A thread can't be ended: one that takes too long is left behind, and counts as one of the sink's until
    it ends. So a function that hangs holds up its own sink and nothing else.
    """

    def __init__(self, config: CallbackConfig) -> None:
        self._function = config.function
        call = getattr(config.function, "__call__", None)  # noqa: B004 - of an object: is that one async?
        self._is_async = inspect.iscoroutinefunction(config.function) or inspect.iscoroutinefunction(call)
        self._limiter = trio.CapacityLimiter(config.concurrency)

    async def deliver(self, delivery: Delivery) -> None:
        """Make one attempt.

        Raises:
            NotDelivered: the function wants to end the program.
            Exception: whatever the function raises.
        """
        try:
            if self._is_async:
                await self._function(delivery)
                return
            result = await trio.to_thread.run_sync(
                self._function, delivery, limiter=self._limiter, abandon_on_cancel=True
            )
            if inspect.isawaitable(result):
                await result
        except SystemExit as error:
            raise NotDelivered(f"the function called for an exit ({error})") from error
