"""Logging, configured here only: the library logs with stdlib `logging` and an `action`.

A console for people on standard error, and one JSON object a line in `HOME/logs/app.jsonl`.
"""

from __future__ import annotations

import logging
import sys
from logging.handlers import MemoryHandler
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from structlog.typing import EventDict, Processor, WrappedLogger

    from understudy.cli.settings import LogLevel

LOG_FILE = "logs/app.jsonl"
_KEPT_RECORDS = 10_000
_NEVER = logging.CRITICAL + 1


def configure(home: Path, level: LogLevel) -> Callable[[], None]:
    """Send every log record of the process to the console and to the home's log file.

    The console has colours on a terminal only; on a pipe it shows warnings and worse. A line that can't
    be written (a full disk) is dropped: the log is no truth, the journals are.

    Returns:
        what to call when the home is ours: until then nothing is written there, records are kept.
    """
    logging.raiseExceptions = False
    terminal = sys.stderr.isatty()
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(level if terminal else "WARNING")
    screen.addFilter(_not_told_otherwise)
    screen.setFormatter(_formatter(_console_renderer(colors=terminal), "%H:%M:%S"))
    waiting = MemoryHandler(_KEPT_RECORDS, flushLevel=_NEVER, flushOnClose=False)
    root = logging.getLogger()
    root.handlers[:] = [screen, waiting]
    root.setLevel(level)
    for chatty in ("httpx", "httpcore", "understudy.webui.server.hypercorn"):
        logging.getLogger(chatty).setLevel("WARNING")

    def open_file() -> None:
        path = home / LOG_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(_formatter(structlog.processors.JSONRenderer(), "iso"))
        root.addHandler(file)
        root.removeHandler(waiting)
        waiting.setTarget(file)
        waiting.flush()
        waiting.close()

    return open_file


def _not_told_otherwise(record: logging.LogRecord) -> bool:
    """Whether the screen needs it: `serve` itself prints where it listens."""
    return getattr(record, "action", "") != "listening"


def _console_renderer(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    """Plain tracebacks: rich ones print local variables, and with them secrets."""
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


def _formatter(renderer: Processor, time_format: str) -> logging.Formatter:
    """A formatter that takes the `extra` fields of stdlib records over and renders them last."""
    utc = time_format == "iso"
    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt=time_format, utc=utc, key="time" if utc else "timestamp"),
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if utc:
        last += [structlog.processors.format_exc_info, structlog.processors.EventRenamer("message")]
        last += [_category]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=[*last, renderer])


def _category(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:  # noqa: ARG001 - structlog's shape
    """Rename the logger's name to `category` (OP-1)."""
    if "logger" in event:
        event["category"] = event.pop("logger")
    return event
