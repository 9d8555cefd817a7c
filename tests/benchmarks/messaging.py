"""The messaging rows: our side, on the public API as imported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from tests.benchmarks import peer_pykka
from tests.benchmarks.cast import Counter, Join, Lap, Ping, Runner
from tests.benchmarks.peer_pykka import expect
from tests.benchmarks.rows import Better, Row, plain
from understudy import ActorSystem

if TYPE_CHECKING:
    from collections.abc import Callable

PING = Ping()
TELLS = 200_000
ASKS = 20_000
FOREIGN_ASKS = 10_000
HOPS, RING = 20_000, 100
LIVES, PYKKA_LIVES = 10_000, 1_000


def tell() -> float:
    """200k through `tell_async` at the default bound, and one ask that sees them all handled."""

    async def main() -> float:
        async with ActorSystem(None) as system:
            ref = await system.spawn(Counter, name="counter")
            started = time.perf_counter()
            for _ in range(TELLS):
                await ref.tell_async(PING)
            handled = await ref.ask_async(PING)
            took = time.perf_counter() - started
            expect(TELLS + 1, handled)
            return TELLS / took

    return trio.run(main)


def ask() -> float:
    """Asks from one task of the loop, one after another."""

    async def main() -> float:
        async with ActorSystem(None) as system:
            ref = await system.spawn(Counter, name="counter")
            started = time.perf_counter()
            for _ in range(ASKS):
                await ref.ask_async(PING)
            return ASKS / (time.perf_counter() - started)

    return trio.run(main)


def foreign_ask() -> float:
    """Blocking asks from the calling thread, the loop in a thread of its own."""
    with ActorSystem.in_thread(None) as system:
        ref = system.spawn(Counter, name="counter")
        started = time.perf_counter()
        for _ in range(FOREIGN_ASKS):
            ref.ask(PING)
        return FOREIGN_ASKS / (time.perf_counter() - started)


def ring() -> float:
    """One message round a ring until it has made its hops."""

    async def main() -> float:
        done = trio.Event()
        lap = Lap(HOPS, done.set)
        async with ActorSystem(None) as system:
            refs = [await system.spawn(Runner, name=f"runner-{i}", lap=lap) for i in range(RING)]
            for index, ref in enumerate(refs):
                await ref.ask_async(Join(after=f"runner-{(index + 1) % RING}"))
            started = time.perf_counter()
            refs[0].tell(PING)
            with trio.fail_after(peer_pykka.WAIT_S):
                await done.wait()
            return HOPS / (time.perf_counter() - started)

    return trio.run(main)


def spawn_and_stop() -> float:
    """Spawn 10,000, then stop them, each waited for."""

    async def main() -> float:
        async with ActorSystem(None) as system:
            started = time.perf_counter()
            for index in range(LIVES):
                await system.spawn(Counter, name=f"counter-{index}")
            for index in range(LIVES):
                await system.stop(f"counter-{index}")
            return LIVES / (time.perf_counter() - started)

    return trio.run(main)


def _row(
    name: str, work: str, must: float, aim: float, ours: Callable[[], float], peer: Callable[[], float]
) -> Row:
    return Row(
        name, work, "pykka ThreadingActor", must, aim, Better.HIGHER, "x", "/s", plain(ours, peer)
    )  # fmt: skip


ROWS = (
    # Ours: bounded mailbox, dispatch by type. pykka: unbounded queue, one `on_receive`. Both: one
    # producer, the same frozen message object, one handler call a message, a last ask as the proof.
    _row("tell", "tell, one producer, 200k", 2, 4, tell, peer_pykka.tell(TELLS)),
    # Ours: a task of the loop awaits each reply. pykka: a thread blocks for each reply.
    _row("ask", "ask in the loop, sequential", 3, 10, ask, peer_pykka.ask(ASKS)),
    # Both: a thread that is not the actor's blocks for each reply: two thread hops an ask.
    _row("foreign-ask", "ask from a foreign thread", 0.5, 0.8, foreign_ask, peer_pykka.ask(FOREIGN_ASKS)),
    # Both: the ring is wired before the clock starts; one message object, a shared count of hops.
    _row("ring", "ring of 100 actors, 20k hops", 6, 12, ring, peer_pykka.ring(HOPS, RING)),
    # Rates. pykka starts and stops a tenth: its registry's `unregister` is O(n), and 10,000 threads
    # would slow it further, so the smaller number is in its favour. Both wait for each stop.
    _row(
        "spawn-stop",
        "spawn and stop 10,000 (pykka 1,000)",
        6,
        10,
        spawn_and_stop,
        peer_pykka.start_and_stop(PYKKA_LIVES),
    ),
)
