"""One round of our side of one row: run with the tree to measure as PYTHONPATH, and one JSON argument.

Its imports come from that tree, and the rows too; this file may be newer than they are.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TypedDict


class Round(TypedDict):
    """What to run: `row` of the tree `tree`, bound to `core`; the figure goes to the file `into`."""

    row: str
    tree: str
    core: int | None
    turns: int
    work: str
    into: str


def main(order: Round) -> None:
    """Pin, measure once, write the figure."""
    if order["core"] is not None:
        os.sched_setaffinity(0, {order["core"]})
    import understudy  # noqa: PLC0415 - threads that imports start inherit the affinity
    from tests.benchmarks.catalog import ROWS  # noqa: PLC0415
    from tests.benchmarks.rows import Options  # noqa: PLC0415

    if not Path(understudy.__file__).is_relative_to(order["tree"]):
        msg = f"expected understudy from {order['tree']}, got {understudy.__file__}"
        raise RuntimeError(msg)
    options = Options(rounds=1, turns=order["turns"], work=Path(order["work"]))
    with ROWS[order["row"]].open(options) as sides:
        figure = sides.ours()
    Path(order["into"]).write_text(json.dumps(figure))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
