"""The file: a JSON line for each delivery, appended and synced."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from understudy.actors.notifier.sinks.config import FileConfig
from understudy.actors.own_folders import OWN_FOLDERS
from understudy.supervision.files import APPEND

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from understudy.actors.notifier.sinks.config import SinkConfig
    from understudy.protocols.notifications import Delivery
    from understudy.supervision.blocking import RunBlocking
    from understudy.supervision.files import Files
    from understudy.supervision.home import Home


def path_in(home: Home, config: FileConfig) -> Path:
    """The absolute path of a sink's file.

    Raises:
        ValueError: it is in a folder of the home that is not for it, also through a link.
    """
    path = home.path / config.path
    for name in OWN_FOLDERS:
        if path.resolve().is_relative_to((home.path / name).resolve()):
            raise ValueError(
                f"sinks: expected a file of {config.name} outside of {home.path / name}, "
                f"which is the runtime's, got {config.path}: choose another folder"
            )
    return path


def check_files(home: Home, sinks: Iterable[SinkConfig]) -> None:
    """Whether each file among the sinks may be where it is to be. Raises: as `path_in`."""
    for sink in sinks:
        if isinstance(sink, FileConfig):
            path_in(home, sink)


class File:
    """Appends `Delivery.body()` and a newline; the line is on disk when the attempt has ended.

    A delivery whose record a crash cut off is appended again, with the same `id`. A line that a crash or a
    full disk cut off is closed by a newline, and stays: what is in the file is never changed, since it may
    be somebody else's.
    """

    def __init__(self, path: Path, files: Files, run_blocking: RunBlocking) -> None:
        self._path = path
        self._files = files
        self._run_blocking = run_blocking
        self._named = False

    async def deliver(self, delivery: Delivery) -> None:
        """Make one attempt.

        Raises:
            OSError: the disk.
        """
        await self._run_blocking(self._append, delivery.body() + b"\n")

    def _append(self, line: bytes) -> None:
        files = self._files
        files.make_folders(self._path.parent)
        fd = files.open(self._path, APPEND | os.O_CREAT)
        try:
            size = files.size(fd)
            if size and files.read_at(fd, 1, size - 1) != b"\n":
                line = b"\n" + line
            files.write_all(fd, line)
            files.fdatasync(fd)
        finally:
            files.close(fd)
        if not self._named:
            files.sync_folder(self._path.parent)
            self._named = True
