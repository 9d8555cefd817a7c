"""The files with the output of attempts: they belong to the pool's tasks, and go with them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from understudy.actors.ids import is_given
from understudy.supervision.files import READ

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from understudy.actors.workers.state import OverTask
    from understudy.supervision.blocking import RunBlocking
    from understudy.supervision.files import Files
    from understudy.supervision.home import Home

log = logging.getLogger("understudy.workers")

FOLDER = "state/output"


def name_of(task: str, attempt: int) -> str:
    """The path in the home of an attempt's file."""
    return f"{FOLDER}/{task}-{attempt}.log"


async def remove(run_blocking: RunBlocking, home: Home, task: str, over: OverTask) -> None:
    """Remove the files of a task that the pool has forgotten."""
    await run_blocking(_unlink, home.files, [home.path / name_of(task, number) for number in over.files])


async def sweep(run_blocking: RunBlocking, home: Home, known: Collection[str], next_number: int) -> None:
    """Remove the files of tasks below `next_number` that are not known.

    A crash can have come between the forgetting and the removing. Newer tasks run meanwhile.
    """
    await run_blocking(_sweep, home.files, home.path / FOLDER, known, next_number)


def read_output(home: Home, task: str, attempt: int, offset: int, limit: int) -> tuple[bytes, int] | None:
    """A part of an attempt's file, and the size of the file; None when it left none. Blocks."""
    if not is_given(task, "task", 1 << 62):
        return None
    try:
        fd = home.files.open(home.path / name_of(task, attempt), READ)
    except FileNotFoundError:
        return None
    try:
        return home.files.read_at(fd, limit, offset), home.files.size(fd)
    finally:
        home.files.close(fd)


def _sweep(files: Files, folder: Path, known: Collection[str], next_number: int) -> None:
    for name in files.listdir(folder):
        task = name.rpartition("-")[0]
        if task not in known and is_given(task, "task", next_number):
            _unlink(files, [folder / name])


def _unlink(files: Files, paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            files.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("can't remove %s: %s", path, error, extra={"action": "output_kept"})
