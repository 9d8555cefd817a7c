"""Logging, configured here only: the library logs with stdlib `logging` and an `action`.

A console for people on standard error, and the home's one log, `HOME/logs/app.jsonl`: a JSON object a
line with the fields of `FIELDS`, secrets redacted (OP-1). docs/reference/log.md says what they hold.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import stat
import sys
from collections.abc import Mapping
from io import StringIO, TextIOWrapper
from logging.handlers import MemoryHandler, RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

import structlog

from understudy.cli.actions import ACTIONS
from understudy.cli.log_repeats import RepeatLimit
from understudy.cli.redaction import redact, redact_text
from understudy.cli.visible import visible
from understudy.protocols.errors import HomeNotWritable

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

    from understudy.cli.config import LogConfig
    from understudy.cli.settings import LogLevel

LOG_FILE = "logs/app.jsonl"
FIELDS = ("time", "level", "category", "operator", "action", "message", "context", "tool", "parameters")
"""Of each line, in this order; `exception` follows where there is one. What else is logged is `context`."""
OPERATOR = "runtime"
"""Who did it, where a record does not say."""
_KEPT_RECORDS = 10_000
_NEVER = logging.CRITICAL + 1


class _Screen(logging.StreamHandler[TextIO]):
    """Writes to a terminal or pipe as long as that takes it; what it doesn't take is in the log's file.

    A reader that has stopped would keep the whole server waiting.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, as far as there is room."""
        try:
            fd = self.stream.fileno()
        except OSError:  # it is none of the system's
            super().emit(record)
            return
        try:
            left = f"{self.format(record)}\n".encode(errors="replace")
            while left and select.select([], [fd], [], 0)[1]:
                left = left[os.write(fd, left[: select.PIPE_BUF]) :]
        except (OSError, ValueError):
            self.handleError(record)


class _LogFile(RotatingFileHandler):
    """Rotated by size; each file is the owner's alone, and is made anew when somebody has taken it away."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, into a new file where the old one has gone."""
        if not Path(self.baseFilename).exists():
            self.close()
        super().emit(record)

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=_owners_alone)


def _owners_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def configure(home: Path, level: LogLevel, limits: LogConfig) -> Callable[[], None]:
    """Send every log record of the process to the console and to the home's log file.

    The console has colours on a terminal only; on a pipe it shows warnings and worse. A line that can't
    be written (a full disk) is dropped: the log is no truth, the journals are.

    Returns:
        what to call when the home is ours: until then nothing is written there, records are kept.
    """
    logging.raiseExceptions = False
    terminal = sys.stderr.isatty()
    screen = _Screen(sys.stderr)
    screen.setLevel(level if terminal else "WARNING")
    screen.addFilter(_not_told_otherwise)
    screen.setFormatter(_formatter(_console_renderer(colors=terminal), "%H:%M:%S"))
    waiting = MemoryHandler(_KEPT_RECORDS, flushLevel=_NEVER, flushOnClose=False)
    root = logging.getLogger()
    limited = RepeatLimit(screen, waiting)
    root.handlers[:] = [limited]
    root.setLevel(level)
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel("WARNING")

    def open_file() -> None:
        path = home / LOG_FILE
        _make_private(path)
        file = _LogFile(path, maxBytes=limits.file_bytes, backupCount=limits.files - 1, encoding="utf-8")
        file.setFormatter(_formatter(structlog.processors.JSONRenderer(), "iso"))
        limited.targets[:] = [screen, file]
        waiting.setTarget(file)
        waiting.flush()
        waiting.close()

    return open_file


def _make_private(path: Path) -> None:
    """Make the log and its folder, the owner's alone, or take the rights of others away from what is there.

    Raises:
        HomeNotWritable: something else is in the place of either.
    """
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # without waiting: a FIFO would wait for a reader
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", str(path))
            if found.st_uid == os.geteuid():
                os.fchmod(fd, found.st_mode & 0o700)
        finally:
            os.close(fd)
    except OSError as error:
        msg = (
            f"expected a file for the log that can be written, {path}, got: {error}. Move away what is there"
        )
        raise HomeNotWritable(msg) from error


def _not_told_otherwise(record: logging.LogRecord) -> bool:
    """Whether the screen needs it: `serve` itself prints where it listens, and each action is too much."""
    return getattr(record, "action", "") != "listening" and record.name != ACTIONS


def _console_renderer(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    """Plain tracebacks: rich ones print local variables, and with them secrets."""
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_write_traceback)


def _write_traceback(screen: TextIO, error: ExcInfo) -> None:
    """Control characters in an error's text are shown: they act on nothing."""
    text = StringIO()
    structlog.dev.plain_traceback(text, error)
    screen.write(visible(text.getvalue()))


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
        last += [structlog.processors.format_exc_info, structlog.processors.EventRenamer("message"), _line]
    else:
        last += [_without_secrets]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=[*last, renderer])


def _line(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:  # noqa: ARG001 - structlog's shape
    """The record as a line of the log: always the same fields, and nothing that looks like a secret."""
    event["category"] = event.pop("logger", "")
    context = event.pop("context", {})
    context = (
        dict(cast("Mapping[str, object]", context)) if isinstance(context, Mapping) else {"context": context}
    )
    known: dict[str, object] = {"operator": OPERATOR, "action": None, "tool": None, "parameters": {}}
    for name, value in event.items():
        if name in FIELDS or name == "exception":
            known[name] = redact(value)
        else:
            context[name] = value
    known["context"] = redact(context)
    return {name: known[name] for name in (*FIELDS, "exception") if name in known}


def _without_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:  # noqa: ARG001 - likewise
    """What people see of the record; the traceback is rendered later, and shows no variables."""
    return {
        name: value if name in ("exc_info", "timestamp", "level", "logger") else _shown(redact(value, name))
        for name, value in event.items()
    } | {"event": visible(redact_text(str(event.get("event", ""))))}


def _shown(value: object) -> object:
    """Text without what would act on the terminal; the renderer writes other values by their `repr`."""
    return visible(value) if isinstance(value, str) else value
