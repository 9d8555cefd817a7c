"""A file as programs see it, and as the disk has it: what a power failure leaves of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_SECTOR_BYTES = 512


@dataclass(eq=False)
class Image:
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

    def become(self, data: bytes) -> None:
        """Somebody else has made the file `data`, and that is durable."""
        self.seen[:] = data
        self.durable_bytes, self.durable = len(data), None
        self.lost.clear()

    def on_disk(self) -> bytes:
        """The disk's bytes."""
        return bytes(self.seen[: self.durable_bytes]) if self.durable is None else self.durable

    def about_to_change(self, offset: int) -> None:
        """Bytes from `offset` on will change: keep the disk's, if they are among them."""
        if self.durable is None and offset < self.durable_bytes:
            self.durable = bytes(self.seen[: self.durable_bytes])

    def write(self, data: bytes, offset: int) -> None:
        """`data` is now at `offset`, for programs to see."""
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
        """The file ends at `size`, for programs to see."""
        self.about_to_change(size)
        del self.seen[size:]
        self.seen.extend(bytes(size - len(self.seen)))
        self.lost = [(a, min(b, size)) for a, b in self.lost if a < size]

    def sync(self) -> None:
        """What programs see is durable now, but for what a failed sync has lost."""
        if self.lost:
            image = bytearray(self.seen)
            for a, b in self.lost:
                image[a:b] = bytes(b - a)
            self.durable = bytes(image)
        else:
            self.durable = None
        self.durable_bytes = len(self.seen)

    def fail_sync(self) -> None:
        """What was not durable will not become so by another sync."""
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
