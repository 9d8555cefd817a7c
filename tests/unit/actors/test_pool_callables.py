"""Registered callables: in the loop, in threads, in processes; what they take, return and say (WK-4)."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.unit.actors.stage import Script, Stage, journal_events
from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.projection import ProjectionActor, feed_of
from understudy.actors.workers import Callables, PoolConfig, TaskContext, WorkerPoolActor, threads_left
from understudy.protocols.errors import BadArguments, NotConfigured, UnknownFunction
from understudy.protocols.tasks import CancelTask, CreateTask, ListTasks, TaskResult, TaskSpec


async def call(stage: Stage, function: str, arguments: dict[str, object] | None = None, **fields: Any) -> str:
    """Make a task that calls a function; its id."""
    spec = {"title": function, "executor": "python", "function": function, "arguments": arguments or {}}
    return (await stage.ask(CreateTask(spec=TaskSpec.model_validate({**spec, **fields})))).id


async def outcome_of(stage: Stage) -> TaskResult:
    """The one result that was told."""
    (result,) = await stage.wait_told(1)
    return result


def add(left: int, right: int = 1) -> int:
    """Adds."""
    return left + right


def pid_of_worker() -> int:
    """Says where it runs."""
    return os.getpid()


def kill_yourself() -> None:
    """Dies as by the out-of-memory killer."""
    os.kill(os.getpid(), signal.SIGKILL)


def talk_and_fail(context: TaskContext, name: str) -> None:
    """Says something, then fails."""
    print(f"hello {name}")  # noqa: T201 - what is printed is output
    context.progress(0.5, "half")
    raise ValueError("no more")


def say_and_wait(context: TaskContext, gate: str) -> None:
    """Says how far it is, and goes on when there is a file."""
    context.write("one ")
    context.progress(0.25, "first part")
    while not Path(gate).exists():
        time.sleep(0.005)


def spin(path: str) -> None:
    """Says where it runs, and computes for ever."""
    Path(path).write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)


def where_am_i() -> list[str]:
    """What it sees around it."""
    return [str(Path.cwd()), os.environ["COLOR"], os.environ["UNDERSTUDY_ATTEMPT"]]


def day_after(day: date) -> str:
    """Takes a date, not its text."""
    return day.replace(day=day.day + 1).isoformat()


@pytest.mark.req("WK-4")
async def test_a_plain_callable_runs_in_a_thread_and_an_async_one_in_the_loop(tmp_path: Path) -> None:
    """Both get their arguments by name, and what they return is kept with the task."""
    callables = Callables()
    threads: list[bool] = []

    @callables.register
    def plain(left: int, right: int = 1) -> dict[str, int]:
        threads.append(threading.current_thread() is threading.main_thread())
        return {"sum": left + right}

    @callables.register(name="later")
    async def _later(text: str) -> str:
        threads.append(threading.current_thread() is threading.main_thread())
        await trio.lowlevel.checkpoint()
        return text.upper()

    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, callables=callables)
        await call(stage, "plain", {"left": 2})
        await stage.wait_told(1)
        await call(stage, "later", {"text": "abc"})
        first, second = await stage.wait_told(2)
        assert (first.status, first.value, first.reason) == ("succeeded", '{"sum":3}', "returned")
        assert (second.status, second.value) == ("succeeded", '"ABC"')
    assert threads == [False, True]


@pytest.mark.req("WK-4")
@pytest.mark.parametrize(
    ("function", "arguments", "error", "hint"),
    [
        ("nothing", {}, UnknownFunction, r"expected a registered callable \(add\), got 'nothing'"),
        ("add", {}, BadArguments, "left: Field required"),
        ("add", {"left": "x"}, BadArguments, "left: Input should be a valid integer"),
        ("add", {"left": 1, "up": 2}, BadArguments, "up: Extra inputs are not permitted"),
    ],
)
async def test_an_unknown_callable_or_bad_arguments_are_refused_at_creation(
    tmp_path: Path, function: str, arguments: dict[str, object], error: type[Exception], hint: str
) -> None:
    """Before there is a task, with what it should have been."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, callables={"add": add})
        with pytest.raises(error, match=hint):
            await call(stage, function, arguments)
    assert journal_events(tmp_path, "workers") == []


@pytest.mark.req("WK-4")
async def test_a_profile_stands_for_a_configured_executor_and_refuses_without_one(tmp_path: Path) -> None:
    """With what to write into the configuration."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, config=PoolConfig(profiles={"standard": "script"}))
        task = await stage.create(executor="standard")
        await stage.script.wait_started(f"{task}/1")
        for name in ("deferred", "specialist"):
            with pytest.raises(
                NotConfigured, match=rf'profile \'{name}\', got none: .*\{{"{name}": "shell"\}}'
            ):
                await stage.create(executor=name)


@pytest.mark.req("WK-4")
async def test_a_profile_of_an_executor_that_there_is_not_is_refused_at_the_start(tmp_path: Path) -> None:
    """Not task by task; one that the program brings along is there."""
    wrong = CastConfig(profiles={"standard": "shel"})
    async with ActorSystem(tmp_path) as system:
        with pytest.raises(NotConfigured, match=r"\(mine, python, shell\), got standard = 'shel'"):
            await start_cast(system, wrong, executors={"mine": Script()})
        assert system.status().actors == ()
        with pytest.raises(NotConfigured, match=r"\(python, script, shell\)"):
            await Stage.set(system, config=PoolConfig(profiles={"standard": "shel"}))
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, CastConfig(profiles={"standard": "mine"}), executors={"mine": Script()})


@pytest.mark.req("WK-4")
@pytest.mark.parametrize("where", ["thread", "process"])
async def test_a_callable_that_raises_fails_the_attempt_and_leaves_its_traceback(
    tmp_path: Path, where: Any
) -> None:
    """The reason names the error, the output has what was printed, and where it was raised."""
    callables = Callables()
    callables.register(where=where)(talk_and_fail)
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, callables=callables)
        await call(stage, "talk_and_fail", {"name": "you"})
        result = await outcome_of(stage)
        assert (result.status, result.reason) == ("failed", "ValueError: no more")
        assert 'raise ValueError("no more")' in result.output
        assert ("hello you" in result.output) is (where == "process")


@pytest.mark.req("WK-6")
@pytest.mark.parametrize("where", ["thread", "process"])
async def test_what_a_callable_says_from_elsewhere_is_shown_while_it_runs(tmp_path: Path, where: Any) -> None:
    """Its progress and its output come over from its thread, or from its process."""
    callables, gate = Callables(), tmp_path / "gate"
    callables.register(where=where)(say_and_wait)
    async with ActorSystem(tmp_path / "home") as system:
        await system.spawn(ProjectionActor, name="projection")
        stage = await Stage.set(system, callables=callables)
        feed = feed_of(system)
        with feed.subscription():
            await call(stage, "say_and_wait", {"gate": str(gate)})
            with trio.fail_after(30):
                while not any((row.progress, row.output) == (0.25, "one ") for row in feed.live.shown()):
                    await feed.moved()
            assert [row.note for row in feed.live.shown()] == ["first part"]
        gate.touch()
        assert (await outcome_of(stage)).output == "one "


@pytest.mark.req("WK-4")
@pytest.mark.parametrize(
    ("result", "hint"),
    [(object(), "expected a result that JSON can hold, got object"), ("x" * 70_000, "at most 4,096 bytes")],
)
async def test_a_result_that_is_no_json_or_too_long_fails_the_attempt(
    tmp_path: Path, result: object, hint: str
) -> None:
    """And the reason says what to do instead."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, callables={"give": lambda: result})
        await call(stage, "give")
        told = await outcome_of(stage)
        assert told.status == "failed"
        assert hint in told.reason
        assert told.value is None


@pytest.mark.req("WK-4")
@pytest.mark.rule("E3")
async def test_a_thread_that_never_returns_is_abandoned_and_what_it_says_later_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The attempt has timed out, says so, and its place is free for the next one."""
    caplog.set_level("INFO", "understudy.workers")
    go_on = threading.Event()
    callables = Callables.of({"stuck": lambda: go_on.wait(10), "add": add})
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, callables=callables, limit=1, grace_s=0.02)
        stuck = await call(stage, "stuck", timeout_s=0.05)
        await call(stage, "add", {"left": 1})
        first, second = await stage.wait_told(2)
        assert (first.task, first.status) == (stuck, "failed")
        assert first.reason == "timed out after 0.05 s; its thread can't be ended and runs on by itself"
        assert (second.status, second.value) == ("succeeded", "2")
        assert "can't be ended and runs on by itself (1 do)" in caplog.text
        assert list(threads_left(system)) == [f"{stuck}/1"]
        await system.stop("workers")
        await system.spawn(WorkerPoolActor, name="workers", notify="ear")
        assert (await stage.ask(ListTasks())).abandoned == 1
        go_on.set()
        with trio.fail_after(5):
            while "has ended" not in caplog.text:
                await trio.lowlevel.checkpoint()
        assert (await stage.view(stuck)).status == "failed"
        assert (await stage.ask(ListTasks())).abandoned == 0
        assert len(stage.told) == 2


@pytest.mark.req("WK-4")
@pytest.mark.req("WK-2")
async def test_a_thread_that_looks_whether_it_is_canceled_ends_in_the_grace_period(tmp_path: Path) -> None:
    """Nothing is left of it then."""
    begun = threading.Event()

    def patient(context: TaskContext) -> None:
        begun.set()
        while not context.canceled:
            time.sleep(0.001)

    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, callables={"patient": patient})
        task = await call(stage, "patient")
        with trio.fail_after(5):
            await trio.to_thread.run_sync(begun.wait)
        await stage.ask(CancelTask(id=task, reason="enough"))
        result = await outcome_of(stage)
        assert (result.status, result.reason) == ("canceled", "enough")


@pytest.mark.req("WK-4")
async def test_a_callable_in_a_process_has_its_folder_environment_and_typed_arguments(tmp_path: Path) -> None:
    """And the same process serves the next call."""
    callables = Callables()
    for function in (pid_of_worker, where_am_i, day_after):
        callables.register(where="process")(function)
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, callables=callables, limit=1)
        await call(stage, "pid_of_worker")
        await call(stage, "where_am_i", workspace="site", env=(("COLOR", "red"),))
        await call(stage, "day_after", {"day": "2026-11-24"})
        await call(stage, "pid_of_worker")
        first, where, day, last = await stage.wait_told(4)
        assert where.value == f'["{tmp_path}/work/site","red","task-2/1"]'
        assert day.value == '"2026-11-25"'
        assert first.value == last.value
        assert first.value != str(os.getpid())


@pytest.mark.req("WK-4")
@pytest.mark.rule("H2")
async def test_a_worker_process_that_is_killed_fails_its_attempt_and_is_replaced(tmp_path: Path) -> None:
    """With the signal in the reason; the next call finds another process."""
    callables = Callables()
    callables.register(where="process")(kill_yourself)
    callables.register(where="process")(pid_of_worker)
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, callables=callables, limit=1)
        await call(stage, "kill_yourself")
        await call(stage, "pid_of_worker")
        first, second = await stage.wait_told(2)
        assert first.status == "failed"
        assert first.reason == "expected an answer of the worker process, got its end: signal SIGKILL"
        assert second.status == "succeeded"


@pytest.mark.req("WK-4")
@pytest.mark.req("WK-2")
async def test_canceling_a_call_ends_its_worker_process(tmp_path: Path) -> None:
    """What computes does not look whether it is to end."""
    callables = Callables()
    callables.register(where="process")(spin)
    note = tmp_path / "pid"
    async with ActorSystem(tmp_path / "home") as system:
        stage = await Stage.set(system, callables=callables)
        task = await call(stage, "spin", {"path": str(note)})
        with trio.fail_after(5):
            while not note.exists() or not note.read_text():
                await trio.sleep(0.005)
        await stage.ask(CancelTask(id=task, reason="enough"))
        result = await outcome_of(stage)
        assert (result.status, result.reason) == ("canceled", "enough")
        with pytest.raises(ProcessLookupError):
            os.kill(int(note.read_text()), 0)


@pytest.mark.parametrize(
    ("function", "where", "hint"),
    [
        (add, "loop", "expected an async callable in the loop"),
        (lambda: 1, "process", "top level"),
        (print, "thread", "can be given by name"),
    ],
)
def test_a_callable_that_cannot_run_where_it_says_is_refused_when_it_is_registered(
    function: Callable[..., object], where: Any, hint: str
) -> None:
    """The program learns of it when it starts."""
    with pytest.raises(ValueError, match=hint):
        Callables().register(name="x", where=where)(function)


def test_a_name_is_registered_once() -> None:
    """The second one would be called for the first."""
    table = Callables()
    table.register(add)
    with pytest.raises(ValueError, match="expected a free name"):
        table.register(add)


def print_one_long_line() -> None:
    """Prints 2.2 MB without an end of line."""
    print("x" * 2_200_000)  # noqa: T201


def print_from_threads() -> None:
    """Prints long lines from eight threads at once."""
    threads = [threading.Thread(target=print, args=("y" * 300_000,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def note_at_length(context: TaskContext) -> None:
    """Notes 3 MB."""
    context.progress(0.5, "n" * 3_000_000)


@pytest.mark.parametrize("function", [print_one_long_line, print_from_threads, note_at_length])
async def test_what_a_process_callable_writes_at_length_does_not_fail_it(
    tmp_path: Path, function: Callable[..., None]
) -> None:
    """In one line, from several threads, or as a note of its progress."""
    callables = Callables()
    callables.register(where="process")(function)
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, callables=callables)
        await call(stage, function.__name__)
        assert (await outcome_of(stage)).status == "succeeded"


class Unspeakable(Exception):
    """Its text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def fail_at_length() -> None:
    """Fails with 3 MB of text."""
    raise ValueError("e" * 3_000_000)


def fail_without_a_text() -> None:
    """Fails with an error whose text can't be had."""
    raise Unspeakable


def return_too_much() -> str:
    """Returns 3 MB."""
    return "r" * 3_000_000


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (fail_at_length, "ValueError: eee"),
        (fail_without_a_text, "Unspeakable: its text can't be had"),
        (return_too_much, "bytes of JSON, got 3,000,002"),
    ],
)
async def test_an_error_or_a_result_that_is_too_long_for_the_line_is_told_as_such(
    tmp_path: Path, function: Callable[..., object], said: str
) -> None:
    """The reason is what happened, and not that the worker does not answer."""
    callables = Callables()
    callables.register(where="process")(function)
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, callables=callables)
        await call(stage, function.__name__)
        result = await outcome_of(stage)
        assert said in result.reason
        assert "answer" not in result.reason


PROGRAM = """\
import sys

import trio
from pydantic import BaseModel
from tests.unit.actors.stage import Stage
from understudy import ActorSystem
from understudy.actors.workers import Callables
from understudy.protocols.tasks import CreateTask, TaskSpec
class Point(BaseModel):
    x: int
def double(point: Point) -> int:
    assert isinstance(point, Point)
    return point.x * 2
async def main():
    c = Callables(); c.register(where="process")(double)
    async with ActorSystem(sys.argv[1]) as system:
        stage = await Stage.set(system, callables=c)
        asked = {"title": "double", "executor": "python", "function": "double"}
        asked["arguments"] = {"point": {"x": 4}}
        await stage.ask(CreateTask(spec=TaskSpec.model_validate(asked)))
        (r,) = await stage.wait_told(1)
        print(r.status, r.value)
if __name__ == "__main__":
    trio.run(main)
"""


async def test_an_argument_may_be_of_a_class_of_the_programs_main_file(tmp_path: Path) -> None:
    """The worker runs that file under another name, and finds the class in it."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with trio.fail_after(60):
        done = await trio.run_process(
            [sys.executable, str(program), str(tmp_path / "home")],
            capture_stdout=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
    assert done.stdout == b"succeeded 8\n"
