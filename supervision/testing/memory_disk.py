"""A file system in memory that knows what of it would be there after a power failure."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.supervision.files import Files
from understudy.supervision.testing.image import Image

if TYPE_CHECKING:
    from random import Random

_FIRST_FD = 1_000_000  # no descriptor of the machine's: one that gets there by mistake fails


@dataclass(eq=False)
class _File(Image):
    """A file; `links` are its names, `locked_by` the descriptor that has it locked."""

    links: int = 0
    locked_by: int | None = None


@dataclass(eq=False)
class _Folder:
    """A folder's names, as programs see them and as the disk has them."""

    names: dict[str, _File | _Folder] = field(default_factory=dict[str, "_File | _Folder"])
    durable: dict[str, _File | _Folder] = field(default_factory=dict[str, "_File | _Folder"])
    locked_by: int | None = None


@dataclass
class _Opened:
    node: _File | _Folder
    flags: int
    position: int = 0

    @property
    def file(self) -> _File:
        if isinstance(self.node, _Folder):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        return self.node

    def check_writable(self) -> None:
        if self.flags & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class MemoryDisk(Files):
    """An empty file system: any absolute path whose parent was made (`/` is there)."""

    def __init__(self) -> None:
        self._root = _Folder()
        self._opened: dict[int, _Opened] = {}
        self._fds = count(_FIRST_FD)

    # -- looking

    def exists(self, path: Path) -> bool:
        """Whether there is a file or folder of that name."""
        return self._find(path) is not None

    def is_folder(self, path: Path) -> bool:
        """As `Files.is_folder`."""
        return isinstance(self._find(path), _Folder)

    def listdir(self, folder: Path) -> list[str]:
        """As `Files.listdir`."""
        found = self._find(folder)
        if found is None:
            return []
        if isinstance(found, _File):
            raise _error(errno.ENOTDIR, folder)
        return sorted(found.names)

    def files(self) -> dict[Path, bytes]:
        """All files as programs see them, by path."""
        found: dict[Path, bytes] = {}
        folders = [(Path("/"), self._root)]
        while folders:
            path, folder = folders.pop()
            for name, node in sorted(folder.names.items()):
                if isinstance(node, _Folder):
                    folders.append((path / name, node))
                else:
                    found[path / name] = bytes(node.seen)
        return found

    def look(self, file: Path | int) -> tuple[int, int, int]:
        """As `Files.look`."""
        node = self._opened[file].node if isinstance(file, int) else self._there(file)
        return 0, id(node), 0 if isinstance(node, _Folder) else len(node.seen)

    # -- descriptors

    def open(self, path: Path, flags: int) -> int:
        """As `Files.open`."""
        parent = self._parent(path)
        found = parent.names.get(path.name)
        if isinstance(found, _Folder):
            if flags & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC):
                raise _error(errno.EISDIR, path)
        elif found is None:
            if not flags & os.O_CREAT:
                raise _error(errno.ENOENT, path)
            found = parent.names[path.name] = _File(bytearray(), 0, links=1)
        elif flags & os.O_CREAT and flags & os.O_EXCL:
            raise _error(errno.EEXIST, path)
        if isinstance(found, _File) and flags & os.O_TRUNC:
            found.truncate(0)
        fd = next(self._fds)
        self._opened[fd] = _Opened(found, flags)
        return fd

    def close(self, fd: int) -> None:
        """As `Files.close`; a lock ends with its descriptor."""
        opened = self._opened.pop(fd, None)
        if opened is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if opened.node.locked_by == fd:
            opened.node.locked_by = None

    def position(self, fd: int) -> int:
        """Where the next `write` goes."""
        opened = self._opened[fd]
        return len(opened.file.seen) if opened.flags & os.O_APPEND else opened.position

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """As `Files.write`."""
        offset = self.position(fd)
        taken = self.write_at(fd, data, offset)
        self._opened[fd].position = offset + taken
        return taken

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """As `Files.write_at`."""
        opened = self._opened[fd]
        opened.check_writable()
        opened.file.write(bytes(data), offset)
        return len(data)

    def read(self, fd: int, count: int) -> bytes:
        """As `Files.read`."""
        opened = self._opened[fd]
        data = self.read_at(fd, count, opened.position)
        opened.position += len(data)
        return data

    def read_at(self, fd: int, count: int, offset: int) -> bytes:
        """As `Files.read_at`."""
        return bytes(self._opened[fd].file.seen[offset : offset + count])

    def seek(self, fd: int, offset: int) -> None:
        """As `Files.seek`."""
        self._opened[fd].position = offset

    def size(self, fd: int) -> int:
        """As `Files.size`."""
        return len(self._opened[fd].file.seen)

    def truncate(self, fd: int, size: int) -> None:
        """As `Files.truncate`."""
        opened = self._opened[fd]
        opened.check_writable()
        opened.file.truncate(size)

    def lock(self, fd: int) -> None:
        """As `Files.lock`."""
        node = self._opened[fd].node
        if node.locked_by not in (None, fd):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        node.locked_by = fd

    # -- names

    def replace(self, source: Path, target: Path) -> None:
        """As `Files.replace`."""
        moved, over = self._there(source), self._find(target)
        if moved is over:  # two names of one file: nothing happens
            return
        if isinstance(over, _Folder):
            raise _error(errno.EISDIR, target)
        self._parent(target)
        self._drop(target)
        self._parent(target).names[target.name] = moved
        del self._parent(source).names[source.name]

    def link(self, source: Path, target: Path) -> None:
        """As `Files.link`."""
        file = self._there(source)
        if isinstance(file, _Folder):
            raise _error(errno.EPERM, source)
        if self.exists(target):
            raise _error(errno.EEXIST, target)
        self._parent(target).names[target.name] = file
        file.links += 1

    def unlink(self, path: Path) -> None:
        """As `Files.unlink`."""
        if isinstance(self._there(path), _Folder):
            raise _error(errno.EISDIR, path)
        self._drop(path)

    def mkdir(self, folder: Path) -> None:
        """As `Files.mkdir`; nothing in it is durable."""
        if self.exists(folder):
            raise _error(errno.EEXIST, folder)
        self._parent(folder).names[folder.name] = _Folder()

    def rmdir(self, folder: Path) -> None:
        """As `Files.rmdir`."""
        found = self._there(folder)
        if isinstance(found, _File):
            raise _error(errno.ENOTDIR, folder)
        if found.names:
            raise _error(errno.ENOTEMPTY, folder)
        self._drop(folder)

    # -- what is durable

    def fdatasync(self, fd: int) -> None:
        """What programs see of the file is durable now."""
        self._opened[fd].file.sync()

    def sync_failed(self, fd: int) -> None:
        """What was not durable will not become so by another sync."""
        self._opened[fd].file.fail_sync()

    def sync_folder(self, folder: Path) -> None:
        """The folder's names are durable now."""
        found = self._there(folder)
        if isinstance(found, _File):
            raise _error(errno.ENOTDIR, folder)
        found.durable = dict(found.names)

    def adopt(self) -> None:
        """Take everything that is there for durable."""
        folders = [self._root]
        while folders:
            folder = folders.pop()
            folder.durable = dict(folder.names)
            for node in folder.names.values():
                if isinstance(node, _Folder):
                    folders.append(node)
                else:
                    node.lost.clear()
                    node.sync()

    def forget(self, chance: Random | None) -> None:
        """Become what the disk has; `chance` lets some of the rest survive. Descriptors are void then."""
        kept: dict[_File, _File] = {}
        self._root = self._kept(self._root, chance, kept)
        self._opened.clear()

    def _kept(self, folder: _Folder, chance: Random | None, kept: dict[_File, _File]) -> _Folder:
        names = folder.names if chance is not None and chance.choice((True, False)) else folder.durable
        new = _Folder()
        for name in sorted(names):
            node = names[name]
            if isinstance(node, _Folder):
                new.names[name] = self._kept(node, chance, kept)
                continue
            if node not in kept:
                data = node.on_disk() if chance is None else node.survive(chance)
                kept[node] = _File(bytearray(data), len(data))
            kept[node].links += 1
            new.names[name] = kept[node]
        new.durable = dict(new.names)
        return new

    # -- finding

    def _find(self, path: Path) -> _File | _Folder | None:
        node: _File | _Folder | None = self._root
        for part in path.parts[1:]:
            if not isinstance(node, _Folder):
                return None
            node = node.names.get(part)
        return node

    def _there(self, path: Path) -> _File | _Folder:
        if (found := self._find(path)) is None:
            raise _error(errno.ENOENT, path)
        return found

    def _parent(self, path: Path) -> _Folder:
        parent = self._there(path.parent)
        if isinstance(parent, _File):
            raise _error(errno.ENOTDIR, path)
        return parent

    def _drop(self, path: Path) -> None:
        gone = self._parent(path).names.pop(path.name, None)
        if isinstance(gone, _File):
            gone.links -= 1


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
