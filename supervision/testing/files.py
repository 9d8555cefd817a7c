"""File layers that fail on demand, and forget in a power failure what was not synced.

    files = MemoryFiles()                                # or FaultyFiles(tmp_path), to look at the files
    files.fail_next_append("alice")                      # its next fdatasync
    files.crash_at("alice: fdatasync of segment 1")      # nothing works from that operation on
    ...
    files.power_failure()                                # what is left is what the disk held

`MemoryFiles` touches no disk at all, and is the one for most tests. `FaultyFiles` keeps real files
below a folder, for tests with tools that read them. The faults are the same (`Faults`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from understudy.supervision.files import Files
from understudy.supervision.testing.disk import FolderDisk
from understudy.supervision.testing.faults import Faults, Operation, PowerLost, When
from understudy.supervision.testing.memory_disk import MemoryDisk

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

__all__ = ["FaultyFiles", "MemoryFiles", "Operation", "PowerLost"]


class _FaultyLayer(Faults, Files):
    """Faults in front of a disk."""

    def __init__(self, disk: FolderDisk | MemoryDisk) -> None:
        super().__init__()
        self._disk = disk
        self._paths: dict[int, Path] = {}

    def power_failure(self, survivors: Random | None = None) -> None:
        """Leave what the disk held, and make the layer usable again.

        Call it when the crashed system has ended, with its threads.

        Args:
            survivors: None: nothing survives that was not synced. Else chooses which of it does:
                prefixes, single sectors (NULs between), names.
        """
        with self._lock:
            self._disk.forget(survivors)
            self.restart()

    def adopt(self) -> None:
        """Take everything as it is for durable: after a test changed files by itself."""
        with self._lock:
            self._disk.adopt()

    def open(self, path: Path, flags: int) -> int:
        """As `Files.open`; making a file ("make") and emptying one ("truncate") are operations."""
        there, when = self._disk.exists(path), None
        if not there and flags & os.O_CREAT:
            when = self._begin("make", path)
        elif flags & os.O_TRUNC and there:
            when = self._begin("truncate", path)
        else:
            self._check_power()
        with self._lock:
            fd = self._disk.open(path, flags)
            self._paths[fd] = path
        _end(when)
        return fd

    def close(self, fd: int) -> None:
        """As `Files.close`; works in a crashed layer too."""
        with self._lock:
            if self._paths.pop(fd, None) is not None:
                self._disk.close(fd)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """As `Files.write`; may be short, torn, or refused for want of space."""
        path = self._paths[fd]
        when = self._begin("write", path)
        with self._lock:
            there = self._disk.size(fd) - self._disk.position(fd)
            taken = self._disk.write(fd, self._some_of(data, path, there, torn=when == "during"))
        _end(when)
        return taken

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """As `Files.write_at`; may be short, torn, or refused for want of space."""
        path = self._paths[fd]
        when = self._begin("write_at", path)
        with self._lock:
            some = self._some_of(data, path, self._disk.size(fd) - offset, torn=when == "during")
            taken = self._disk.write_at(fd, some, offset)
        _end(when)
        return taken

    def read(self, fd: int, count: int) -> bytes:
        """As `Files.read`."""
        self._check_power()
        return self._disk.read(fd, count)

    def read_at(self, fd: int, count: int, offset: int) -> bytes:
        """As `Files.read_at`."""
        self._check_power()
        return self._disk.read_at(fd, count, offset)

    def seek(self, fd: int, offset: int) -> None:
        """As `Files.seek`."""
        self._disk.seek(fd, offset)

    def size(self, fd: int) -> int:
        """As `Files.size`."""
        return self._disk.size(fd)

    def look(self, file: Path | int) -> tuple[int, int, int]:
        """As `Files.look`."""
        self._check_power()
        return self._disk.look(file)

    def fdatasync(self, fd: int) -> None:
        """Takes the file's bytes for durable; no disk is touched."""
        try:
            when = self._begin("fdatasync", self._paths[fd])
        except PowerLost:
            raise
        except OSError:
            with self._lock:
                self._disk.sync_failed(fd)
            raise
        with self._lock:
            self._disk.fdatasync(fd)
        _end(when)

    def sync_folder(self, folder: Path) -> None:
        """Takes the folder's entries for durable; no disk is touched."""
        when = self._begin("sync_folder", folder)
        with self._lock:
            self._disk.sync_folder(folder)
        _end(when)

    def truncate(self, fd: int, size: int) -> None:
        """As `Files.truncate`."""
        when = self._begin("truncate", self._paths[fd])
        with self._lock:
            self._disk.truncate(fd, size)
        _end(when)

    def replace(self, source: Path, target: Path) -> None:
        """As `Files.replace`."""
        when = self._begin("replace", target)
        with self._lock:
            self._disk.replace(source, target)
        _end(when)

    def link(self, source: Path, target: Path) -> None:
        """As `Files.link`."""
        when = self._begin("link", target)
        self._disk.link(source, target)
        _end(when)

    def unlink(self, path: Path) -> None:
        """As `Files.unlink`."""
        when = self._begin("unlink", path)
        with self._lock:
            self._disk.unlink(path)
        _end(when)

    def mkdir(self, folder: Path) -> None:
        """As `Files.mkdir`."""
        when = self._begin("mkdir", folder)
        with self._lock:
            self._disk.mkdir(folder)
        _end(when)

    def rmdir(self, folder: Path) -> None:
        """As `Files.rmdir`."""
        when = self._begin("rmdir", folder)
        with self._lock:
            self._disk.rmdir(folder)
        _end(when)

    def listdir(self, folder: Path) -> list[str]:
        """As `Files.listdir`."""
        return self._disk.listdir(folder)

    def is_folder(self, path: Path) -> bool:
        """As `Files.is_folder`."""
        return self._disk.is_folder(path)

    def lock(self, fd: int) -> None:
        """As `Files.lock`."""
        self._disk.lock(fd)


def _end(when: When | None) -> None:
    """The operation is done; was the power to go after it, or in its middle?"""
    if when is not None:
        raise PowerLost


class FaultyFiles(_FaultyLayer):
    """Real files below `root`, with faults; `root` exists. What is durable is kept in memory beside them."""

    def __init__(self, root: Path) -> None:
        super().__init__(FolderDisk(root))


class MemoryFiles(_FaultyLayer):
    """Files in memory, with faults: `ActorSystem("/home", files=MemoryFiles())`.

    Paths are absolute; `/` exists, and nothing else. The machine's own files are not touched.
    """

    def __init__(self) -> None:
        self._memory = MemoryDisk()
        super().__init__(self._memory)

    def everything(self) -> dict[Path, bytes]:
        """All files as programs see them, by path."""
        return self._memory.files()

    def export(self, folder: Path) -> None:
        """Write all files below `folder`, for tools and people to look at."""
        for path, data in self.everything().items():
            copy = folder / path.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data)
