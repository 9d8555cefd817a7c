"""Without the garbage collector, while much is made that is kept."""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

_lock = threading.Lock()
_inside = 0
_was_enabled = False


@contextmanager
def uncollected() -> Generator[None]:
    """All that is made is kept: the collector would look through it again and again, for most of the time.

    For the whole process; threads may be in it at the same time, and the last one out switches it on again.
    """
    global _inside, _was_enabled  # noqa: PLW0603 - the collector is the process's
    with _lock:
        if not _inside:
            _was_enabled = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside and _was_enabled:
                gc.enable()
