"""Repeated records are counted."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from understudy.cli.log_repeats import WINDOW_S, WRITTEN, RepeatLimit


class Kept(logging.Handler):
    """Keeps what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def limited(clock: list[float]) -> Generator[tuple[logging.Logger, Kept]]:
    """A logger whose records pass a limit."""
    kept, log = Kept(), logging.getLogger("tests.repeats")
    handler = RepeatLimit(kept, clock=lambda: clock[0])
    log.addHandler(handler)
    log.propagate, log.level = False, logging.INFO
    try:
        yield log, kept
    finally:
        log.removeHandler(handler)


def test_a_thousand_alike_are_a_few_lines_and_their_number() -> None:
    """Whatever their arguments are; the next one after the window says how many there were."""
    clock = [0.0]
    with limited(clock) as (log, kept):
        for number in range(1000):
            log.warning("no descriptor for %d", number)
        assert len(kept.lines) == WRITTEN
        assert kept.lines[-1] == "no descriptor for 4 (more like it are counted for 60 s)"
        clock[0] = WINDOW_S
        log.warning("no descriptor for %d", 1000)
        assert kept.lines[WRITTEN:] == ["no descriptor for 1000 (and 995 more like it in 60 s)"]


def test_others_pass_meanwhile() -> None:
    """Of another text, level or type of exception, and all that is no warning."""
    with limited([0.0]) as (log, kept):
        for number in range(100):
            log.warning("the first")
            log.info("told %d", number)
        log.error("the first")
        log.warning("the second")
        try:
            raise ValueError
        except ValueError:
            log.warning("the first", exc_info=True)
        assert len(kept.lines) == WRITTEN + 100 + 3
