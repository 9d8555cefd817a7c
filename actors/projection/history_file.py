"""A day's file of the history, completed piece by piece: a long day is never in memory as a whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from understudy.supervision.files import READ, REPLACE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from understudy.supervision.files import Files

PIECE_BYTES = 1 << 20


def complete(files: Files, path: Path, lines: dict[str, bytes]) -> bool:
    """Put messages into a day's file, at once: old or new after a crash, never a mixture. Durable.

    A line of the file whose message is among `lines` becomes that one; messages that it lacks come last;
    what is no line of ours is left out.

    Args:
        files: how the file is read and written.
        path: the file; it need not exist.
        lines: by the id of their message, each with its newline.

    Returns:
        whether somebody else had changed the file: something in it was replaced or left out.
    """
    missing, overwritten = dict(lines), False
    temporary = path.with_name(path.name + ".tmp")
    fd = files.open(temporary, REPLACE)
    try:
        for piece in _pieces(files, path):
            kept = [_kept(line, lines, missing) for line in piece]
            overwritten = overwritten or kept != piece
            files.write_all(fd, b"".join(kept))
        if missing or overwritten:
            files.write_all(fd, b"".join(missing.values()))
            files.fdatasync(fd)
    finally:
        files.close(fd)
    if missing or overwritten:
        files.replace(temporary, path)
        files.sync_folder(path.parent)
    else:
        files.unlink(temporary)
    return overwritten


def _kept(line: bytes, lines: dict[str, bytes], missing: dict[str, bytes]) -> bytes:
    """What stands for a line of the file: itself, ours of the same id, or nothing."""
    if (name := _id_of(line)) is None:
        return b""
    if name in lines:
        return missing.pop(name, b"")
    return line if line.endswith(b"\n") else line + b"\n"


def _pieces(files: Files, path: Path) -> Iterator[list[bytes]]:
    """The file's lines with their newlines, a few thousand at a time."""
    try:
        fd = files.open(path, READ)
    except FileNotFoundError:
        return
    rest = b""
    try:
        while data := files.read(fd, PIECE_BYTES):
            *whole, rest = (rest + data).split(b"\n")
            yield [line + b"\n" for line in whole]
    finally:
        files.close(fd)
    if rest:
        yield [rest]


def _id_of(line: bytes) -> str | None:
    """The id of a line's message; None when it is no line of ours."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    name = record.get("id")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] -- whatever somebody wrote there
    return name if isinstance(name, str) else None
