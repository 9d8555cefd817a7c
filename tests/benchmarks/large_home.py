"""A home with 100,000 finished tasks, served: how soon it answers, what it weighs, how fast it lists."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil

from tests.benchmarks import measure
from tests.benchmarks.homes import make_home
from tests.benchmarks.peer_pykka import expect
from tests.benchmarks.rows import Better, Options, Row, Sides
from tests.benchmarks.serving import server

if TYPE_CHECKING:
    from collections.abc import Generator

FINISHED = 100_000
LIMIT = 50
LISTS = 500
TASKS = f"/api/tasks?limit={LIMIT}"
WAIT_S = 60.0
PAUSE_S = 0.005
NOT_READY = 503
MIB = float(1 << 20)


def large_home(options: Options) -> Path:
    """The home, which the whole run shares; made once, and served once so that what that writes is there."""
    home = options.work / f"finished-{FINISHED}"
    if not home.exists():
        made = options.work / "in-the-making"
        make_home(made, FINISHED)
        started(made)
        made.rename(home)
    return home


def started(home: Path) -> float:
    """Seconds from the start of the process, interpreter and all, until `GET /api/tasks` answers."""
    began = time.perf_counter()
    with server(home) as served, httpx.Client(base_url=served.address, timeout=WAIT_S) as client:
        expect(LIMIT, _listed(client))
        return time.perf_counter() - began


def memory(home: Path) -> float:
    """MiB of resident memory of the server after a few lists."""
    with server(home) as served, httpx.Client(base_url=served.address, timeout=WAIT_S) as client:
        for _ in range(10):
            expect(LIMIT, _listed(client))
        return psutil.Process(served.pid).memory_info().rss / MIB


def lists(client: httpx.Client) -> float:
    """p99, in milliseconds, of lists over one kept connection."""
    took: list[float] = []
    for _ in range(LISTS):
        began = time.perf_counter()
        count = _listed(client)
        took.append((time.perf_counter() - began) * 1e3)
        expect(LIMIT, count)
    return measure.p99(sorted(took))


def _listed(client: httpx.Client) -> int:
    """How many tasks a list holds. A server whose read model is not level yet is asked again."""
    deadline = time.monotonic() + WAIT_S
    count = _count(client.get(TASKS))
    while count < LIMIT and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
        count = _count(client.get(TASKS))
    return count


def _count(reply: httpx.Response) -> int:
    return 0 if reply.status_code == NOT_READY else len(reply.raise_for_status().json()["tasks"])


@contextlib.contextmanager
def _start_up(options: Options) -> Generator[Sides]:
    home = large_home(options)
    yield Sides(lambda: started(home))


@contextlib.contextmanager
def _memory(options: Options) -> Generator[Sides]:
    home = large_home(options)
    yield Sides(lambda: memory(home))


@contextlib.contextmanager
def _lists(options: Options) -> Generator[Sides]:
    with (
        server(large_home(options)) as served,
        httpx.Client(base_url=served.address, timeout=WAIT_S) as client,
    ):
        _listed(client)
        yield Sides(lambda: lists(client))


# Absolute: nothing else has such a home.
ROWS = (
    Row(
        "home-start",
        "100,000 finished tasks: start of `serve` until `GET /api/tasks` answers",
        "",
        2,
        None,
        Better.LOWER,
        "s",
        "s",
        _start_up,
    ),
    Row(
        "home-memory",
        "100,000 finished tasks: resident memory of the server",
        "",
        400,
        None,
        Better.LOWER,
        "MiB",
        "MiB",
        _memory,
    ),
    Row(
        "home-list",
        "100,000 finished tasks: `GET /api/tasks?limit=50` over loopback, p99",
        "",
        20,
        None,
        Better.LOWER,
        "ms",
        "ms",
        _lists,
    ),
)
