"""Wants: the machine has no descriptor, memory, thread or process left. An outage, not a failure."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

from understudy.protocols.errors import OutOfResources

if TYPE_CHECKING:
    from collections.abc import Generator

RESUME_EVERY_S: Final = 2.0
"""How often an actor that a want has halted tries to go on by itself."""

_BY_ERRNO: Final = {
    errno.EMFILE: "file descriptors",
    errno.ENFILE: "file descriptors",
    errno.ENOMEM: "memory",
    errno.EAGAIN: "processes",
    errno.ENOBUFS: "memory",
}
_NO_THREAD: Final = "can't start new thread"
_DEPTH: Final = 10


def want_of(error: BaseException | None) -> str | None:
    """What the machine lacks, in words, when that is why `error` or one of its causes came; else None."""
    for _ in range(_DEPTH):
        if error is None:
            break
        if (found := _want(error)) is not None:
            return found
        error = error.__cause__ or error.__context__
    return None


def _want(error: BaseException) -> str | None:
    if isinstance(error, OutOfResources):
        return error.want
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0)
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return "threads"
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return next((want for each in inner if (want := want_of(each)) is not None), None)
    return None


@contextmanager
def wants_named(what: str) -> Generator[None]:
    """Name what is lacking when the block ends with an error that a want has caused.

    Args:
        what: what was to be done: "start a thread".

    Raises:
        OutOfResources: in the place of such an error; others go on as they are.
    """
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as error:
        if (want := want_of(error)) is None:
            raise
        raise out_of(want, what, error) from error


def out_of(want: str, what: str, error: BaseException) -> OutOfResources:
    """The typed error for a want."""
    said = str(error) or type(error).__name__
    msg = (
        f"expected {want} to {what}, got {said}: it is tried again; raise the limit, or end what uses them up"
    )
    return OutOfResources(msg, want=want)
