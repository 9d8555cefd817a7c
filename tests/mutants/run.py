"""Runs a mutant's test in a copy of the tree that has the mutant in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutants.table import ROOT, Mutant, mutated

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

TIMEOUT_S = 120.0
_PYTEST = ("-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "--no-cov")
_FAILED, _PASSED = 1, 0


class Verdict(StrEnum):
    """What came of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    HUNG = "HUNG"
    BROKEN = "BROKEN"
    """The test could not even be run: that proves nothing about the rule."""


@contextmanager
def copy_of_the_tree() -> Generator[Path]:
    """A copy of what git knows of the checkout, as it stands in the working tree, removed afterwards."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - by its PATH
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with tempfile.TemporaryDirectory(prefix="understudy-mutants-") as folder:
        tree = Path(folder) / "tree"
        for name in filter(None, listed.stdout.decode().split("\0")):
            source, target = ROOT / name, tree / name
            if source.is_symlink() or source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        yield tree


def judge(mutant: Mutant, tree: Path) -> tuple[Verdict, str]:
    """Put the mutant into `tree`, run its test, take it out again. Returns what pytest said, too."""
    path = tree / mutant.file
    source = path.read_text()
    path.write_text(mutated(mutant, source))
    try:
        code, said = run_tests(tree, [mutant.caught_by])
    finally:
        path.write_text(source)
    if code is None:
        return Verdict.HUNG, said
    if code == _FAILED and _failed_by_itself(mutant, said):
        return Verdict.CAUGHT, said
    return (Verdict.SURVIVED if code == _PASSED else Verdict.BROKEN), said


def run_tests(tree: Path, tests: Iterable[str]) -> tuple[int | None, str]:
    """pytest's exit code (None when it did not end in time) and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, *_PYTEST, *tests],
            cwd=tree,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as late:
        return None, str(late)
    return done.returncode, done.stdout + done.stderr


def _failed_by_itself(mutant: Mutant, said: str) -> bool:
    """Whether the test ran and failed; an error at collection or in a fixture is none of its own."""
    name = mutant.caught_by.rpartition("::")[2].partition("[")[0]
    return any(line.startswith("FAILED ") and name in line for line in said.splitlines())
