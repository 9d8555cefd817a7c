"""Coverage of each room, lines and branches apart: `python tools/rooms.py` after a run with `--cov` (NF-3).

Ends with 1 when a room is below the bound in either.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TypedDict

ROOMS = ("protocols", "supervision", "actors", "webui", "understudy")
LEAST_PERCENT = 80.0


class Summary(TypedDict):
    """What coverage counts in one file."""

    num_statements: int
    covered_lines: int
    num_branches: int
    covered_branches: int


def summaries() -> dict[str, Summary]:
    """The counts of the last run, by file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "coverage.json"
        command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(file)]
        subprocess.run(command, check=True)
        return {name: entry["summary"] for name, entry in json.loads(file.read_text())["files"].items()}


def room_of(file: str) -> str:
    """The folder at the top of the checkout that a file belongs to, also through a link in understudy/."""
    return Path(file).resolve().relative_to(Path(__file__).resolve().parents[1]).parts[0]


def percent(covered: int, there: int) -> float:
    """100 where there is nothing to cover."""
    return 100 * covered / there if there else 100.0


def main() -> int:
    """Print a line a room; 1 when one is below the bound."""
    totals = {room: Counter[str]() for room in ROOMS}
    for file, summary in summaries().items():
        totals[room_of(file)].update(summary)
    short: list[str] = []
    for room, total in totals.items():
        lines = percent(total["covered_lines"], total["num_statements"])
        branches = percent(total["covered_branches"], total["num_branches"])
        print(f"{room:12} lines {lines:5.1f} %  branches {branches:5.1f} %")
        if not total["num_statements"] or min(lines, branches) < LEAST_PERCENT:
            short.append(room)
    if short:
        print(
            f"expected at least {LEAST_PERCENT:g} % of lines and branches in each room, got less in {short}"
        )
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
