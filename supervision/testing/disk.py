"""A folder of real files, with a memory of what of it would be there after a power failure."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from understudy.supervision.files import Files
from understudy.supervision.testing.image import Image

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random


Entry = Image | None  # None stands for a folder


class FolderDisk(Files):
    """The folder `root` and all below it; starts with everything that is there as durable.

    Syncs touch no disk: they note what is durable.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._images: dict[int, Image] = {}
        self._entries: dict[Path, dict[str, Entry]] = {}
        self._opened: dict[int, tuple[Image, bool]] = {}  # and whether it appends
        self.adopt()

    def adopt(self) -> None:
        """Take everything that is there for durable."""
        for path in self._root.rglob("*"):
            if path.is_file():
                self._seen(path).become(path.read_bytes())
        self._entries = {}
        for folder in (self._root, *(path for path in self._root.rglob("*") if path.is_dir())):
            self.sync_folder(folder)

    def exists(self, path: Path) -> bool:
        """Whether there is a file or folder of that name."""
        return path.exists()

    def open(self, path: Path, flags: int) -> int:
        """As `Files.open`."""
        if flags & os.O_TRUNC and path.exists():
            self._seen(path).truncate(0)
        fd = super().open(path, flags)
        image = Image(bytearray(), 0) if path.is_dir() else self._seen(path)
        self._opened[fd] = (image, bool(flags & os.O_APPEND))
        return fd

    def close(self, fd: int) -> None:
        """As `Files.close`."""
        self._opened.pop(fd, None)
        super().close(fd)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """As `Files.write`."""
        offset = self.position(fd)
        taken = super().write(fd, data)
        self._image(fd).write(bytes(data[:taken]), offset)
        return taken

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """As `Files.write_at`."""
        taken = super().write_at(fd, data, offset)
        self._image(fd).write(bytes(data[:taken]), offset)
        return taken

    def position(self, fd: int) -> int:
        """Where the next `write` goes."""
        return self.size(fd) if self._opened[fd][1] else os.lseek(fd, 0, os.SEEK_CUR)

    def truncate(self, fd: int, size: int) -> None:
        """As `Files.truncate`."""
        super().truncate(fd, size)
        self._image(fd).truncate(size)

    def fdatasync(self, fd: int) -> None:
        """What programs see of the file is durable now."""
        self._image(fd).sync()

    def sync_failed(self, fd: int) -> None:
        """What was not durable will not become so by another sync."""
        self._image(fd).fail_sync()

    def sync_folder(self, folder: Path) -> None:
        """The folder's names are durable now."""
        self._entries[folder] = self._names(folder)

    def replace(self, source: Path, target: Path) -> None:
        """As `Files.replace`."""
        gone = self._last_name_of(target)
        super().replace(source, target)
        if gone != target.stat().st_ino:
            self._images.pop(gone, None)

    def unlink(self, path: Path) -> None:
        """As `Files.unlink`."""
        gone = self._last_name_of(path)
        super().unlink(path)
        self._images.pop(gone, None)

    def mkdir(self, folder: Path) -> None:
        """As `Files.mkdir`; nothing in it is durable."""
        super().mkdir(folder)
        self._entries[folder] = {}

    def forget(self, chance: Random | None) -> None:
        """Make the folder what the disk has; `chance` lets some of the rest survive."""
        kept: dict[Path, bytes | None] = {}
        self._collect(self._root, chance, kept)
        for child in self._root.iterdir():
            if child.is_dir():
                shutil.rmtree(child)
            else:
                child.unlink()
        for path, data in kept.items():
            if data is None:
                path.mkdir()
            else:
                path.write_bytes(data)
        self._images.clear()
        self.adopt()

    def _image(self, fd: int) -> Image:
        return self._opened[fd][0]

    def _seen(self, path: Path) -> Image:
        """The image of the file at `path`; one that was made by others is durable as it is."""
        image = self._images.setdefault(path.stat().st_ino, Image(bytearray(), 0))
        if len(image.seen) != path.stat().st_size:
            image.become(path.read_bytes())
        return image

    def _last_name_of(self, path: Path) -> int:
        """The inode whose last name this is (0: of none): when it goes, its number may come again."""
        return path.stat().st_ino if path.exists() and path.stat().st_nlink == 1 else 0

    def _collect(self, folder: Path, chance: Random | None, kept: dict[Path, bytes | None]) -> None:
        entries = self._entries.get(folder, {})
        if chance is not None and folder.is_dir() and chance.choice((True, False)):
            entries = self._names(folder)
        for name, image in entries.items():
            path = folder / name
            if image is None:
                kept[path] = None
                self._collect(path, chance, kept)
            else:
                kept[path] = image.on_disk() if chance is None else image.survive(chance)

    def _names(self, folder: Path) -> dict[str, Entry]:
        return {path.name: None if path.is_dir() else self._seen(path) for path in sorted(folder.iterdir())}
