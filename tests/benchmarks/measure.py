"""Rounds, medians, ratios: the arithmetic of the benchmarks, free of processes and clocks."""

from __future__ import annotations

import gc
import statistics
from typing import TYPE_CHECKING

from pydantic import BaseModel

from tests.benchmarks.rows import Better, Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.rows import Row, Sides

NOISY = 0.25
"""A spread above this makes a measurement worth repeating on a quieter machine."""
MIN_ROUNDS = 5


class Samples(BaseModel):
    """What the rounds of one row in one mode returned, in order; `peer` is empty when there is none."""

    ours: list[float]
    peer: list[float]
    notes: dict[str, Note] = {}


class Mode(BaseModel):
    """One row in one mode (pinned or unpinned), summed up.

    Attributes:
        samples: every measurement.
        ours: median of ours.
        peer: median of the peer's; None without one.
        ratio: median over the rounds of ours / peer; None without a peer.
        ratios: lowest and highest of those.
        spread: of the noisier side: distance between the quartiles, relative to the median.
    """

    samples: Samples
    ours: float
    peer: float | None
    ratio: float | None
    ratios: tuple[float, float] | None
    spread: float


def rounds(sides: Sides, count: int) -> Samples:
    """Measure both sides `count` times, in turns; who goes first alternates with each round."""
    ours: list[float] = []
    peer: list[float] = []
    for number in range(count):
        turns = [(sides.ours, ours)]
        if sides.peer is not None:
            turns.append((sides.peer, peer))
        for side, into in turns if number % 2 == 0 else reversed(turns):
            gc.collect()
            into.append(side())
    return Samples(ours=ours, peer=peer, notes=sides.notes)


def summary(samples: Samples) -> Mode:
    """Medians, ratios round by round, and how far apart the rounds are."""
    ratios = [a / b for a, b in zip(samples.ours, samples.peer, strict=False)]
    return Mode(
        samples=samples,
        ours=statistics.median(samples.ours),
        peer=statistics.median(samples.peer) if samples.peer else None,
        ratio=statistics.median(ratios) if ratios else None,
        ratios=(min(ratios), max(ratios)) if ratios else None,
        spread=max(spread(samples.ours), spread(samples.peer)),
    )


def spread(values: Sequence[float]) -> float:
    """Distance between the quartiles relative to the median; 0 for fewer than two values."""
    middle = statistics.median(values) if values else 0.0
    if len(values) < 2 or middle == 0:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return abs((high - low) / middle)


def p99(ordered: Sequence[float]) -> float:
    """The value that one in a hundred of `ordered` (lowest first) is above."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def result(row: Row, modes: Sequence[Mode]) -> float:
    """The figure that counts: the worse of the modes, in the row's unit."""
    figures = [mode.ratio if row.unit == "x" else mode.ours for mode in modes]
    known = [figure for figure in figures if figure is not None]
    if not known:
        msg = f"expected a peer for {row.name}, whose result is a ratio, got none"
        raise ValueError(msg)
    return min(known) if row.better is Better.HIGHER else max(known)


def verdict(row: Row, figure: float) -> str:
    """`aim`, `must`, `MISSED` or, for a row without bounds that is beyond its aim, `reported`."""

    def reaches(bound: float | None) -> bool:
        if bound is None:
            return False
        return figure >= bound if row.better is Better.HIGHER else figure <= bound

    if reaches(row.aim):
        return "aim"
    if row.must is None:
        return "reported"
    return "must" if reaches(row.must) else "MISSED"
