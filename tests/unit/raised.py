"""What user code may raise, of any base class."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
import trio


class OwnError(BaseException):
    """A base class of its own."""


def _group() -> BaseException:
    return BaseExceptionGroup("several", [SystemExit(2), ValueError("x")])


ERRORS: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(2),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "OwnError": OwnError,
    "Group": _group,
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "ValueError": lambda: ValueError("plain"),
    "Cancelled": cast("Any", trio.Cancelled)._create,
}

any_error = pytest.mark.parametrize("make", ERRORS.values(), ids=ERRORS.keys())
