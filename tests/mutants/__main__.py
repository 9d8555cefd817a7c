"""`python -m tests.mutants [RULE ...]`: shows for each mutant the test that catches it."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.mutants.run import Verdict, copy_of_the_tree, judge, run_tests
from tests.mutants.table import Mutant, read_table

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = 2


def main() -> int:
    """Run the chosen mutants; 1 when one of them is not caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("rules", nargs="*", help="only the mutants of these rules, such as T3")
    parser.add_argument("--verbose", action="store_true", help="what pytest said of those not caught")
    options = parser.parse_args()
    chosen = [one for one in read_table() if not options.rules or one.rule in options.rules]
    if not chosen:
        parser.error(f"expected rules of the table, got {' '.join(options.rules)}")
    started = time.monotonic()
    with copy_of_the_tree() as tree:
        code, said = run_tests(tree, sorted({one.caught_by for one in chosen}))
    if code != 0:
        sys.stdout.write(f"{said}\nexpected the tests to pass without a mutant, got exit code {code}\n")
        return 1
    escaped = _run(chosen, verbose=options.verbose)
    took = time.monotonic() - started
    sys.stdout.write(f"{len(chosen) - escaped} passed, {escaped} failed\n")
    sys.stdout.write(f"({len({one.rule for one in chosen})} rules in {took:.0f} s)\n")
    return 1 if escaped else 0


def _run(chosen: list[Mutant], *, verbose: bool) -> int:
    """Judge all; a worker has a tree of its own. Returns how many were not caught."""
    waiting, escaped = deque(chosen), 0

    def work() -> int:
        missed = 0
        with copy_of_the_tree() as tree:
            while (mutant := _next(waiting)) is not None:
                missed += _report(mutant, tree, verbose=verbose)
        return missed

    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(work) for _ in range(WORKERS)]:
            escaped += future.result()
    return escaped


def _report(mutant: Mutant, tree: Path, *, verbose: bool) -> bool:
    verdict, said = judge(mutant, tree)
    missed = verdict is not Verdict.CAUGHT
    line = f"{mutant.rule}  {verdict:8}  {mutant.breaks}\n    {mutant.caught_by}\n"
    sys.stdout.write(line + (said if missed and verbose else ""))
    sys.stdout.flush()
    return missed


def _next(waiting: deque[Mutant]) -> Mutant | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


if __name__ == "__main__":
    sys.exit(main())
