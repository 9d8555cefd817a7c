"""pykka's `ThreadingActor` doing the messaging rows' work: a thread and an unbounded queue an actor."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pykka

from tests.benchmarks.cast import Lap, Ping

if TYPE_CHECKING:
    from collections.abc import Callable

PING = Ping()
WAIT_S = 60.0


class Counter(pykka.ThreadingActor):
    """Counts what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_receive(self, message: Any) -> int:
        """One more. No dispatch by type: pykka's plainest and fastest way."""
        self.count += 1
        return self.count


class Runner(pykka.ThreadingActor):
    """One of a ring: passes on what it gets."""

    def __init__(self, lap: Lap) -> None:
        super().__init__()
        self._lap = lap
        self._next: pykka.ActorRef[Runner] | None = None

    def on_receive(self, message: Any) -> None:
        """The next one's reference, or a message to pass on."""
        if isinstance(message, pykka.ActorRef):
            self._next = message
        elif self._lap.hop() and self._next is not None:
            self._next.tell(message)


def tell(count: int) -> Callable[[], float]:
    """`count` tells from the calling thread, and one ask that sees them all handled. Per second."""

    def run() -> float:
        ref = Counter.start()
        started = time.perf_counter()
        for _ in range(count):
            ref.tell(PING)
        handled = ref.ask(PING)
        took = time.perf_counter() - started
        ref.stop()
        expect(count + 1, handled)
        return count / took

    return run


def ask(count: int) -> Callable[[], float]:
    """`count` blocking asks from the calling thread, one after another. Per second."""

    def run() -> float:
        ref = Counter.start()
        started = time.perf_counter()
        for _ in range(count):
            ref.ask(PING)
        took = time.perf_counter() - started
        ref.stop()
        return count / took

    return run


def ring(hops: int, size: int) -> Callable[[], float]:
    """One message round a ring of `size` actors until it has made `hops` hops. Hops per second."""

    def run() -> float:
        done = threading.Event()
        lap = Lap(hops, done.set)
        refs = [Runner.start(lap) for _ in range(size)]
        for index, ref in enumerate(refs):
            ref.ask(refs[(index + 1) % size])
        started = time.perf_counter()
        refs[0].tell(PING)
        if not done.wait(WAIT_S):
            msg = f"expected {hops} hops within {WAIT_S} s, {lap.left} are left"
            raise TimeoutError(msg)
        took = time.perf_counter() - started
        for ref in refs:
            ref.stop()
        return hops / took

    return run


def start_and_stop(count: int) -> Callable[[], float]:
    """Start `count` actors, then stop them, each waited for. Actors per second."""

    def run() -> float:
        started = time.perf_counter()
        refs = [Counter.start() for _ in range(count)]
        for ref in refs:
            ref.stop()
        return count / (time.perf_counter() - started)

    return run


def expect(wanted: int, got: object) -> None:
    """A side that did not do its work must not get a figure."""
    if wanted != got:
        msg = f"expected {wanted} done, got {got}"
        raise AssertionError(msg)
