"""This tree against an older commit, in turns: `python -m tests.benchmarks.against REV [row …]`."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import measure, run, table
from tests.benchmarks.one_round import Round

ROUNDS = 15
NOISY = 0.10
"""Quartiles further apart than this, relative to the median, make a row noisy."""
LEAST = 0.95
LEAST_WHEN_NOISY = 0.9
LIST = (
    "import json; from tests.benchmarks.catalog import ROWS;"
    "print(json.dumps({row.name: row.better for row in ROWS.values()}))"
)


@dataclass(frozen=True)
class Comparison:
    """One row in one mode on both trees.

    Attributes:
        ratio: how many times as good as the older tree; above 1 is better, whichever way the row counts.
        spread: of the noisier side: distance between the quartiles, relative to the median.
    """

    ratio: float
    spread: float

    @property
    def slower(self) -> bool:
        """Whether the ratio is below what noise explains."""
        return self.ratio < (LEAST_WHEN_NOISY if self.spread > NOISY else LEAST)


def compared(new: Sequence[float], old: Sequence[float], better: str) -> Comparison:
    """Medians against each other; `better` is `higher` or `lower`."""
    good, bad = statistics.median(new), statistics.median(old)
    if better == "lower":
        good, bad = bad, good
    ratio = good / bad if bad else (1.0 if good == bad else float("inf"))
    return Comparison(ratio, max(measure.spread(new), measure.spread(old)))


def quartiles(values: Sequence[float]) -> str:
    """The median, and the quartiles around it."""
    if len(values) < 2:
        return table.number(values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{table.number(middle)} ({table.number(low)} to {table.number(high)})"


def unpacked(revision: str) -> Path:
    """The files of a commit, in a folder of its own in .cache.

    Raises:
        subprocess.CalledProcessError: git knows no such commit.
    """
    commit = _output(["git", "rev-parse", "--verify", f"{revision}^{{commit}}"], run.ROOT).strip()
    tree = run.ROOT / ".cache" / "against" / commit
    if not tree.exists():
        tree.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tree.parent) as folder:
            archive = Path(folder) / "tree.tar"
            _output(["git", "archive", "-o", str(archive), commit], run.ROOT)
            files = Path(folder) / "files"
            files.mkdir()
            _output(["tar", "-xf", str(archive), "-C", str(files)], run.ROOT)
            files.rename(tree)
    return tree


def rows_of(tree: Path) -> dict[str, str]:
    """The rows that a tree has, and which direction of each is the good one."""
    rows: dict[str, str] = json.loads(_output([sys.executable, "-P", "-c", LIST], tree))
    return rows


def alternating(
    row: str, trees: Sequence[Path], core: int | None, asked: argparse.Namespace
) -> list[list[float]]:
    """The figures of each tree; who goes first changes with each round."""
    figures: list[list[float]] = [[] for _ in trees]
    for number in range(asked.rounds):
        turns = list(zip(trees, figures, strict=True))
        for tree, into in turns if number % 2 == 0 else reversed(turns):
            into.append(_figure(row, tree, core, asked.turns))
    return figures


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, 1 when a row could not be measured, 2 for what is not known, 3 when one is slower."""
    asked = _parser().parse_args(arguments)
    try:
        old = unpacked(asked.revision)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"expected a commit, got {asked.revision!r}: {error.stderr.strip()}\n")
        return 2
    here, there = rows_of(run.ROOT), rows_of(old)
    if unknown := sorted(set(asked.row) - set(here)):
        sys.stderr.write(f"expected rows among {', '.join(here)}, got {', '.join(unknown)}\n")
        return 2
    names = [name for name in here if not asked.row or name in asked.row]
    sys.stdout.write(f"| row | mode | this tree | {asked.revision} | ratio | spread | verdict |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|\n")
    verdicts = [verdict for name in names if name in there for verdict in _row(name, here[name], old, asked)]
    for name in names:
        if name not in there:
            sys.stdout.write(f"- {name}: only in this tree\n")
    for name in sorted(set(there) - set(here)):
        sys.stdout.write(f"- {name}: only in {asked.revision}\n")
    slower = verdicts.count("slower")
    sys.stdout.write(f"{len(verdicts)} measured, {slower} slower, {verdicts.count('failed')} failed\n")
    if "failed" in verdicts:
        return 1
    return 3 if slower else 0


def _row(name: str, better: str, old: Path, asked: argparse.Namespace) -> list[str]:
    verdicts: list[str] = []
    for mode, core in run.cores().items():
        try:
            ours, theirs = alternating(name, (run.ROOT, old), core, asked)
        except subprocess.SubprocessError as error:
            told = getattr(error, "stderr", None) or str(error)
            sys.stdout.write(f"| {name} | {mode} | | | | | failed: {told.strip().splitlines()[-1]} |\n")
            verdicts.append("failed")
            continue
        found = compared(ours, theirs, better)
        verdicts.append("slower" if found.slower else "ok")
        sys.stdout.write(
            f"| {name} | {mode} | {quartiles(ours)} | {quartiles(theirs)} | {found.ratio:.3f} "
            f"| {found.spread:.0%} | {verdicts[-1]} |\n"
        )
        sys.stdout.flush()
    return verdicts


def _figure(row: str, tree: Path, core: int | None, turns: int) -> float:
    with tempfile.TemporaryDirectory(prefix="understudy-bench-run-") as work:
        into = Path(work) / "figure.json"
        order: Round = {
            "row": row,
            "tree": str(tree),
            "core": core,
            "turns": turns,
            "work": work,
            "into": str(into),
        }
        script = Path(__file__).with_name("one_round.py")
        _output([sys.executable, "-P", str(script), json.dumps(order)], tree)
        return float(json.loads(into.read_text()))


def _output(command: list[str], tree: Path) -> str:
    """What a command prints, run in `tree`: it and its children import from there."""
    ended = subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        check=True,
        capture_output=True,
        text=True,
        timeout=run.CHILD_TIMEOUT_S,
    )
    return ended.stdout


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.against", description=__doc__)
    parser.add_argument("revision", help="the commit to compare with")
    parser.add_argument("row", nargs="*", help="rows to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--turns", type=int, default=1_000_000, help="journal lines of the recovery rows")
    return parser


if __name__ == "__main__":
    sys.exit(main())
