"""A file layer that fails on demand, and forgets in a power failure what was not synced.

    files = FaultyFiles(tmp_path)
    files.fail("fdatasync", error=errno.EIO)     # the next one
    files.crash_at(17)                           # nothing works from operation 17 on
    ...
    files.power_failure()                        # the folder is now what the disk held

The files are real files below `root`, so other tools can read them; what is durable is kept in
memory beside them (`understudy.supervision.testing.disk`). Syncs touch no disk, so tests are fast.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from understudy.supervision.files import Files
from understudy.supervision.testing.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random


class Operation(NamedTuple):
    """One change that was asked of the layer: its number from 1, what, and on which file or folder.

    Names: make, write, write_at, fdatasync, sync_folder, truncate, replace, link, unlink, mkdir,
    rmdir.
    """

    number: int
    name: str
    path: Path


class PowerLost(OSError):
    """The machine is off: this operation and all later ones did not happen."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the power is lost")


@dataclass
class _Fault:
    name: str
    wait: int
    times: int | None
    error: int


class FaultyFiles(Files):
    """`Files` below `root`, with faults.

    Attributes:
        operations: all changes so far, in order.
        space_bytes: what can still be written before ENOSPC; None for no limit.
        short_write_bytes: the most that one write takes; None for no limit.
        on_operation: called before each change, on its thread; may block or raise.
        crashed: whether `crash_at` has struck.
    """

    def __init__(self, root: Path) -> None:
        self.operations: list[Operation] = []
        self.space_bytes: int | None = None
        self.short_write_bytes: int | None = None
        self.on_operation: Callable[[Operation], None] | None = None
        self.crashed = False
        self._crash_at: int | None = None
        self._faults: list[_Fault] = []
        self._fds: dict[int, tuple[Path, bool]] = {}  # and whether it appends
        self._lock = threading.RLock()
        self._disk = Disk(root)

    def fail(self, name: str, *, error: int = errno.EIO, after: int = 0, times: int | None = 1) -> None:
        """Let the operation `name` fail `times` times (None: for good), once it was done `after` times more.

        A failing write takes nothing. A failing fdatasync loses what was not synced before, as Linux
        does: a later fdatasync succeeds without writing it.
        """
        self._faults.append(_Fault(name, after, times, error))

    def heal(self) -> None:
        """No more faults, and room on the disk."""
        self._faults.clear()
        self.space_bytes = None
        self.short_write_bytes = None

    def crash_at(self, number: int) -> None:
        """Let the power go at operation `number` (of `operations`); a write is torn in its middle."""
        self._crash_at = number

    def power_failure(self, survivors: Random | None = None) -> None:
        """Make the folder what the disk held, and the layer usable again.

        Call it when the crashed system's threads have ended.

        Args:
            survivors: None: nothing survives that was not synced. Else chooses which of it does:
                prefixes, single sectors (NULs between), names.
        """
        with self._lock:
            self._disk.forget(survivors)
            self.restart()

    def restart(self) -> None:
        """Make the layer usable again after a crash of the process alone: everything written stays."""
        self.crashed = False
        self._crash_at = None

    def adopt(self) -> None:
        """Take the folder as it is for durable: after a test changed files by itself."""
        with self._lock:
            self._disk.adopt()

    def open(self, path: Path, flags: int) -> int:
        """As `Files.open`; making a file ("make") and emptying one ("truncate") are operations."""
        if not path.exists() and flags & os.O_CREAT:
            self._begin("make", path)
        elif flags & os.O_TRUNC and path.exists():
            self._begin("truncate", path)
        self._check_power()
        with self._lock:
            if flags & os.O_TRUNC and path.exists():
                self._disk.truncate(path, 0)
            fd = super().open(path, flags)
            self._fds[fd] = (path, bool(flags & os.O_APPEND))
            self._disk.seen(path)
            return fd

    def close(self, fd: int) -> None:
        """As `Files.close`; works in a crashed layer too."""
        with self._lock:
            self._fds.pop(fd, None)
            super().close(fd)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """As `Files.write`; may be short, torn, or refused for want of space."""
        path, appends = self._fds[fd]
        torn = self._begin("write", path, may_tear=True)
        with self._lock:
            offset = self.size(fd) if appends else os.lseek(fd, 0, os.SEEK_CUR)
            some = self._some_of(data, path, self.size(fd) - offset, torn=torn)
            self._disk.written(fd, some, offset)
            taken = super().write(fd, some)
        if torn:
            raise PowerLost
        return taken

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """As `Files.write_at`; may be short, torn, or refused for want of space."""
        path, _ = self._fds[fd]
        torn = self._begin("write_at", path, may_tear=True)
        with self._lock:
            some = self._some_of(data, path, self.size(fd) - offset, torn=torn)
            self._disk.written(fd, some, offset)
            taken = super().write_at(fd, some, offset)
        if torn:
            raise PowerLost
        return taken

    def read(self, fd: int, count: int) -> bytes:
        """As `Files.read`."""
        self._check_power()
        return super().read(fd, count)

    def fdatasync(self, fd: int) -> None:
        """Takes the file's bytes for durable; no disk is touched."""
        try:
            self._begin("fdatasync", self._fds[fd][0])
        except PowerLost:
            raise
        except OSError:
            with self._lock:
                self._disk.sync_failed(fd)
            raise
        with self._lock:
            self._disk.synced(fd)

    def sync_folder(self, folder: Path) -> None:
        """Takes the folder's entries for durable; no disk is touched."""
        self._begin("sync_folder", folder)
        with self._lock:
            self._disk.folder_synced(folder)

    def truncate(self, fd: int, size: int) -> None:
        """As `Files.truncate`."""
        path, _ = self._fds[fd]
        self._begin("truncate", path)
        with self._lock:
            self._disk.truncate(path, size)
            super().truncate(fd, size)

    def replace(self, source: Path, target: Path) -> None:
        """As `Files.replace`."""
        self._begin("replace", target)
        with self._lock:
            self._disk.unlinked(target)
            super().replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        """As `Files.link`."""
        self._begin("link", target)
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        """As `Files.unlink`."""
        self._begin("unlink", path)
        with self._lock:
            self._disk.unlinked(path)
            super().unlink(path)

    def mkdir(self, folder: Path) -> None:
        """As `Files.mkdir`."""
        self._begin("mkdir", folder)
        with self._lock:
            super().mkdir(folder)
            self._disk.folder_made(folder)

    def rmdir(self, folder: Path) -> None:
        """As `Files.rmdir`."""
        self._begin("rmdir", folder)
        super().rmdir(folder)

    def _check_power(self) -> None:
        if self.crashed:
            raise PowerLost

    def _begin(self, name: str, path: Path, *, may_tear: bool = False) -> bool:
        """Count the operation, and let it fail when its time has come; whether it is to be torn."""
        with self._lock:
            self._check_power()
            operation = Operation(len(self.operations) + 1, name, path)
            self.operations.append(operation)
            self.crashed = operation.number == self._crash_at
            if self.crashed and not may_tear:
                raise PowerLost
        if self.on_operation is not None:
            self.on_operation(operation)
        with self._lock:
            self._raise_fault(name, path)
        return self.crashed and operation.number == self._crash_at

    def _raise_fault(self, name: str, path: Path) -> None:
        for fault in self._faults:
            if fault.name != name:
                continue
            if fault.wait:
                fault.wait -= 1
            elif fault.times is None or fault.times > 0:
                fault.times = None if fault.times is None else fault.times - 1
                raise OSError(fault.error, os.strerror(fault.error), str(path))

    def _some_of(self, data: bytes | memoryview, path: Path, there: int, *, torn: bool) -> bytes:
        """The part of `data` that the write takes; what replaces the `there` bytes behind needs no space."""
        count = len(data) // 2 if torn else min(len(data), self.short_write_bytes or len(data))
        if self.space_bytes is not None:
            count = min(count, self.space_bytes + max(0, there))
            if count == 0 and data:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            self.space_bytes -= max(0, count - max(0, there))
        return bytes(data[:count])
