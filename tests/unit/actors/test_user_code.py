"""Whatever the user's code raises in the work system fails one attempt, delivery or run, and nothing else."""

from __future__ import annotations

import os
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import trio
from pydantic import BaseModel, BeforeValidator, PlainSerializer

from tests.unit.actors.office import Office, events
from tests.unit.actors.stage import ManualClock, Stage, journal_events, until
from tests.unit.raised import ERRORS, any_error
from understudy import Actor, ActorSystem, Event, Message, PersistentActor
from understudy.actors.engines import ScriptedEngine
from understudy.actors.evolver import EvolverActor, EvolverPolicy
from understudy.actors.notifier import CallbackConfig, NotifierActor
from understudy.actors.workers import Attempt, CallableExecutor, Callables
from understudy.protocols.engine import RunRequest
from understudy.protocols.errors import RecordNotUnderstood, TaskRefused
from understudy.protocols.notifications import Delivery, Notification, Notify
from understudy.protocols.tasks import CreateTask, TaskSpec

Make = Callable[[], BaseException]


NAMES = ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "OwnError", "Group", "Cancelled")
no_exception = pytest.mark.parametrize("make", [ERRORS[name] for name in NAMES], ids=NAMES)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures that a test provokes are logged; they need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


def name_of(make: Make) -> str:
    """The class of what is raised, as reasons name it."""
    return type(make()).__name__


class Raising:
    """An executor that raises, in `check` or in `run`."""

    def __init__(self, make: Make, place: str) -> None:
        self._make, self._place = make, place

    def check(self, _spec: TaskSpec) -> None:
        if self._place == "check":
            raise self._make()

    async def run(self, _attempt: Attempt) -> int:
        await trio.lowlevel.checkpoint()
        raise self._make()


def bad_callable(place: str, make: Make) -> Callable[[], Any]:
    """A registered callable that raises."""

    def plain() -> None:
        raise make()

    async def later() -> None:
        await trio.lowlevel.checkpoint()
        raise make()

    return {"thread": plain, "loop": later}[place]


def python_task(name: str, arguments: dict[str, object] | None = None) -> CreateTask:
    """A task that calls a registered callable."""
    return CreateTask(
        spec=TaskSpec.model_validate(
            {"title": name, "executor": "python", "function": name, "arguments": arguments or {}}
        )
    )


class OtherError(BaseException):
    """Of the program's own."""


def raise_named(name: str) -> None:
    """In a worker process."""
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt, "OtherError": OtherError}[name](
        2
    )


def pid_of_worker() -> int:
    """Says which process it runs in."""
    return os.getpid()


async def test_what_a_callable_in_a_process_raises_fails_its_attempt(tmp_path: Path) -> None:
    """With the reason; the process serves the next call."""
    callables = Callables()
    callables.register(where="process")(raise_named)
    callables.register(where="process")(pid_of_worker)
    names = ("SystemExit", "KeyboardInterrupt", "OtherError")
    with trio.fail_after(60):
        async with ActorSystem(tmp_path) as system:
            stage = await Stage.set(system, callables=callables, limit=1)
            await stage.ask(python_task("pid_of_worker"))
            for name in names:
                await stage.ask(python_task("raise_named", {"name": name}))
            await stage.ask(python_task("pid_of_worker"))
            first, *failed, last = await stage.wait_told(5)
            assert [(one.status, one.reason) for one in failed] == [
                ("failed", f"{name}: 2") for name in names
            ]
            assert first.value == last.value


@no_exception
@pytest.mark.parametrize("place", ["thread", "loop"])
async def test_what_a_callable_raises_fails_its_attempt(place: str, make: Make, tmp_path: Path) -> None:
    """With the reason; the next task is carried out, and the home opens again."""
    callables = {"bad": bad_callable(place, make), "good": lambda: 1}
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            stage = await Stage.set(system, callables=callables)
            await stage.ask(python_task("bad"))
            (bad,) = await stage.wait_told(1)
            assert bad.status == "failed"
            assert name_of(make) in bad.reason
            await stage.ask(python_task("good"))
            assert (await stage.wait_told(2))[1].status == "succeeded"
            assert system.status().actors[-1].restarts == 0
        async with ActorSystem(tmp_path) as system:
            await Stage.set(system, callables=callables)


@no_exception
async def test_what_an_executor_raises_fails_its_attempt(make: Make, tmp_path: Path) -> None:
    """In `run`, and in the callable of a `CallableExecutor`."""

    def raise_now(_attempt: Attempt) -> None:
        raise make()

    executors = {"run": Raising(make, "run"), "call": CallableExecutor(raise_now)}
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            stage = await Stage.set(system, executors=executors)
            for count, executor in enumerate(executors, 1):
                await stage.create(executor=executor)
                result = (await stage.wait_told(count))[-1]
                assert result.status == "failed"
                assert result.reason
            stage.script.end(f"{await stage.create()}/1")
            assert (await stage.wait_told(3))[-1].status == "succeeded"


class Bad(BaseModel):
    """Its exit code is no number."""


@pytest.mark.parametrize("answer", ["x", 1.5, Bad(), 2**80])
async def test_what_an_executor_returns_wrongly_fails_its_attempt(answer: Any, tmp_path: Path) -> None:
    """The pool is not told of an outcome that it can't keep."""
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            stage = await Stage.set(system, executors={"odd": CallableExecutor(lambda _: answer)})
            await stage.create(executor="odd")
            (result,) = await stage.wait_told(1)
            assert (result.status, "exit code" in result.reason) == ("failed", True)
            assert {one.name: one.restarts for one in system.status().actors}["workers"] == 0


@no_exception
async def test_what_a_check_raises_refuses_the_task(make: Make, tmp_path: Path) -> None:
    """Tasks that run go on."""
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            stage = await Stage.set(system, executors={"bad": Raising(make, "check")})
            task = await stage.create()
            await stage.script.wait_started(f"{task}/1")
            with pytest.raises(TaskRefused, match=name_of(make)):
                await stage.create(executor="bad")
            assert not stage.script.cancelled
            stage.script.end(f"{task}/1")
            assert (await stage.wait_told(1))[0].status == "succeeded"


@no_exception
async def test_what_a_parameter_s_validator_raises_refuses_the_task(make: Make, tmp_path: Path) -> None:
    """As arguments that do not fit."""

    def check(_value: object) -> object:
        raise make()

    def takes(value: int) -> None:
        del value

    takes.__annotations__ = {"value": Annotated[int, BeforeValidator(check)]}
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            stage = await Stage.set(system, callables={"takes": takes})
            task = await stage.create()
            await stage.script.wait_started(f"{task}/1")
            with pytest.raises(TaskRefused):
                await stage.ask(python_task("takes", {"value": 1}))
            assert not stage.script.cancelled


@no_exception
async def test_what_a_result_s_serializer_raises_fails_the_attempt(make: Make, tmp_path: Path) -> None:
    """A result whose JSON can't be made."""

    def write(_value: object) -> object:
        raise make()

    class Result(BaseModel):
        value: Annotated[int, PlainSerializer(write)] = 1

    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            stage = await Stage.set(system, callables={"bad": Result})
            await stage.ask(python_task("bad"))
            (bad,) = await stage.wait_told(1)
            assert bad.status == "failed"
            assert bad.reason


def bad_sink(place: str, make: Make) -> Callable[[Delivery], Any]:
    """A callback that raises."""

    def plain(_delivery: Delivery) -> None:
        raise make()

    async def later(_delivery: Delivery) -> None:
        await trio.lowlevel.checkpoint()
        raise make()

    return {"plain": plain, "async": later}[place]


@any_error
@pytest.mark.parametrize("place", ["plain", "async"])
async def test_what_a_callback_raises_fails_its_delivery(place: str, make: Make, tmp_path: Path) -> None:
    """Another sink gets the same notification."""
    heard: list[str] = []
    sinks = (
        CallbackConfig(name="bad", function=bad_sink(place, make), attempts=1),
        CallbackConfig(name="good", function=lambda delivery: heard.append(delivery.sink)),
    )
    with trio.fail_after(10):
        for number in (1, 2):
            async with ActorSystem(tmp_path) as system:
                notifier = await system.spawn(NotifierActor, name="notifier", sinks=sinks)
                told = Notification(id=f"told-{number}", kind="own", session="main")
                await notifier.ask_async(Notify(notification=told), timeout_s=5)
                await until(
                    system, lambda count=number: len(given_up(tmp_path)) == count and len(heard) == count
                )
    assert all(reason for reason in given_up(tmp_path))


def given_up(home: Path) -> list[str]:
    """Why deliveries were given up."""
    return [
        event["reason"] for event in journal_events(home, "notifier") if event["type"] == "DeliveryGivenUp"
    ]


class BadEngine(ScriptedEngine):
    """Raises in one of its methods."""

    def __init__(self, make: Make, place: str) -> None:
        super().__init__(name="bad")
        self.make, self.place = make, place

    async def run(self, request: RunRequest, desk: Any) -> Any:
        if self.place == "run":
            await trio.lowlevel.checkpoint()
            raise self.make()
        return await super().run(request, desk)

    async def resume(self, session_id: str) -> None:
        await trio.lowlevel.checkpoint()
        self.resumed.append(session_id)
        raise self.make()

    async def evolve(self, messages: Any, persona: Any) -> tuple[str, str]:
        self.evolved.append(messages)
        await trio.lowlevel.checkpoint()
        raise self.make()


@any_error
async def test_what_an_engine_raises_fails_the_run_s_attempt(make: Make, tmp_path: Path) -> None:
    """The next engine of the chain answers."""
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            office = await Office.chain(system, BadEngine(make, "run"), ScriptedEngine(name="next"))
            await office.say("hello")
            await office.wait_idle()
            await office.say("again")
            await office.wait_idle()
    assert [event["run"] for event in events(tmp_path, "RunSucceeded")] == ["run-1", "run-2"]
    assert all(name_of(make) in event["error"] or event["error"] for event in events(tmp_path, "RunFailed"))
    assert events(tmp_path, "RunFailed")


@any_error
async def test_what_a_resume_raises_begins_a_new_session(make: Make, tmp_path: Path) -> None:
    """The run is carried out without the old one."""
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            office = await Office.chain(system, BadEngine(make, "resume"))
            await office.say("hello")
            await office.wait_idle()
        async with ActorSystem(tmp_path) as system:
            engine = BadEngine(make, "resume")
            office = await Office.chain(system, engine)
            await office.say("again")
            await office.wait_idle()
            assert set(engine.resumed) == {"bad-session-1"}
            assert engine.requests[0].session_id is None
    assert not events(tmp_path, "RunFailed")


@any_error
async def test_what_an_engine_raises_while_it_evolves_is_kept_as_the_reason(
    make: Make, tmp_path: Path
) -> None:
    """The manager is asked further."""
    clock, engine = ManualClock(1_000_000.0), BadEngine(make, "evolve")
    with trio.fail_after(10):
        async with ActorSystem(tmp_path, clock=clock) as system:
            office = await Office.chain(system, engine)
            policy = EvolverPolicy(idle_s=900)
            await system.spawn(EvolverActor, name="evolver", engines=(engine,), policy=policy)
            await office.say("hello")
            await office.wait_idle()
            clock.advance(system, 901)
            await until(system, lambda: bool(journal_events(tmp_path, "evolver")))
            await office.say("again")
            await office.wait_idle()
    (failed,) = journal_events(tmp_path, "evolver")
    assert failed["type"] == "EvolvingFailed"
    assert failed["error"]


class Numbers(BaseModel):
    """The state."""

    numbers: list[int] = []


class MakeOne(Message[int]):
    """Keep a number."""

    number: int = 1


def keeper_of(event_version: int, make: Make | None = None) -> type[PersistentActor[Numbers]]:
    """An actor whose event has this version; its upcaster raises, or changes nothing."""

    class Made(Event):
        version = event_version
        number: int

        @classmethod
        def upcast(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
            del version
            if make is not None:
                raise make()
            return data

    class Keeper(PersistentActor[Numbers]):
        def make_one(self, message: MakeOne) -> int:
            self.emit(Made(number=message.number))
            return message.number

        def made(self, event: Made) -> None:
            self.state.numbers.append(event.number)

    return Keeper


@any_error
async def test_what_an_upcaster_raises_blocks_its_actor_alone(make: Make, tmp_path: Path) -> None:
    """With one that does not raise, the same home has what it had."""
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            keeper = await system.spawn(keeper_of(1), name="keeper")
            await keeper.ask_async(MakeOne())
        async with ActorSystem(tmp_path) as system:
            with pytest.raises(RecordNotUnderstood, match=name_of(make)):
                await system.spawn(keeper_of(2, make), name="keeper")
            other = await system.spawn(keeper_of(2, make), name="other")
            assert await other.ask_async(MakeOne(number=3)) == 3
        async with ActorSystem(tmp_path) as system:
            keeper = await system.spawn(keeper_of(2), name="keeper")
            assert await keeper.ask_async(MakeOne(number=2)) == 2
            assert system.cell("keeper").actor.state.numbers == [1, 2]


def strange_message(make: Make, place: str) -> type[Message[None]]:
    """A message with a field whose serializer or validator raises."""

    def raise_it(_value: object) -> object:
        raise make()

    kind = PlainSerializer(raise_it) if place == "serializer" else BeforeValidator(raise_it)

    class Strange(Message[None]):
        value: Annotated[int | None, kind] = 0

    return Strange


@any_error
@pytest.mark.parametrize("base", [Actor, PersistentActor[Numbers]])
@pytest.mark.parametrize("place", ["serializer", "validator"])
async def test_what_a_field_of_a_message_raises_is_a_failure_of_its_handler(
    place: str, base: type[Any], make: Make, tmp_path: Path
) -> None:
    """When a handler has failed, its message is looked at: the caller is told, the actor goes on."""
    strange = strange_message(make, place)

    def fail(self: Any, message: Any) -> None:
        del self, message
        raise ValueError("the message is looked at now")

    def answer(self: Any, message: MakeOne) -> int:
        del self
        return message.number

    fail.__annotations__["message"] = strange
    methods = {"fail": fail, "answer": answer, "__module__": __name__}
    receiver: Any = types.new_class("Receiver", (base,), exec_body=lambda body: body.update(methods))
    message = strange.model_construct(_fields_set={"value"}, value=None if place == "validator" else 1)
    with trio.fail_after(10):
        for _ in range(2):
            async with ActorSystem(tmp_path) as system:
                ref = await system.spawn(receiver, name="receiver")
                with pytest.raises(Exception):  # noqa: B017, PT011 - of any type, but an Exception
                    await ref.ask_async(message)
                assert await ref.ask_async(MakeOne(number=2)) == 2


@any_error
async def test_what_a_field_of_an_event_raises_discards_the_turn(make: Make, tmp_path: Path) -> None:
    """The event has no line; the next turn has."""

    def write(value: int) -> int:
        if value == 13:
            raise make()
        return value

    class Written(Event):
        value: Annotated[int, PlainSerializer(write)]

    class Write(Message[None]):
        value: int

    class Writer(PersistentActor[Numbers]):
        def write(self, message: Write) -> None:
            self.emit(Written(value=message.value))

        def written(self, event: Written) -> None:
            self.state.numbers.append(event.value)

    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            writer = await system.spawn(Writer, name="writer")
            with pytest.raises(Exception):  # noqa: B017, PT011
                await writer.ask_async(Write(value=13))
            await writer.ask_async(Write(value=2))
        async with ActorSystem(tmp_path) as system:
            await system.spawn(Writer, name="writer")
            assert system.cell("writer").actor.state.numbers == [2]
