"""Whatever user code raises, of any base class, stops where that code was called."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import trio
from pydantic import BaseModel

from tests.unit.raised import ERRORS, any_error
from understudy import (
    Actor,
    ActorRef,
    ActorSystem,
    Event,
    Message,
    PersistentActor,
    UserCodeExit,
    WouldDeadlock,
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures that a test provokes are logged; they need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


class Raise(Message[None]):
    """Have the handler raise."""


class RaiseLater(Message[None]):
    """Have the async handler raise."""


class RaiseInTask(Message[None]):
    """Have a background task raise."""


class RaiseInEffect(Message[None]):
    """Have a call behind the watermark raise."""


class Apply(Message[None]):
    """Have the applier raise."""


class Fine(Message[int]):
    """Answered with 1."""


class Applied(Event):
    """Its applier raises."""


class Where:
    """What raises, and in which place."""

    def __init__(self, place: str, make: Callable[[], BaseException]) -> None:
        self.place = place
        self.make = make

    def __call__(self, place: str) -> None:
        if place == self.place:
            raise self.make()


class Bad(Actor):
    """Raises in one of its places."""

    def __init__(self, where: Where) -> None:
        self.where = where
        where("init")

    async def on_start(self) -> None:
        await trio.lowlevel.checkpoint()
        self.where("on_start")

    def on_stop(self) -> None:
        self.where("on_stop")

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del exception_type, exception_value, traceback
        self.where("on_failure")

    def raise_now(self, _: Raise) -> None:
        self.where("handler")
        if self.where.place == "on_failure":
            msg = "the hook comes next"
            raise ValueError(msg)

    async def raise_later(self, _: RaiseLater) -> None:
        await trio.lowlevel.checkpoint()
        self.where("async handler")

    def raise_in_task(self, _: RaiseInTask) -> None:
        self.start_task(self._work)

    async def _work(self) -> None:
        await trio.lowlevel.checkpoint()
        self.where("task")

    def fine(self, _: Fine) -> int:
        return 1

    @property
    def bad(self) -> int:
        """Raises."""
        self.where("property")
        return 1


class Nothing(BaseModel):
    """No state."""


class BadPersistent(PersistentActor[Nothing]):
    """Raises in one of its places, and has a journal."""

    def __init__(self, where: Where) -> None:
        self.where = where

    def on_start(self) -> None:
        self.where("on_start")

    def on_stop(self) -> None:
        self.where("on_stop")

    def raise_now(self, _: Raise) -> None:
        self.where("handler")

    async def raise_later(self, _: RaiseLater) -> None:
        await trio.lowlevel.checkpoint()
        self.where("async handler")

    def apply(self, _: Apply) -> None:
        self.emit(Applied())

    def applied(self, _: Applied) -> None:
        self.where("applier")

    def raise_in_effect(self, _: RaiseInEffect) -> None:
        self.then_run(lambda: self.where("effect"))

    def fine(self, _: Fine) -> int:
        return 1


ASKS: dict[str, Callable[[], Message[None]]] = {
    "handler": Raise,
    "async handler": RaiseLater,
    "applier": Apply,
}


@any_error
@pytest.mark.parametrize("place", ["handler", "async handler"])
async def test_what_a_handler_raises_is_its_failure(place: str, make: Callable[[], BaseException]) -> None:
    """The caller is told, the actor is restarted, others are answered, the block ends."""
    with trio.fail_after(5):
        async with ActorSystem() as system:
            bad = await system.spawn(Bad, name="bad", where=Where(place, make))
            good = await system.spawn(Bad, name="good", where=Where("", make))
            with pytest.raises(Exception):  # noqa: B017, PT011 - of any type, but an Exception
                await bad.ask_async(ASKS[place]())
            assert await good.ask_async(Fine()) == 1
            assert await bad.ask_async(Fine()) == 1


@any_error
@pytest.mark.parametrize("place", ["handler", "async handler", "applier"])
async def test_what_a_persistent_handler_raises_discards_its_turn(
    place: str, make: Callable[[], BaseException], tmp_path: Path
) -> None:
    """The caller is told, the next turn is taken, and the home opens again."""
    with trio.fail_after(5):
        for _ in range(2):
            async with ActorSystem(tmp_path) as system:
                bad = await system.spawn(BadPersistent, name="bad", where=Where(place, make))
                with pytest.raises(Exception):  # noqa: B017, PT011
                    await bad.ask_async(ASKS[place]())
                assert await bad.ask_async(Fine()) == 1


@any_error
@pytest.mark.parametrize("kind", [Bad, BadPersistent])
@pytest.mark.parametrize("place", ["init", "on_start"])
async def test_what_a_start_raises_goes_to_who_spawns(
    place: str, kind: type[Any], make: Callable[[], BaseException], tmp_path: Path
) -> None:
    """The spawn fails; the system goes on."""
    if kind is BadPersistent and place == "init":
        place = "on_start"
    with trio.fail_after(5):
        async with ActorSystem(tmp_path) as system:
            with pytest.raises(Exception):  # noqa: B017, PT011
                await system.spawn(kind, name="bad", where=Where(place, make))
            good = await system.spawn(Bad, name="good", where=Where("", make))
            assert await good.ask_async(Fine()) == 1


@any_error
@pytest.mark.parametrize("kind", [Bad, BadPersistent])
async def test_what_on_stop_raises_does_not_hold_the_end(
    kind: type[Any], make: Callable[[], BaseException], tmp_path: Path
) -> None:
    """The actor stops, alone or with its system."""
    with trio.fail_after(5):
        async with ActorSystem(tmp_path) as system:
            await system.spawn(kind, name="one", where=Where("on_stop", make))
            await system.spawn(kind, name="two", where=Where("on_stop", make))
            await system.stop("one")
        async with ActorSystem(tmp_path):
            pass


@any_error
async def test_what_on_failure_and_a_task_raise_stays_there(make: Callable[[], BaseException]) -> None:
    """The actor is restarted as after any failure."""
    with trio.fail_after(5):
        async with ActorSystem() as system:
            hook = await system.spawn(Bad, name="hook", where=Where("on_failure", make))
            task = await system.spawn(Bad, name="task", where=Where("task", make))
            with pytest.raises(ValueError, match="the hook comes next"):
                await hook.ask_async(Raise())
            await task.ask_async(RaiseInTask())
            while system.status().actors[-1].restarts == 0:
                await trio.lowlevel.checkpoint()
            assert await hook.ask_async(Fine()) == await task.ask_async(Fine()) == 1


@any_error
async def test_what_listeners_and_effects_raise_stays_there(
    make: Callable[[], BaseException], tmp_path: Path
) -> None:
    """Subscribers and calls behind the watermark disturb nobody."""

    def listen(*_: object) -> None:
        raise make()

    with trio.fail_after(5):
        async with ActorSystem(tmp_path) as system:
            system.subscribe(listen)
            system.subscribe_journals(listen)
            bad = await system.spawn(BadPersistent, name="bad", where=Where("effect", make))
            await bad.ask_async(RaiseInEffect())
            assert await bad.ask_async(Fine()) == 1


@any_error
async def test_what_a_proxied_property_raises_goes_to_the_caller(make: Callable[[], BaseException]) -> None:
    """Attributes of a proxy are read in the actor: as an ask."""
    with trio.fail_after(5):
        async with ActorSystem() as system:
            where = Where("", make)
            bad = await system.spawn(Bad, name="bad", where=where)
            proxy = bad.proxy()
            where.place = "property"
            with pytest.raises(Exception):  # noqa: B017, PT011
                await proxy.bad
            assert await bad.ask_async(Fine()) == 1


async def test_the_error_names_what_was_raised() -> None:
    """`UserCodeExit` has the original as its cause."""
    with trio.fail_after(5):
        async with ActorSystem() as system:
            bad = await system.spawn(Bad, where=Where("handler", ERRORS["SystemExit"]))
            with pytest.raises(UserCodeExit, match="SystemExit: 2") as told:
                await bad.ask_async(Raise())
            assert isinstance(told.value.__cause__, SystemExit)


def test_a_told_exit_leaves_a_system_in_a_thread_alone(tmp_path: Path) -> None:
    """Asks from other threads, too."""
    with ActorSystem.in_thread(tmp_path) as system:
        bad = system.spawn(Bad, where=Where("handler", ERRORS["KeyboardInterrupt"]))
        bad.tell(Raise())
        with pytest.raises(UserCodeExit):
            bad.ask(Raise(), timeout=5)
        assert bad.ask(Fine(), timeout=5) == 1


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
async def test_what_cuts_the_shutdown_is_raised_by_the_block(
    interrupt: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-C while the actors stop: the nursery ends in order, the home is free."""

    async def cut(_: ActorSystem) -> None:
        await trio.lowlevel.checkpoint()
        raise interrupt

    with trio.fail_after(5):
        with monkeypatch.context() as patched:
            patched.setattr(ActorSystem, "shutdown", cut)
            with pytest.raises(interrupt):
                async with ActorSystem(tmp_path):
                    pass
        async with ActorSystem(tmp_path):
            pass


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "spawn": (Bad,),
    "stop": ("x",),
    "resume": ("x",),
    "state_at": ("x", 1),
    "shutdown": (),
    "run": (trio.lowlevel.checkpoint,),
    "ask_async": (Fine(),),
    "tell_async": (Fine(),),
}


def _async_methods(of: type[Any]) -> list[str]:
    found = inspect.getmembers(of, inspect.iscoroutinefunction)
    return [name for name, _ in found if not name.startswith("_")]


def test_every_async_method_refuses_another_loop() -> None:
    """From asyncio they would touch what belongs to the system's own thread; each says what to do."""
    with ActorSystem.in_thread() as system:
        ref = system.spawn(Bad, name="x", where=Where("", ValueError))

        async def call_all() -> None:
            for of, target in ((ActorSystem, system.system), (ActorRef, ref)):
                for name in _async_methods(of):
                    with pytest.raises(WouldDeadlock, match="expected"):
                        await getattr(target, name)(*ARGUMENTS[name])

        asyncio.run(call_all())
        assert ref.ask(Fine(), timeout=5) == 1
        assert system.spawn(Bad, where=Where("", ValueError)).ask(Fine(), timeout=5) == 1


def test_a_function_of_the_system_runs_on_its_loop_from_a_thread() -> None:
    """`run` passes the system first, then the arguments."""

    async def start(system: ActorSystem, count: int, *, name: str) -> int:
        ref = await system.spawn(Bad, name=name, where=Where("", ValueError))
        return count + await ref.ask_async(Fine())

    with ActorSystem.in_thread() as system:
        assert system.run(start, 2, name="one") == 3


class Plain(Actor):
    """Started with pykka's `start()`."""

    number = 0

    def child(self) -> Any:
        """Starts another one in a handler."""
        return Plain.start()


def test_start_works_anywhere_in_a_program_with_one_system() -> None:
    """In another thread than the block's, and in a handler on the loop."""
    import threading  # noqa: PLC0415

    found: list[Any] = []
    with ActorSystem.in_thread():
        thread = threading.Thread(target=lambda: found.append(Plain.start()))
        thread.start()
        thread.join(5)
        found.append(found[0].proxy().child().get(timeout=5))
        assert [ref.proxy().number.get(timeout=5) for ref in found] == [0, 0]
    with pytest.raises(RuntimeError, match="bare call"):
        Plain.start()


async def test_a_proxy_sets_an_attribute_without_blocking() -> None:
    """`await proxy.set(...)` on the loop, where an assignment can't wait."""
    with trio.fail_after(5):
        async with ActorSystem() as system:
            ref = await system.spawn(Plain)
            proxy = ref.proxy()
            await proxy.set("number", 7)
            assert await proxy.number == 7
