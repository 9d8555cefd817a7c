"""What the tests of the cast share: a listener, a scripted executor, waiting without sleeping."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio
from pydantic import BaseModel

from understudy import ActorSystem, Event, PersistentActor
from understudy.actors.workers import Attempt, WorkerPoolActor
from understudy.protocols.notifications import TaskDone
from understudy.protocols.tasks import CreateTask, GetTask, TaskResult, TaskSpec, TaskView


class ManualClock:
    """A clock that stands still until the test moves it; nothing depends on how fast the machine is."""

    def __init__(self, now: float) -> None:
        self._now = now

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        """Let time pass while nobody looks, as when the whole process is stopped: no timer rings yet."""
        self._now += seconds

    def advance(self, system: ActorSystem, seconds: float) -> None:
        """Let time pass, and the timers that are due ring."""
        self.jump(seconds)
        system.timers.call_at(0.0, lambda: None)


class Heard(Event):
    result: TaskResult


class EarState(BaseModel):
    results: list[TaskResult] = []


class Ear(PersistentActor[EarState]):
    """Takes `TaskDone` in the notifier's place, and remembers."""

    def task_done(self, message: TaskDone) -> None:
        self.emit(Heard(result=message.result))

    def heard(self, event: Heard) -> None:
        self.state.results.append(event.result)


class Script:
    """An executor whose attempts do what the test says: `end` them, or let them be cancelled."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self._endings: dict[str, tuple[trio.Event, list[int | Exception]]] = {}
        self._news = trio.Event()

    async def run(self, attempt: Attempt) -> int:
        event, ending = self._endings.setdefault(attempt.mark, (trio.Event(), []))
        self.started.append(attempt.mark)
        self._news.set()
        try:
            await event.wait()
        except trio.Cancelled:
            self.cancelled.append(attempt.mark)
            raise
        if isinstance(ending[0], Exception):
            raise ending[0]
        return ending[0]

    def end(self, mark: str, how: int | Exception = 0) -> None:
        """Let an attempt end with an exit code or an error."""
        event, ending = self._endings.setdefault(mark, (trio.Event(), []))
        ending.append(how)
        event.set()

    async def wait_started(self, *marks: str) -> None:
        """Until these attempts have begun, within 5 seconds."""
        with trio.fail_after(5):
            while not set(marks) <= set(self.started):
                self._news = trio.Event()
                await self._news.wait()


class Stage:
    """A pool, an ear and a script on one home."""

    def __init__(self, system: ActorSystem, script: Script) -> None:
        self.system = system
        self.script = script

    @classmethod
    async def set(cls, system: ActorSystem, **pool: Any) -> Stage:
        """Start the actors in `system`."""
        script = Script()
        await system.spawn(Ear, name="ear")
        executors = {"script": script, **pool.pop("executors", {})}
        await system.spawn(WorkerPoolActor, name="workers", notify="ear", executors=executors, **pool)
        return cls(system, script)

    async def ask(self, message: Any, to: str = "workers") -> Any:
        """Ask, within 5 seconds."""
        return await self.system.get(to).ask_async(message, timeout_s=5)

    async def create(self, **fields: Any) -> str:
        """Make a task for the script; its id."""
        spec = TaskSpec.model_validate({"title": "work", "executor": "script", **fields})
        return (await self.ask(CreateTask(spec=spec))).id

    async def view(self, task: str) -> TaskView:
        """The pool's view of a task."""
        return await self.ask(GetTask(id=task))

    async def wait_status(self, task: str, status: str) -> None:
        """Until the task has that status, within 5 seconds."""

        async def has_it() -> bool:
            return (await self.view(task)).status == status

        await until(self.system, has_it)

    @property
    def told(self) -> list[TaskResult]:
        """What the ear has heard."""
        return self.system.cell("ear").actor.state.results

    async def wait_told(self, count: int) -> list[TaskResult]:
        """Until the ear has heard that many results; interpreters of worker processes take their time."""
        await until(self.system, lambda: len(self.told) >= count, timeout_s=30)
        return self.told


async def until(system: ActorSystem, is_so: Callable[[], Any], timeout_s: float = 5.0) -> None:
    """Look each time that a journal has grown, until `is_so`."""
    grew = trio.Event()

    def note(_name: str, _seq: int, _lines: bytes) -> None:
        grew.set()

    unsubscribe = system.subscribe_journals(note)
    try:
        with trio.fail_after(timeout_s):
            while True:
                answer = is_so()
                if answer if isinstance(answer, bool) else await answer:
                    return
                await grew.wait()
                grew = trio.Event()
    finally:
        unsubscribe()


def journal_lines(home: Path, actor: str) -> list[dict[str, Any]]:
    """The lines of an actor's journal."""
    return [
        json.loads(line)
        for segment in sorted((home / "state" / "journals" / actor).glob("*.jsonl"))
        for line in segment.read_text().splitlines()
    ]


def journal_events(home: Path, actor: str) -> list[dict[str, Any]]:
    """The events of an actor's journal: `type` and the fields."""
    return [
        {"type": event["type"], **event["data"]}
        for line in journal_lines(home, actor)
        for event in line["events"]
    ]
