"""pykka's own tests, fetched from its sdist and run with Understudy's actors as a second runtime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = "4.5.0"
CACHE = Path(__file__).parents[2] / ".cache"
PLUGIN = Path(__file__).with_name("pykka_runtime")

NOT_APPLICABLE: dict[str, str] = {}
"""Tests (node ids of the suite) that cannot apply to actors on a loop, each with its reason. At most five."""

_SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python 3.11 has extraction filters from its fourth patch on only."""


@dataclass(frozen=True)
class Verdict:
    """How a run of the suite ended.

    Attributes:
        exit_code: pytest's.
        output: what pytest wrote.
        collected: node ids of the tests that ran.
    """

    exit_code: int
    output: str
    collected: tuple[str, ...]

    def of_runtime(self, runtime: str) -> list[str]:
        """The tests that ran with that runtime."""
        return [test for test in self.collected if f"[{runtime}" in test or f"-{runtime}" in test]


def fetch() -> Path:
    """The unpacked sdist, downloaded once through pip into .cache/.

    Raises:
        RuntimeError: when pip could not download it.
    """
    unpacked = CACHE / f"pykka-{VERSION}"
    if not (unpacked / "tests").is_dir():
        _download()
        with tarfile.open(CACHE / f"pykka-{VERSION}.tar.gz") as archive:
            archive.extractall(CACHE, **_SAFELY)  # noqa: S202 - one pinned release of a package that we run anyway
    return unpacked


def run(collected: Path) -> Verdict:
    """Run the whole suite in a process of its own.

    Args:
        collected: where the plugin writes what ran.
    """
    suite = fetch()
    path = os.pathsep.join((str(suite), str(PLUGIN)))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))},
        "PYTHONPATH": path,
        "NOT_APPLICABLE": json.dumps(NOT_APPLICABLE),
        "COLLECTED": str(collected),
    }
    options = [
        "-p",
        "understudy_runtime",
        "-p",
        "no:trio",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "-rfE",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(suite), str(suite / "tests")],
        cwd=suite,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    tests = tuple(collected.read_text().splitlines()) if collected.exists() else ()
    return Verdict(done.returncode, done.stdout + done.stderr, tests)


def _download() -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # Only pykka itself as an sdist: with ":all:" pip would build its build tools from source, for minutes.
    sdist = ["--no-deps", "--no-binary", "pykka", "--dest", str(CACHE), f"pykka=={VERSION}"]
    done = subprocess.run([*pip, *sdist], capture_output=True, text=True, check=False)
    if done.returncode:
        msg = (
            f"expected to download pykka {VERSION}'s sdist with pip, got:\n{done.stderr}"
            f"Without a network, put pykka-{VERSION}.tar.gz into {CACHE} and unpack it there."
        )
        raise RuntimeError(msg)
