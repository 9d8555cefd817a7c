"""Tasks at a steady rate for a while, and what grows: `python -m tests.benchmarks.soak [--minutes N] …`."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
import trio

from tests.benchmarks.run import ROOT
from tests.benchmarks.serving import LISTENING
from tests.benchmarks.soak_child import Counted
from tests.benchmarks.soak_report import Report, Sample, render

MIB = float(1 << 20)
WAIT_S = 60.0
PAUSE_S = 0.1
TRIES = 3
IDLE_S = 2.0
"""After which a connection is closed: sooner than the server does it, which may meet a request."""
SAMPLES = 120
"""At least so many in a run, however short, but no more than one a quarter of a second."""


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 1 when not every task was done."""
    asked = _parser().parse_args(arguments)
    report = soak(asked.minutes * 60, asked.rate)
    sys.stdout.write(render(report))
    if asked.json is not None:
        asked.json.write_text(report.model_dump_json(indent=1) + "\n")
    return 0 if report.counted.finished == report.accepted else 1


def soak(seconds: float, rate: float) -> Report:
    """Feed a served system in a process of its own over HTTP, on a fixed timetable, then end it."""
    home = Path(tempfile.mkdtemp(prefix="understudy-soak-"))
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.soak_child", str(home)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                address = _line(child).partition(LISTENING)[2]
                feed = Feed(home, child.pid, seconds, rate)
                trio.run(feed.run, address)
                child.send_signal(signal.SIGTERM)
                counted = Counted.model_validate_json(_line(child))
            finally:
                child.kill()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return Report(seconds=seconds, rate=rate, accepted=feed.accepted, counted=counted, samples=feed.samples)


class Feed:
    """Posts tasks on a timetable, and looks at the server now and then."""

    def __init__(self, home: Path, pid: int, seconds: float, rate: float) -> None:
        self.accepted = 0
        self.samples: list[Sample] = []
        self._home = home
        self._process = psutil.Process(pid)
        self._seconds = seconds
        self._rate = rate
        self._began = time.monotonic()

    async def run(self, address: str) -> None:
        """Feed for the time, then wait until nothing is left to do."""
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=50, keepalive_expiry=IDLE_S)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=WAIT_S) as client:
            async with trio.open_nursery() as sampling:
                sampling.start_soon(self._sample)
                async with trio.open_nursery() as nursery:
                    began = trio.current_time()
                    for number in range(round(self._seconds * self._rate)):
                        await trio.sleep_until(began + number / self._rate)
                        nursery.start_soon(self._post, client, number)
                sampling.cancel_scope.cancel()
            with trio.fail_after(WAIT_S):
                while await _busy(client):
                    await trio.sleep(PAUSE_S)
        self._look()

    async def _post(self, client: httpx.AsyncClient, number: int) -> None:
        # As a careful client does: a request that got no answer is sent again with the same key.
        body = {"title": f"soak {number}", "command": ["no-op"], "key": f"soak-{number}"}
        for left in reversed(range(TRIES)):
            try:
                (await client.post("/api/tasks", json=body)).raise_for_status()
            except httpx.TransportError:
                if not left:
                    raise
            else:
                break
        self.accepted += 1

    async def _sample(self) -> None:
        every_s = max(0.25, self._seconds / SAMPLES)
        while True:
            self._look()
            await trio.sleep(every_s)

    def _look(self) -> None:
        files = [path for path in self._home.rglob("*") if path.is_file()]
        sizes = {path: _size(path) for path in files}
        history = sum(size for path, size in sizes.items() if path.is_relative_to(self._home / "history"))
        self.samples.append(
            Sample(
                at_s=time.monotonic() - self._began,
                rss_mib=self._process.memory_info().rss / MIB,
                home_mib=(sum(sizes.values()) - history) / MIB,
                history_mib=history / MIB,
                files=len(files),
            )
        )


async def _busy(client: httpx.AsyncClient) -> bool:
    """Whether tasks are not over, or results not answered, as the read model has it."""
    status = (await client.get("/api/status")).raise_for_status().json()
    tasks, manager = status["tasks"], status["manager"]
    return bool(tasks["pending"] or tasks["running"] or manager["run"] or manager["waiting"])


def _size(path: Path) -> int:
    """Its bytes; 0 when it has been removed meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"expected a line from the soak's server, it ended with {child.wait()}")
    return line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=200.0, help="tasks a second")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
