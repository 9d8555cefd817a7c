"""`journal export`: the lines of one journal or of all, as JSON Lines. Takes no lock, needs no server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from understudy.cli import records
from understudy.cli.exits import Exit
from understudy.cli.server import require_home
from understudy.cli.settings import COMMON, Common, home_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from understudy.supervision.home import Home


def export(
    journal: Annotated[str | None, Parameter(help="The journal's name [default: all].")] = None,
    /,
    *,
    first: Annotated[PositiveInt, Parameter(name="--from", help="The first turn.")] = 1,
    last: Annotated[PositiveInt | None, Parameter(name="--to", help="The last turn.")] = None,
    output: Annotated[
        Path | None, Parameter(alias="-o", help="A file to write, instead of standard output.")
    ] = None,
    common: Common = COMMON,
) -> int:
    """Print the kept turns as JSON Lines: each as it is in the file, with the journal's name in front.

    One journal after another, oldest turn first. A file is put in place when it is complete. What is
    damaged ends it, with exit code 7: the turns before it were printed.
    """
    home = require_home(home_path(common))
    names = records.names(home) if journal is None else [records.folder_of(home, journal).name]
    lines = _lines(home, names, first, last)
    if output is None:
        sys.stdout.flush()
        _write(lines, sys.stdout.buffer)
    else:
        temporary = output.with_name(f".{output.name}.tmp")
        try:
            with temporary.open("wb") as file:
                _write(lines, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(output)
        finally:
            temporary.unlink(missing_ok=True)
    return Exit.OK


def _lines(home: Home, names: list[str], first: int, last: int | None) -> Iterator[bytes]:
    for name in names:
        head = b'{"journal":"%b",' % name.encode()
        for seq, line in records.read_lines(home, name, first - 1):
            if last is not None and seq > last:
                break
            yield head + line[1:]


def _write(lines: Iterator[bytes], to: BinaryIO) -> None:
    to.writelines(lines)
    to.flush()
