"""The model's file: what a checkpoint goes with (rule P1). Written and synced before the checkpoint is."""

from __future__ import annotations

import logging
import re
from itertools import chain
from typing import TYPE_CHECKING
from zlib import crc32

from understudy.actors.projection.model_dump import ModelDump, cursors_of, load
from understudy.supervision.files import READ, REPLACE
from understudy.supervision.uncollected import uncollected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from understudy.actors.projection.model import Kept, ReadModel
    from understudy.protocols.read_model import Cursor
    from understudy.supervision.files import Files

log = logging.getLogger(__name__)
_PREFIX = "model-"
_NAME = re.compile(r"model-[0-9]+-[0-9]+\.jsonl")
_PART_BYTES = 1 << 20
_END = b'{"crc":"%08x"}\n'


def write_model(files: Files, folder: Path, name: str, dump: ModelDump) -> None:
    """Write `dump` to `folder/name`; durable when it returns. Blocks.

    In parts: a second copy of the whole would be what most of the memory goes for.

    Raises:
        OSError.
    """
    files.make_folders(folder)
    temporary = folder / f"{name}.tmp"
    fd = files.open(temporary, REPLACE)
    try:
        crc = 0
        for part in _parts(dump):
            crc = crc32(part, crc)
            files.write_all(fd, part)
        files.write_all(fd, _END % crc)
        files.fdatasync(fd)
    finally:
        files.close(fd)
    files.replace(temporary, folder / name)
    files.sync_folder(folder)


def read_model(files: Files, folder: Path, name: str, kept: Kept) -> ReadModel | None:
    """The model in `folder/name`; None when it is missing, damaged, or of another format. Blocks."""
    try:
        with uncollected():
            return load(_lines(files, folder / name), kept)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the journals have it all
        extra = {"action": "model_rebuilt", "file": name}
        log.warning("%s can't be used, the read model is built anew: %s", name, error, extra=extra)
        return None


def checkpoint_cursors(files: Files, folder: Path) -> tuple[Cursor, ...]:
    """How far the newest file in `folder` has each journal: lines up to there were durable. Blocks.

    Also when no checkpoint names the file, since only what is durable is folded. None where there is no file.
    """
    names = [name for name in files.listdir(folder) if _NAME.fullmatch(name)]
    if not names:
        return ()
    newest = max(names, key=lambda name: tuple(map(int, re.findall(r"[0-9]+", name))))
    try:
        return cursors_of(next(_lines(files, folder / newest), b""))
    except (OSError, ValueError):
        return ()


def file_name(epoch: int, number: int) -> str:
    """A name that no other start of the projection uses."""
    return f"{_PREFIX}{epoch}-{number}.jsonl"


def remove_others(files: Files, folder: Path, name: str) -> None:
    """Remove the files of older checkpoints. What can't be removed is left for the next time. Blocks."""
    for other in files.listdir(folder):
        if other.startswith(_PREFIX) and other != name:
            try:
                files.unlink(folder / other)
            except OSError as error:
                log.warning(
                    "%s was not removed: %s", other, error, extra={"action": "model_left", "file": other}
                )


def _parts(dump: ModelDump) -> Iterator[bytes]:
    lines: list[bytes] = []
    size = 0
    for line in dump.lines():
        lines.append(line)
        size += len(line)
        if size >= _PART_BYTES:
            yield b"\n".join((*lines, b""))
            lines, size = [], 0
    yield b"\n".join((*lines, b""))


def _lines(files: Files, path: Path) -> Iterator[bytes]:
    """The file's lines, without their ends, and without the last one, which proves the others.

    Raises:
        ValueError: at the end, when it does not.
    """
    return chain.from_iterable(_line_lists(files, path))


def _line_lists(files: Files, path: Path) -> Iterator[list[bytes]]:
    fd = files.open(path, READ)
    try:
        crc, rest = 0, b""
        while part := files.read(fd, _PART_BYTES):
            rest += part
            lines = rest[: rest.rfind(b"\n", 0, max(0, len(rest) - len(_END % 0))) + 1]
            crc = crc32(lines, crc)
            rest = rest[len(lines) :]
            yield lines.splitlines()
        if rest != _END % crc:
            raise ValueError("the checksum is wrong")
    finally:
        files.close(fd)
