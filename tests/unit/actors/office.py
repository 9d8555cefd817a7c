"""What the tests of the manager share: a manager with scripted engines, and what its journal says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.actors.stage import journal_events, until
from understudy import ActorSystem
from understudy.actors.engines import Desk, ScriptedEngine
from understudy.actors.engines.scripted import Calls, Step
from understudy.actors.manager import ManagerActor, ManagerState, RunPolicy
from understudy.protocols.conversation import GetManagerStatus, ManagerStatus, SubmitInput
from understudy.protocols.engine import RunRequest
from understudy.protocols.tasks import TaskResult, TaskSpec


def creating(spec: TaskSpec) -> Calls:
    """A step that proposes a task, and goes on."""

    async def propose(_request: RunRequest, desk: Desk) -> None:
        await desk.create_task(spec)

    return propose


class Office:
    """A manager with a scripted engine."""

    def __init__(self, system: ActorSystem, engine: ScriptedEngine) -> None:
        self.system = system
        self.engine = engine

    @classmethod
    async def set(cls, system: ActorSystem, *steps: Step, **policy: Any) -> Office:
        """Start it; `steps` are what the engine does first."""
        return await cls.chain(system, ScriptedEngine(steps), **policy)

    @classmethod
    async def chain(cls, system: ActorSystem, *engines: ScriptedEngine, **policy: Any) -> Office:
        """Start it with several engines; `engine` is the first of them."""
        chosen = RunPolicy.model_validate({"retry_delay_s": 0.01, **policy})
        await system.spawn(ManagerActor, name="manager", engines=engines, policy=chosen)
        return cls(system, engines[0])

    async def say(self, text: str) -> str:
        """Submit an input; its id."""
        return (await self.system.get("manager").ask_async(SubmitInput(text=text), timeout_s=5)).id

    @property
    def state(self) -> ManagerState:
        """The manager's."""
        return self.system.cell("manager").actor.state

    async def wait_idle(self) -> None:
        """Until nothing waits and nothing runs."""

        async def is_idle() -> bool:
            status = await self.system.get("manager").ask_async(GetManagerStatus(), timeout_s=5)
            return status.run is None and not status.waiting

        await until(self.system, is_idle)


def a_result(task: str, origin: str | None = None) -> TaskResult:
    """A task that went well."""
    return TaskResult(
        task=task,
        title="x",
        status="succeeded",
        attempt=1,
        reason="exit code 0",
        source="worker",
        origin=origin,
    )


def replies(home: Path) -> list[tuple[str, tuple[str, ...]]]:
    """All messages of the manager's journal: text, and what they answer."""
    return [
        (message["text"], tuple(message["in_reply_to"]))
        for event in journal_events(home, "manager")
        for message in event.get("messages", ())
    ]


def runs(home: Path) -> list[tuple[str, str, int]]:
    """What happened to runs: event, run, attempt."""
    return [
        (event["type"], event["run"], event["attempt"])
        for event in journal_events(home, "manager")
        if "attempt" in event
    ]


def events(home: Path, *kinds: str) -> list[dict[str, Any]]:
    """The events of these types in the manager's journal."""
    return [event for event in journal_events(home, "manager") if event["type"] in kinds]


async def status(system: ActorSystem) -> ManagerStatus:
    """What the manager is at."""
    return await system.get("manager").ask_async(GetManagerStatus(), timeout_s=5)
