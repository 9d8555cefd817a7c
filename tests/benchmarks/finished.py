"""100,000 finished tasks in a home: how long until `serve` shows them, what it takes, how fast lists are."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
ASKED = 500


class Figures(NamedTuple):
    """What was measured.

    Attributes:
        started_s: from the start of the process to the first list of tasks; `cpu_s` of it on a processor.
        rss_mib: after the requests; `peak_mib` is the most that it ever was.
        p50_ms, p99_ms: of `GET /api/tasks?limit=50`.
    """

    started_s: float
    cpu_s: float
    rss_mib: float
    peak_mib: float
    p50_ms: float
    p99_ms: float


def measure(home: Path) -> Figures:
    """Start `serve` on `home`, ask for the newest tasks, end it. Blocks.

    Raises:
        RuntimeError: it did not answer in time.
    """
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "understudy", "serve", "--home", str(home), "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().removeprefix("listening on ").strip()
        with httpx.Client(base_url=url, timeout=10) as client:
            while client.get("/api/tasks", params={"limit": 50}).status_code != 200:
                if time.perf_counter() - began > PATIENCE_S:
                    msg = f"expected a list of tasks within {PATIENCE_S:.0f} s"
                    raise RuntimeError(msg)
            started_s = time.perf_counter() - began
            cpu_s = _cpu_s(server.pid)
            taken = sorted(_timed(client) for _ in range(ASKED))
        rss, peak = _memory_mib(server.pid)
        return Figures(
            started_s, cpu_s, rss, peak, statistics.median(taken) * 1e3, taken[int(0.99 * ASKED)] * 1e3
        )
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE_S)


def _timed(client: httpx.Client) -> float:
    before = time.perf_counter()
    client.get("/api/tasks", params={"limit": 50}).raise_for_status()
    return time.perf_counter() - before


def _cpu_s(pid: int) -> float:
    """What the process has computed by now (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mib(pid: int) -> tuple[float, float]:
    """What the process holds now, and the most that it ever did (Linux)."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return int(fields["VmRSS"].split()[0]) / 1024, int(fields["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    sys.stdout.write(f"{measure(Path(sys.argv[1]))}\n")
