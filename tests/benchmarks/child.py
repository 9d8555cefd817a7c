"""One row, in one mode, in a process of its own: `python -m tests.benchmarks.child` with one JSON argument.

The affinity is set before anything else is imported, so that every thread has it. The samples go
to a file, because a row may print.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TypedDict


class Order(TypedDict):
    """What the parent asks for; see `Options` for rounds, turns and work."""

    row: str
    core: int | None
    rounds: int
    turns: int
    work: str
    into: str


def main(order: Order) -> None:
    """Pin, measure, write the samples to `into`."""
    if order["core"] is not None:
        os.sched_setaffinity(0, {order["core"]})
    from tests.benchmarks import measure  # noqa: PLC0415 - threads that imports start inherit the affinity
    from tests.benchmarks.catalog import ROWS  # noqa: PLC0415
    from tests.benchmarks.rows import Options  # noqa: PLC0415

    row = ROWS[order["row"]]
    options = Options(rounds=order["rounds"], turns=order["turns"], work=Path(order["work"]))
    with row.open(options) as sides:
        samples = measure.rounds(sides, order["rounds"])
    samples.notes.update(sides.notes)  # a row may note something at its end
    Path(order["into"]).write_text(samples.model_dump_json())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
