"""The executor for Python callables: for programs that embed the pool, and for tests."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from understudy.actors.workers.executor import Attempt


class CallableExecutor:
    """Runs a callable in the loop.

    Args:
        function: called with the attempt; plain (and short: it holds up the loop) or async. What it
            returns is the exit code, None for 0.
    """

    def __init__(self, function: Callable[[Attempt], int | Awaitable[int | None] | None]) -> None:
        self._function = function

    async def run(self, attempt: Attempt) -> int:
        """The callable's result."""
        result = self._function(attempt)
        if inspect.isawaitable(result):
            result = await result
        return result or 0


def succeed(_attempt: Attempt) -> None:
    """Does nothing, well."""
