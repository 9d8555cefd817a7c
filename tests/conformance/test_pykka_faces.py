"""Where Understudy's actors go beyond pykka's suite: other loops, other threads, the end of a system."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pykka
import pytest
import trio

from understudy import Actor, ActorStopped, ActorSystem, Future, WouldDeadlock

pytestmark = pytest.mark.req("RT-2")

T = TypeVar("T")


class Greeter(Actor):
    """An actor as pykka's users write them."""

    greeting = "hello"

    def on_receive(self, message: Any) -> Any:
        return f"{self.greeting} {message}"

    def shout(self, name: str) -> str:
        return f"{self.greeting} {name}".upper()


@pytest.fixture
def system() -> Iterator[None]:
    """A system in a thread of its own, that `start()` of this thread uses."""
    with ActorSystem.in_thread(None):
        yield


def run_in_asyncio(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Its result, from a loop in a thread of its own: in this one playwright's loop may be running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(main())).result()


@pytest.mark.usefixtures("system")
def test_a_reply_that_is_not_there_yet_is_awaited_in_asyncio() -> None:
    """pykka's own future would block the loop instead; other tasks go on here."""
    future: Future[int] = Future()

    async def wait_and_answer() -> tuple[int, int]:
        waiting = asyncio.ensure_future(future.wait())
        await asyncio.sleep(0)
        future.set(42)
        return await asyncio.wait_for(waiting, 5), await future

    assert run_in_asyncio(wait_and_answer) == (42, 42)


@pytest.mark.usefixtures("system")
def test_a_reply_set_by_another_thread_is_awaited_in_asyncio_and_in_trio() -> None:
    """The wake-up crosses from the actors' thread into the waiting loop."""
    reference = Greeter.start()

    async def in_asyncio() -> Any:
        return await asyncio.wait_for(reference.ask("there", block=False), 5)

    async def in_trio() -> Any:
        with trio.fail_after(5):
            return await reference.ask("there", block=False)

    assert [run_in_asyncio(in_asyncio), trio.run(in_trio)] == ["hello there"] * 2


@pytest.mark.usefixtures("system")
def test_proxies_and_references_are_used_from_any_thread() -> None:
    """Only `start()` asks in which system it is."""
    reference = Greeter.start()
    heard: list[Any] = []

    def use() -> None:
        proxy: Any = reference.proxy()
        heard.append(proxy.shout("you").get(timeout=5))
        heard.append(reference.ask("you", timeout=5))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(5)

    assert heard == ["HELLO YOU", "hello you"]


@pytest.mark.usefixtures("system")
def test_a_started_actor_is_found_in_pykkas_registry_until_it_stops() -> None:
    """By class and by its unique name, as pykka's users look for actors."""
    reference = Greeter.start()

    assert pykka.ActorRegistry.get_by_class(Greeter) == [reference]
    assert pykka.ActorRegistry.get_by_urn(reference.actor_urn) is reference
    reference.stop(timeout=5)
    assert pykka.ActorRegistry.get_by_class(Greeter) == []


def test_an_actor_cannot_be_started_outside_of_a_system() -> None:
    """Without the loop it would never run; nothing stays in the registry."""
    with pytest.raises(RuntimeError, match=r"with ActorSystem\.in_thread"):
        Greeter.start()

    assert pykka.ActorRegistry.get_by_class(Greeter) == []


def test_the_end_of_a_system_ends_what_was_started_in_it() -> None:
    """What it is told afterwards is refused, with pykka's error among the bases."""
    with ActorSystem.in_thread(None):
        reference = Greeter.start()

    assert not reference.is_alive()
    assert pykka.ActorRegistry.get_by_class(Greeter) == []
    with pytest.raises(ActorStopped) as refused:
        reference.tell("anybody?")
    assert isinstance(refused.value, pykka.ActorDeadError)


def test_actors_are_started_in_the_innermost_system_of_the_thread() -> None:
    """Ending the inner one leaves the outer one's actors alone."""
    with ActorSystem.in_thread(None):
        outer = Greeter.start()
        with ActorSystem.in_thread(None):
            inner = Greeter.start()

        assert (outer.is_alive(), inner.is_alive()) == (True, False)
        assert outer.ask("again", timeout=5) == "hello again"


class Blocker(Actor):
    """Asks in the way that would wait for itself."""

    def on_receive(self, message: Any) -> Any:
        return message.ask("blocking", timeout=5)


@pytest.mark.req("RT-3")
@pytest.mark.usefixtures("system")
def test_a_blocking_ask_on_the_loops_own_thread_is_refused() -> None:
    """It would stop every actor of the system, the asked one too."""
    blocker, other = Blocker.start(), Greeter.start()

    with pytest.raises(WouldDeadlock, match="await"):
        blocker.ask(other, timeout=5)
    assert other.ask("still here", timeout=5) == "hello still here"
