"""What of a folder's files would be there after a power failure."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

_SECTOR_BYTES = 512


@dataclass(eq=False)
class _Image:
    """A file: its bytes as programs see them, and as the disk has them.

    Attributes:
        durable: the disk's bytes; None when they are the first `durable_bytes` of `seen`.
        lost: ranges of `seen` that a failed sync left in the page cache for good: a later sync does
            not write them, only a new write does.
    """

    seen: bytearray
    durable_bytes: int
    durable: bytes | None = None
    lost: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def on_disk(self) -> bytes:
        return bytes(self.seen[: self.durable_bytes]) if self.durable is None else self.durable

    def about_to_change(self, offset: int) -> None:
        """Bytes from `offset` on will change: keep the disk's, if they are among them."""
        if self.durable is None and offset < self.durable_bytes:
            self.durable = bytes(self.seen[: self.durable_bytes])

    def write(self, data: bytes, offset: int) -> None:
        self.about_to_change(offset)
        self.seen.extend(bytes(max(0, offset - len(self.seen))))
        self.seen[offset : offset + len(data)] = data
        end = offset + len(data)
        self.lost = [
            part
            for a, b in self.lost
            for part in ((a, min(b, offset)), (max(a, end), b))
            if part[0] < part[1]
        ]

    def truncate(self, size: int) -> None:
        self.about_to_change(size)
        del self.seen[size:]
        self.lost = [(a, min(b, size)) for a, b in self.lost if a < size]

    def sync(self) -> None:
        if self.lost:
            image = bytearray(self.seen)
            for a, b in self.lost:
                image[a:b] = bytes(b - a)
            self.durable = bytes(image)
        else:
            self.durable = None
        self.durable_bytes = len(self.seen)

    def fail_sync(self) -> None:
        if self.durable is not None:
            self.lost = [(0, len(self.seen))]
        elif self.durable_bytes < len(self.seen):
            self.lost.append((self.durable_bytes, len(self.seen)))

    def survive(self, chance: Random) -> bytes:
        """The disk's bytes, and some of what was on its way."""
        old, new = self.on_disk(), bytes(self.seen)
        if old == new:
            return old
        if new.startswith(old) and chance.choice((True, False)):
            return new[: chance.randint(len(old), len(new))]
        size = chance.randint(min(len(old), len(new)), max(len(old), len(new)))
        mixed = bytearray()
        for start in range(0, size, _SECTOR_BYTES):
            source = chance.choice((old, new))
            sector = source[start : start + _SECTOR_BYTES]
            mixed += sector.ljust(min(_SECTOR_BYTES, size - start), b"\0")[: size - start]
        return bytes(mixed)


Entry = _Image | None  # None stands for a folder


class Disk:
    """The folder `root` and all below it; starts with everything that is there as durable."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._images: dict[int, _Image] = {}
        self._entries: dict[Path, dict[str, Entry]] = {}
        self.adopt()

    def adopt(self) -> None:
        """Take everything that is there for durable."""
        self._images, self._entries = {}, {}
        for folder in (self._root, *(path for path in self._root.rglob("*") if path.is_dir())):
            self.folder_synced(folder)

    def seen(self, path: Path) -> _Image:
        """The image of the file at `path`; one that was made by others is durable as it is."""
        number = path.stat().st_ino
        image = self._images.get(number)
        if image is None or len(image.seen) != path.stat().st_size:
            data = path.read_bytes()
            image = self._images[number] = _Image(bytearray(data), len(data))
        return image

    def written(self, fd: int, data: bytes, offset: int) -> None:
        """`data` is now at `offset`, for programs to see."""
        self._images[os.fstat(fd).st_ino].write(data, offset)

    def truncate(self, path: Path, size: int) -> None:
        """The file ends at `size`, for programs to see."""
        self.seen(path).truncate(size)

    def synced(self, fd: int) -> None:
        """What programs see of the file is durable now."""
        self._images[os.fstat(fd).st_ino].sync()

    def sync_failed(self, fd: int) -> None:
        """What was not durable will not become so by another sync."""
        self._images[os.fstat(fd).st_ino].fail_sync()

    def unlinked(self, path: Path) -> None:
        """The name is about to go; when it is the last, its inode's number may come again."""
        if path.exists() and path.stat().st_nlink == 1:
            self.seen(path)
            del self._images[path.stat().st_ino]

    def folder_made(self, folder: Path) -> None:
        """The folder is there, and nothing in it is durable."""
        self._entries[folder] = {}

    def folder_synced(self, folder: Path) -> None:
        """The folder's names are durable now."""
        self._entries[folder] = self._names(folder)

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
        self.adopt()

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
        return {path.name: None if path.is_dir() else self.seen(path) for path in folder.iterdir()}
