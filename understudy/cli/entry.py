"""Where the `understudy` script begins: the commands need an extra that embedding programs do not."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

_DONE = 0
_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code (see `docs/reference/cli.md`).

    Args:
        arguments: of the command line; the process's own when None.
    """
    _open_standard_streams()
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given == ["--version"]:  # answered without the import of all that commands need
        sys.stdout.write(f"{installed_version()}\n")
        return _DONE
    gc.disable()  # what is imported stays; `run` switches it on again
    try:
        from understudy.cli.app import run  # noqa: PLC0415 - it needs the extra, and says so kindly below
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("understudy"):
            raise
        sys.stderr.write(
            f"understudy: the module {error.name} is not installed; the commands and the viewer need the "
            "extra `serve`: pip install 'understudy[serve]'\n"
        )
        return _FAILED
    return run(given)


def _open_standard_streams() -> None:
    """Open what is closed of descriptors 0 to 2 on /dev/null, as daemons start a program.

    Otherwise a journal or a socket gets the number 1, and what is printed goes there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this number
            os.set_inheritable(opened, True)  # noqa: FBT003 - a C function, which takes no keyword
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def installed_version() -> str:
    """The version of the package that is installed."""
    from importlib.metadata import version  # noqa: PLC0415 - reads files, for --version only

    return version("understudy")
