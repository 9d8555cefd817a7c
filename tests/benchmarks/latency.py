"""Input accepted → offline reply durable, under 50 requests a second, against a real server process.

Everything crosses the loopback: the inputs are posted on a fixed timetable (late replies do not
slow the posts down), the replies are seen on the event stream, which shows nothing that is not
durable. So each figure is an upper bound of what the row asks for.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from typing import TYPE_CHECKING

import httpx
import trio

from tests.benchmarks import measure
from tests.benchmarks.rows import Better, Options, Row, Sides, fresh_folder
from tests.benchmarks.serving import server

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.benchmarks.rows import Note

Json = str | float | bool | None | list["Json"] | dict[str, "Json"]
RATE, SECONDS = 50, 6
WARM = 20
WAIT_S = 30.0


class Run:
    """One run: when each input was posted and accepted, and when its reply was seen."""

    def __init__(self) -> None:
        self.posted: dict[str, float] = {}
        self.accepted: dict[str, float] = {}
        self.answered: dict[str, float] = {}
        self.watching = trio.Event()
        self.all_answered = trio.Event()

    def see(self, data: Json, now: float) -> None:
        """Note every input that a message in this event answers; the first time counts."""
        if isinstance(data, dict):
            for key, part in data.items():
                if key == "in_reply_to" and isinstance(part, list):
                    self.answered.update({str(name): now for name in part if name not in self.answered})
                else:
                    self.see(part, now)
        elif isinstance(data, list):
            for part in data:
                self.see(part, now)

    def check(self, total: int) -> None:
        """Whether all `total` inputs have been answered."""
        if len(self.accepted) == total and self.answered.keys() >= self.accepted.keys():
            self.all_answered.set()


async def _watch(client: httpx.AsyncClient, run: Run, total: int) -> None:
    async with client.stream("GET", "/api/events", timeout=None) as events:
        run.watching.set()
        async for line in events.aiter_lines():
            if line.startswith("data:"):
                run.see(json.loads(line[5:]), time.perf_counter())
                run.check(total)


async def _post(client: httpx.AsyncClient, run: Run, number: int, total: int) -> None:
    posted = time.perf_counter()
    reply = await client.post("/api/input", json={"text": f"hello, number {number}"}, timeout=WAIT_S)
    reply.raise_for_status()
    name: str = reply.json()["id"]
    run.posted[name], run.accepted[name] = posted, time.perf_counter()
    run.check(total)


async def _drive(address: str, total: int, rate: float) -> Run:
    run = Run()
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with (
        httpx.AsyncClient(base_url=address, limits=limits) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_watch, client, run, total)
        await run.watching.wait()
        began = trio.current_time()
        for number in range(total):
            await trio.sleep_until(began + number / rate)
            nursery.start_soon(_post, client, run, number, total)
        with trio.fail_after(WAIT_S):
            await run.all_answered.wait()
        nursery.cancel_scope.cancel()
    return run


def replies(address: str, notes: dict[str, Note]) -> float:
    """p99, in milliseconds, from the post of an input to its reply on the event stream."""
    run = trio.run(_drive, address, RATE * SECONDS, float(RATE))
    whole = sorted((run.answered[name] - at) * 1e3 for name, at in run.posted.items())
    after = sorted((run.answered[name] - at) * 1e3 for name, at in run.accepted.items())
    accept = sorted((run.accepted[name] - at) * 1e3 for name, at in run.posted.items())
    notes.update(
        p50_ms=round(statistics.median(whole), 2),
        from_202_p99_ms=round(measure.p99(after), 2),
        accepted_p99_ms=round(measure.p99(accept), 2),
        inputs=len(whole),
    )
    return measure.p99(whole)


@contextlib.contextmanager
def _serving(_options: Options) -> Generator[Sides]:
    with fresh_folder() as home, server(home) as served:
        address = served.address
        trio.run(_drive, address, WARM, float(RATE))
        sides = Sides(lambda: replies(address, sides.notes))
        yield sides


ROWS: tuple[Row, ...] = (
    # A server process and this client, on one core when pinned. Report only.
    Row(
        "reply-latency",
        "input posted → offline reply seen durable, p99 at 50/s (serve process, over HTTP)",
        "",
        None,
        20,
        Better.LOWER,
        "ms",
        "ms",
        _serving,
    ),
)
