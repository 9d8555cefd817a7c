"""The history: the conversation, a file a day, written from the manager's journal (MG-6).

`HOME/history/YYYY-MM-DD.jsonl`, days in the home's time zone. A file is a pure function of the messages
of its day, put in place at once (old or new after a crash, never a mixture): writing it again gives
the same bytes, and a rebuild the same files. Hand edits are overwritten, and that is reported.

Only the newest messages of the newest days are in memory. One that comes for an older day (a clock that
was put back) is added to what the file has; so are those of a day that memory has only the end of.
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from understudy.actors.projection.history_file import complete
from understudy.supervision.blocking import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from understudy.protocols.read_model import MessageRow
    from understudy.supervision.blocking import RunBlocking
    from understudy.supervision.files import Files

DAYS_IN_MEMORY = 2
MESSAGES_IN_MEMORY = 5_000
"""Of a day: its older ones are let go once they are written."""
_FOR_EVER = "9999-12-31"
_RECORD = {"id", "role", "text", "at", "in_reply_to", "task", "session"}


class History:
    """The days of a conversation, and which of them are not written yet.

    Args:
        files: how they are written.
        folder: where.
        timezone: IANA name of the zone that days begin in.
        run_blocking: how the writing is kept off the loop.
    """

    def __init__(
        self, files: Files, folder: Path, timezone: str, run_blocking: RunBlocking = in_thread
    ) -> None:
        self._run_blocking = run_blocking
        self._files = files
        self._folder = folder
        self._zone = ZoneInfo(timezone)
        self._days: dict[str, dict[str, MessageRow]] = {}
        self._dirty: dict[str, None] = {}
        self._partial = ""  # up to this day, the file may have more than the memory

    @property
    def dirty(self) -> bool:
        """Whether something is not written yet."""
        return bool(self._dirty)

    @property
    def in_memory(self) -> int:
        """How many messages are in memory."""
        return sum(map(len, self._days.values()))

    def reset(self, written: Iterable[MessageRow]) -> None:
        """Begin with messages that are in their files already, unless a file is missing. Blocks.

        Args:
            written: the newest ones, in the order in which they came; older ones may be forgotten.
        """
        self._days.clear()
        self._dirty.clear()
        self._partial = ""
        for row in written:
            self.add(row)
        if self._days:
            self._partial = min(self._days)
        there = set(self._files.listdir(self._folder))
        self._dirty = {day: None for day in self._days if f"{day}.jsonl" not in there}
        self._forget()

    def add_to_files(self) -> None:
        """From now on, what comes is added to what the files have: the memory has not seen all of it."""
        self._partial = _FOR_EVER

    def add(self, row: MessageRow) -> None:
        """Take in a message; one that is there already changes nothing."""
        day = datetime.fromtimestamp(row.at, self._zone).date().isoformat()
        rows = self._days.setdefault(day, {})
        if row.id not in rows:
            rows[row.id] = row
            self._dirty[day] = None

    async def flush(self) -> list[str]:
        """Write the days that have changed. Durable when it returns.

        Returns:
            the names of the files that somebody else had changed; they are overwritten.

        Raises:
            OSError: the day that failed, and those after it, are still to be written.
        """
        overwritten: list[str] = []
        for day in list(self._dirty):
            rows = tuple(self._days[day].values())
            if await self._run_blocking(self._write, day, rows):
                overwritten.append(f"{day}.jsonl")
            if len(rows) == len(self._days[day]):
                self._dirty.pop(day, None)
            self._let_go(day, len(rows) - MESSAGES_IN_MEMORY)
        self._forget()
        return overwritten

    def _let_go(self, day: str, count: int) -> None:
        """Let the `count` oldest messages of a day go, which are in its file."""
        for name in list(islice(self._days[day], max(0, count))):
            del self._days[day][name]
            self._partial = max(self._partial, day)

    def _forget(self) -> None:
        """Let days go that are written, but for the newest."""
        for day in sorted(self._days)[:-DAYS_IN_MEMORY]:
            if day not in self._dirty:
                del self._days[day]
                self._partial = max(self._partial, day)

    def _write(self, day: str, rows: tuple[MessageRow, ...]) -> bool:
        """On a worker thread. Returns whether somebody else had changed the file."""
        lines = {row.id: row.model_dump_json(include=_RECORD).encode() + b"\n" for row in rows}
        path = self._folder / f"{day}.jsonl"
        self._files.make_folders(self._folder)
        if day <= self._partial:
            return complete(self._files, path, lines)
        try:
            old = self._files.read_all(path)
        except FileNotFoundError:
            old = b""
        data = b"".join(lines.values())
        if old.startswith(data):
            return (
                False  # all of it is there, and maybe what is still to be read again: a rebuild is under way
            )
        self._files.publish(path, data)
        return not data.startswith(old)
