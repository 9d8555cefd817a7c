"""Races of start, ask, stop and shutdown from many threads: every future resolves, nothing is left.

The seed says what each thread does; how the threads interleave is the machine's. It is in the test's
name when one fails.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import random
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pykka
import pytest
import trio
from pydantic import BaseModel

from understudy import (
    Actor,
    ActorSystem,
    ChildSpec,
    Event,
    Future,
    Message,
    PersistentActor,
    Strategy,
    Supervisor,
)
from understudy.protocols.errors import UnderstudyError
from understudy.supervision.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from understudy.supervision.in_thread import ThreadedSystem

pytestmark = [
    pytest.mark.req("RT-1"),
    pytest.mark.req("RT-2"),
    pytest.mark.req("RT-6"),
    pytest.mark.req("RT-9"),
]

THREADS = 6
STEPS = 40
"""Of each thread at least; it goes on until the system has ended."""
WAIT_S = 5.0


class Work(Message[int]):
    """Answer with the number, at once or after a moment; a negative one is a crash."""

    number: int


@dataclass
class Tally:
    """Starts and ends of incarnations, counted on the loop's thread."""

    started: int = 0
    ended: int = 0


class Worker(Actor):
    """Answers, waits and crashes."""

    def __init__(self, *, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def on_start(self) -> None:
        """Count."""
        self._tally.started += 1

    def on_stop(self) -> None:
        """Count."""
        self._tally.ended += 1

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Count: a failed incarnation has no `on_stop`."""
        self._tally.ended += 1

    async def work(self, message: Work) -> int:
        """See `Work`."""
        if message.number < 0:
            msg = "told to crash"
            raise ValueError(msg)
        if message.number % 3 == 0:
            await trio.sleep(0.0005)
        return message.number


@dataclass
class Caller:
    """What one thread does with the system, and the futures that it was given."""

    system: ThreadedSystem
    tally: Tally
    random: random.Random
    label: str
    over: threading.Event
    futures: list[pykka.Future[Any]] = field(default_factory=list[pykka.Future[Any]])
    unexpected: list[BaseException] = field(default_factory=list[BaseException])

    def run(self) -> None:
        """Steps until after the end; errors of the runtime are answers, all others are faults."""
        for step in itertools.count():
            if self.over.is_set() and step >= STEPS:
                return
            try:
                self._step(f"{self.label}-{step}")
            except (UnderstudyError, pykka.ActorDeadError):
                pass
            except BaseException as error:  # noqa: BLE001 - reported by the test
                self.unexpected.append(error)

    def _step(self, name: str) -> None:
        ref = self.system.get(self.random.choice(["a", "b", "c", f"{self.label}-0"]))
        match self.random.randrange(8):
            case 0:
                self.system.spawn(Worker, name=name, tally=self.tally)
            case 1 | 2 | 3:
                self.futures.append(ref.ask(Work(number=self.random.randrange(9)), block=False))
            case 4:
                ref.tell(Work(number=1))
            case 5:
                ref.tell(Work(number=-1))
            case 6:
                self.futures.append(ref.stop(block=False))
            case _:
                with contextlib.suppress(ValueError):
                    ref.ask(Work(number=2), timeout=WAIT_S)


@pytest.fixture
def nervous_threads() -> Iterator[None]:
    """Threads change places far more often than usual, and none is left at the end."""
    before, threads = sys.getswitchinterval(), set(threading.enumerate())
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)
    assert {thread for thread in threading.enumerate() if "understudy" in thread.name} - threads == set()


@pytest.fixture(scope="module", autouse=True)
def no_coroutine_is_forgotten() -> Iterator[None]:
    """One that was never awaited warns when it is collected, and a warning is an error."""
    yield
    gc.collect()


def resolve_all(futures: list[pykka.Future[Any]]) -> list[Any]:
    """Each future has its outcome, whatever that is. Returns the values."""
    values: list[Any] = []
    for future in futures:
        try:
            values.append(future.get(timeout=WAIT_S))
        except pykka.Timeout:
            raise
        except Exception:  # noqa: BLE001, S112 - a stopped actor's answer is an answer
            continue
    return values


def run_all(functions: list[Callable[[], None]]) -> None:
    """In a thread each; all of them end in time."""
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S * 2)
    assert not any(thread.is_alive() for thread in threads)


def spawn_tree(system: ThreadedSystem, tally: Tally) -> None:
    """Three supervised workers that may fail as often as they like."""
    system.spawn(
        Supervisor,
        name="sup",
        strategy=Strategy.ONE_FOR_ALL,
        intensity=10_000,
        children=[
            ChildSpec(name=name, actor=Worker, arguments={"tally": tally}, backoff=Backoff(initial_s=0.001))
            for name in "abc"
        ],
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("nervous_threads")
def test_every_future_resolves_when_threads_race_each_other_and_the_shutdown(seed: int) -> None:
    """Spawns, asks, tells, crashes and stops from many threads, while one of them ends the system."""
    chance, tally = random.Random(seed), Tally()
    with ActorSystem.in_thread(seed=seed) as system:
        spawn_tree(system, tally)
        over = threading.Event()
        callers = [
            Caller(system, tally, random.Random(chance.random()), f"t{n}", over) for n in range(THREADS)
        ]
        for caller in callers:
            system.spawn(Worker, name=f"{caller.label}-0", tally=tally)
        delay_s = chance.uniform(0, 0.05)

        def shut_down() -> None:
            threading.Event().wait(delay_s)
            system.shutdown()
            over.set()

        run_all([*(caller.run for caller in callers), shut_down])
        for caller in callers:
            assert caller.unexpected == []
            resolve_all(caller.futures)
    assert tally.started == tally.ended > 0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("nervous_threads")
def test_every_future_resolves_when_pykka_actors_are_started_during_the_shutdown(seed: int) -> None:
    """A start that races the end gives an actor that works, or one that is dead: never one that hangs."""
    chance = random.Random(seed)
    futures: list[pykka.Future[Any]] = []
    with ActorSystem.in_thread(seed=seed) as system:
        end = threading.Timer(chance.uniform(0, 0.01), system.shutdown)
        end.start()
        for _ in range(500):  # bounded: pykka's mailboxes and its registry are not
            try:
                ref = Echo.start()
            except UnderstudyError:
                continue
            try:
                futures += [ref.ask("hello", block=False), ref.stop(block=False)]
            except pykka.ActorDeadError:
                continue
        end.join(WAIT_S)
        assert not end.is_alive()
        resolve_all(futures)
    assert pykka.ActorRegistry.get_all() == []


class Echo(Actor):
    """A pykka actor as they come."""

    def on_receive(self, message: Any) -> Any:
        """The message."""
        return message


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("nervous_threads")
def test_stops_from_many_threads_end_an_actor_once(seed: int) -> None:
    """One of them is told True; the others, False or that it is gone."""
    chance, tally = random.Random(seed), Tally()
    with ActorSystem.in_thread(seed=seed) as system:
        refs = [system.spawn(Worker, name=f"w{n}", tally=tally) for n in range(20)]
        results: list[Future[bool]] = []

        def stop_all() -> None:
            for ref in chance.sample(refs, len(refs)):
                results.append(ref.stop(block=False))  # noqa: PERF401 - each as soon as it is there

        run_all([stop_all] * THREADS)
        answers = [future.get(timeout=WAIT_S) for future in results]
        assert answers.count(True) == len(refs)
        assert len(answers) == THREADS * len(refs)
    assert (tally.started, tally.ended) == (20, 20)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("nervous_threads")
def test_spawns_of_one_name_from_many_threads_have_one_winner(seed: int) -> None:
    """The others get `NameTaken`; the winner works."""
    tally = Tally()
    with ActorSystem.in_thread(seed=seed) as system:
        won: list[object] = []

        def spawn() -> None:
            try:
                won.append(system.spawn(Worker, name="one", tally=tally))
            except UnderstudyError as error:
                assert error.code == "name_taken"  # noqa: PT017 - in a thread

        run_all([spawn] * THREADS)
        assert len(won) == 1
        assert system.get("one").ask(Work(number=7), timeout=WAIT_S) == 7


async def test_no_task_is_left_when_the_block_ends_in_the_middle_of_everything() -> None:
    """In trio: asks that wait get an answer, and the tasks of the system are gone with the block."""
    tally = Tally()
    before = trio.lowlevel.current_statistics().tasks_living
    answers: list[object] = []
    async with trio.open_nursery() as nursery, ActorSystem(seed=1) as system:
        await system.spawn(
            Supervisor,
            name="sup",
            children=[ChildSpec(name=name, actor=Worker, arguments={"tally": tally}) for name in "ab"],
        )

        async def ask(number: int) -> None:
            try:
                answers.append(await system.get("ab"[number % 2]).ask_async(Work(number=number)))
            except (UnderstudyError, ValueError) as error:
                answers.append(error)

        for number in range(-1, 99):
            nursery.start_soon(ask, number)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
    assert len(answers) == 100
    assert tally.started == tally.ended
    assert trio.lowlevel.current_statistics().tasks_living == before


class Count(Message[int]):
    """Count one more; the reply is how many there are."""


class Counted(Event):
    """One more was counted."""


class CountState(BaseModel):
    """How many there are."""

    total: int = 0


class Counter(PersistentActor[CountState]):
    """Counts durably."""

    def count(self, message: Count) -> int:
        """See `Count`."""
        del message
        self.emit(Counted())
        return self.state.total

    def counted(self, event: Counted) -> None:
        """One more."""
        del event
        self.state.total += 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("nervous_threads")
def test_nothing_acknowledged_is_lost_when_a_shutdown_races_durable_asks(seed: int, tmp_path: Path) -> None:
    """Every reply that a thread got is in the journal, once, and every future resolves (RT-9)."""
    replies: list[int] = []
    futures: list[pykka.Future[int]] = []
    with ActorSystem.in_thread(tmp_path, seed=seed) as system:
        ref = system.spawn(Counter, name="counter")
        end = threading.Timer(random.Random(seed).uniform(0.005, 0.05), system.shutdown)

        def ask() -> None:
            while ref.is_alive():
                futures.append(ref.ask(Count(), block=False))
                try:
                    replies.append(ref.ask(Count(), timeout=WAIT_S))
                except UnderstudyError:
                    return

        end.start()
        run_all([ask] * THREADS)
        end.join(WAIT_S)
        assert not end.is_alive()
        replies += resolve_all(futures)
    with ActorSystem.in_thread(tmp_path) as system:
        total = system.spawn(Counter, name="counter").ask(Count(), timeout=WAIT_S) - 1
    assert len(set(replies)) == len(replies) > 0
    assert max(replies) <= total <= len(futures) * 2
