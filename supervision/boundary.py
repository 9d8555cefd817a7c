"""The boundary around user code: nothing that it raises goes further, whatever its base class."""

from __future__ import annotations

import math
from typing import cast

import trio

from understudy.protocols.base import described
from understudy.protocols.errors import UserCodeExit


def contained(error: BaseException) -> Exception:
    """`error` as its caller and the supervisor get it: itself, or `UserCodeExit` when it is no `Exception`.

    For code that can't be cancelled, such as plain functions; see `contained_unless_cancelled`.
    """
    if isinstance(error, Exception):
        return error
    wrapped = UserCodeExit(f"user code raised {described(error)}, which is no Exception")
    wrapped.__cause__ = error
    return wrapped


def contained_unless_cancelled(error: BaseException) -> Exception:
    """As `contained`, for code that awaits: the cancellation of the running task goes on.

    `trio.Cancelled` that no scope around the running task has asked for is the user's own, kept from
    elsewhere: raised further, it would end tasks that nobody cancelled.

    Raises:
        trio.Cancelled: a scope around the running task is cancelled (or a group of nothing else).
    """
    if not isinstance(error, Exception) and trio.current_effective_deadline() == -math.inf:
        if isinstance(error, trio.Cancelled):
            raise error
        if isinstance(error, BaseExceptionGroup):
            cancelled = cast("BaseExceptionGroup[BaseException]", error).subgroup(trio.Cancelled)
            if cancelled is not None:
                raise cancelled
    return contained(cast("BaseException", error))
