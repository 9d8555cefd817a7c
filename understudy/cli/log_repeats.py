"""Repeated warnings and errors of a log: the first ones are written, the others are counted."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S = 60.0
"""A record that is like an earlier one is counted for so long after the first of them."""
WRITTEN = 5
"""So many alike are written within a window."""
_KINDS = 1000
"""So many kinds of records are told apart; the oldest are forgotten."""

_Kind = tuple[str, int, str, "type[BaseException] | None"]


@dataclass
class _Seen:
    """Records of one kind in one window."""

    began: float
    count: int = 0


class RepeatLimit(logging.Handler):
    """Hands records to its targets, and of many that are alike the first ones only.

    Alike are records of one logger, level, text (before its arguments are put in) and type of exception.
    What was held back is told with the next one that is written. Records below WARNING always pass.
    """

    def __init__(self, *targets: logging.Handler, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.targets = list(targets)
        self._clock = clock
        self._seen: dict[_Kind, _Seen] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the record on, unless it is one of too many."""
        if record.levelno >= logging.WARNING and not self._may_pass(record):
            return
        for target in tuple(self.targets):
            if record.levelno >= target.level:
                target.handle(record)

    def close(self) -> None:
        """Close the targets."""
        for target in self.targets:
            target.close()
        super().close()

    def _may_pass(self, record: logging.LogRecord) -> bool:
        kind = (record.name, record.levelno, str(record.msg), record.exc_info[0] if record.exc_info else None)
        now = self._clock()
        seen = self._seen.get(kind)
        if seen is None or now - seen.began >= WINDOW_S:
            self._begin(kind, now)
            held_back = 0 if seen is None else seen.count - WRITTEN
            if held_back > 0 and seen is not None:
                told = f"and {held_back} more like it in {now - seen.began:.0f} s"
                record.msg, record.args = f"{record.getMessage()} ({told})", ()
            return True
        seen.count += 1
        if seen.count == WRITTEN:
            told = f"more like it are counted for {WINDOW_S:.0f} s"
            record.msg, record.args = f"{record.getMessage()} ({told})", ()
        return seen.count <= WRITTEN

    def _begin(self, kind: _Kind, now: float) -> None:
        self._seen.pop(kind, None)
        if len(self._seen) >= _KINDS:
            del self._seen[next(iter(self._seen))]
        self._seen[kind] = _Seen(now, 1)
