"""Every call that the journal and the home make to the operating system, in one class.

Tests put `understudy.supervision.testing.files.FaultyFiles` in its place: it tears writes, fails
syncs, and forgets in a power failure what was not synced. Nothing here retries or hides an error.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

READ = os.O_RDONLY
APPEND = os.O_RDWR | os.O_APPEND
MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL
REPLACE = os.O_RDWR | os.O_CREAT | os.O_TRUNC
EDIT = os.O_RDWR
LOCKFILE = os.O_RDWR | os.O_CREAT


class Files:
    """The file system as it is. Blocking; descriptors are close-on-exec; safe from any thread.

    Raises:
        OSError: from every method, as the system reports it.
    """

    def open(self, path: Path, flags: int) -> int:
        """A new descriptor of `path`; a file that is made is for its owner's eyes only (0600)."""
        return os.open(path, flags, 0o600)

    def close(self, fd: int) -> None:
        """Give the descriptor back."""
        os.close(fd)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Write at the descriptor's position (or the end, with O_APPEND); how much was taken."""
        return os.write(fd, data)

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Write at `offset`; how much was taken. Not for descriptors opened with O_APPEND."""
        return os.pwrite(fd, data, offset)

    def read(self, fd: int, count: int) -> bytes:
        """At most `count` bytes from the descriptor's position; empty at the end."""
        return os.read(fd, count)

    def read_at(self, fd: int, count: int, offset: int) -> bytes:
        """At most `count` bytes from `offset`."""
        return os.pread(fd, count, offset)

    def seek(self, fd: int, offset: int) -> None:
        """Move the descriptor's position."""
        os.lseek(fd, offset, os.SEEK_SET)

    def size(self, fd: int) -> int:
        """The file's size in bytes."""
        return os.fstat(fd).st_size

    def look(self, file: Path | int) -> tuple[int, int, int]:
        """Which file a name or a descriptor stands for (device and inode), and its size in bytes."""
        found = os.stat(file)  # noqa: PTH116 - of descriptors too
        return found.st_dev, found.st_ino, found.st_size

    def fdatasync(self, fd: int) -> None:
        """Make the file's bytes and size durable.

        macOS has no fdatasync, and its fsync leaves the bytes in the drive's cache: F_FULLFSYNC.
        """
        if (full := getattr(fcntl, "F_FULLFSYNC", None)) is not None:
            fcntl.fcntl(fd, full)
        else:
            os.fdatasync(fd)

    def sync_folder(self, folder: Path) -> None:
        """Make the folder's entries durable: files made in it, renamed into it, removed from it."""
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file off at `size`."""
        os.ftruncate(fd, size)

    def replace(self, source: Path, target: Path) -> None:
        """Rename, over `target` if there is one. Durable after `sync_folder`."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Give the file a second name."""
        target.hardlink_to(source)

    def unlink(self, path: Path) -> None:
        """Remove the name."""
        path.unlink()

    def mkdir(self, folder: Path) -> None:
        """Make one folder, its owner's only (0700)."""
        folder.mkdir(mode=0o700)

    def keep_private(self, folder: Path) -> None:
        """Take the rights of group and others away from a folder of ours; links stay as they are."""
        try:
            found = folder.lstat()
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode) and found.st_mode & 0o077 and found.st_uid == os.geteuid():
            folder.chmod(0o700)

    def rmdir(self, folder: Path) -> None:
        """Remove an empty folder."""
        folder.rmdir()

    def listdir(self, folder: Path) -> list[str]:
        """The names in the folder, sorted; none when there is no such folder."""
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208 - of many names; Path objects cost more
        except FileNotFoundError:
            return []

    def is_folder(self, path: Path) -> bool:
        """Whether `path` is a folder."""
        return path.is_dir()

    def lock(self, fd: int) -> None:
        """Take the file or folder for this descriptor alone, without waiting.

        `flock`, not fcntl's record locks: those would let two systems of one process share a home,
        and lose the lock when any descriptor of the file is closed (rule H2).

        Raises:
            BlockingIOError: another descriptor has it, of this process or of another.
        """
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    # What follows is made of the calls above.

    def write_all(self, fd: int, data: bytes) -> None:
        """Write all of `data`, however short the single writes are."""
        taken = self.write(fd, data)
        if taken < len(data):
            rest = memoryview(data)[taken:]
            while rest:
                rest = rest[self.write(fd, rest) :]

    def read_all(self, path: Path, offset: int = 0) -> bytes:
        """The file's bytes from `offset` to its end."""
        fd = self.open(path, READ)
        try:
            self.seek(fd, offset)
            parts: list[bytes] = []
            while part := self.read(fd, 1 << 20):
                parts.append(part)
            return b"".join(parts)
        finally:
            self.close(fd)

    def write_new(self, path: Path, data: bytes, flags: int = MAKE) -> None:
        """Make a file of `data` and sync it; its name is durable after `sync_folder`."""
        fd = self.open(path, flags)
        try:
            self.write_all(fd, data)
            self.fdatasync(fd)
        finally:
            self.close(fd)

    def publish(self, path: Path, data: bytes) -> None:
        """Put `data` in the place of `path` at once: old or new after a crash, never a mixture. Durable."""
        temporary = path.with_name(path.name + ".tmp")
        self.write_new(temporary, data, REPLACE)
        self.replace(temporary, path)
        self.sync_folder(path.parent)

    def make_folders(self, folder: Path) -> None:
        """Make `folder` and its missing parents, each durable in its own parent (rule J2)."""
        missing: list[Path] = []
        while not self.is_folder(folder):
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            try:
                self.mkdir(new)
            except FileExistsError:
                if not self.is_folder(new):
                    raise
            try:
                self.sync_folder(new.parent)
            except OSError:
                # a later attempt would find it made, and take it for durable
                with suppress(OSError):
                    self.rmdir(new)
                raise
