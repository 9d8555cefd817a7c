"""What a row of the table is, and what its two sides return.

A row compares *ours* with a *peer* in one process, in interleaved rounds. Each side is a function
without arguments that does the row's work once and returns one number: a rate per second where
more is better, or a cost (seconds, bytes) where less is better. Both sides return the same unit.
"""

from __future__ import annotations

import contextlib
import enum
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

Side = "Callable[[], float]"
Note = float | int | str


class Better(enum.StrEnum):
    """Which direction of a row's result is the good one."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Options:
    """How one run is made.

    Attributes:
        rounds: measurements of each side.
        turns: journal lines of the recovery rows.
        work: a folder of this run, shared by all its child processes, on the disk that is measured.
    """

    rounds: int
    turns: int
    work: Path


@dataclass
class Sides:
    """The two sides of a row, ready to be measured, and what they have to tell besides."""

    ours: Callable[[], float]
    peer: Callable[[], float] | None = None
    notes: dict[str, Note] = field(default_factory=dict[str, Note])


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what the command line calls it.
        work: what is done, in a few words.
        against: the peer, in a few words; empty when the result is ours alone.
        must: the bound that a result may not miss; None for a row that is only reported.
        aim: the bound that a result should reach.
        better: whether a higher or a lower result is the good one.
        unit: of the result: `x` for a ratio ours / peer, else what the sides return.
        value_unit: of what each side returns.
        open: makes the sides, and cleans up behind them.
        fresh: a new process for each round (memory is only comparable in one).
    """

    name: str
    work: str
    against: str
    must: float | None
    aim: float | None
    better: Better
    unit: str
    value_unit: str
    open: Callable[[Options], contextlib.AbstractContextManager[Sides]]
    fresh: bool = False


def plain(
    ours: Callable[[], float], peer: Callable[[], float] | None = None
) -> Callable[[Options], contextlib.AbstractContextManager[Sides]]:
    """`Row.open` of a row that needs nothing prepared."""

    @contextlib.contextmanager
    def sides(_options: Options) -> Generator[Sides]:
        yield Sides(ours, peer)

    return sides


@contextlib.contextmanager
def fresh_folder() -> Generator[Path]:
    """An empty folder on the measured disk, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="understudy-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
