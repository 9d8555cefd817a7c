"""`python -m tests.gates`: runs every gate; ends with 1 when one of them is shut."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.gates.table import GATES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.gates.table import Gate


def run(gates: Iterable[Gate]) -> int:
    """Run all, also behind one that is shut. Returns how many are shut."""
    results = [_is_open(gate) for gate in gates]
    shut = results.count(False)
    sys.stdout.write(f"{len(results) - shut} passed, {shut} failed\n")
    return shut


def _is_open(gate: Gate) -> bool:
    started = time.monotonic()
    done = subprocess.run(gate.command, check=False, capture_output=True, text=True)
    took_s = time.monotonic() - started
    is_open = done.returncode == 0
    said = (done.stdout + done.stderr).strip()
    lines = said.splitlines() if not is_open else said.splitlines()[-1:]
    state = "open" if is_open else f"SHUT (exit code {done.returncode})"
    sys.stdout.write("\n    ".join([f"{gate.name}: {state}, {took_s:.0f} s", *lines]) + "\n")
    sys.stdout.flush()
    return is_open


if __name__ == "__main__":
    sys.exit(1 if run(GATES) else 0)
