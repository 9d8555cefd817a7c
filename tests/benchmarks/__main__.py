"""Measure and print the table: `python -m tests.benchmarks [row …] [--rounds N] [--json FILE]`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import measure, page, peer_disk, run, table
from tests.benchmarks.catalog import ROWS
from tests.benchmarks.rows import Options


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, 1 when a row could not be measured, 3 when `--gate` and a must was missed."""
    asked = _parser().parse_args(arguments)
    names: list[str] = asked.row or list(ROWS)
    if unknown := sorted(set(names) - set(ROWS)):
        sys.stderr.write(f"expected rows among {', '.join(ROWS)}, got {', '.join(unknown)}\n")
        return 2
    work = Path(tempfile.mkdtemp(prefix="understudy-bench-run-"))
    try:
        report = _report(names, Options(rounds=asked.rounds, turns=asked.turns, work=work))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.stdout.write(table.render(report))
    if asked.docs:
        page.write(report, datetime.now(UTC).date())
    if asked.json is not None:
        asked.json.write_text(report.model_dump_json(indent=1) + "\n")
    verdicts = [outcome.verdict for outcome in report.rows]
    if "FAILED" in verdicts:
        return 1
    return 3 if asked.gate and "MISSED" in verdicts else 0


def _report(names: list[str], options: Options) -> run.Report:
    machine = run.machine(options.work, 1e6 / peer_disk.raw_syncs())
    report = run.Report(
        machine=machine, rounds=options.rounds, turns=options.turns, warnings=[], rows=[]
    )  # fmt: skip
    if options.rounds < measure.MIN_ROUNDS:
        report.warnings.append(f"{options.rounds} rounds: figures that count have {measure.MIN_ROUNDS}")
    if machine.load > machine.cores / 4:
        report.warnings.append(f"the load was {machine.load} when the run began: others use this machine")
    if machine.filesystem == "tmpfs":
        report.warnings.append("temporary files are in memory, where a sync is free: set TMPDIR to a disk")
    for name in names:
        sys.stderr.write(f"{name} … ")
        sys.stderr.flush()
        outcome = run.measured(ROWS[name], options)
        told = outcome.error or f"{table.number(outcome.result or 0.0)} {outcome.unit}"
        sys.stderr.write(f"{told} ({outcome.verdict})\n")
        report.rows.append(outcome)
    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("row", nargs="*", help=f"rows to measure (default: all): {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=measure.MIN_ROUNDS)
    parser.add_argument("--turns", type=int, default=1_000_000, help="journal lines of the recovery rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    parser.add_argument("--docs", action="store_true", help="put the run into docs/explanation/benchmarks")
    parser.add_argument("--gate", action="store_true", help="exit with 3 when a must is missed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
