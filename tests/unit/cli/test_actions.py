"""The cast's actions as the log tells them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.unit.actors.stage import until
from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.evolver import EvolverActor
from understudy.cli.actions import ACTIONS, log_actions, operator_of
from understudy.protocols.conversation import SubmitInput
from understudy.protocols.evolution import FailEvolving
from understudy.protocols.tasks import CreateTask, TaskSpec

pytestmark = pytest.mark.req("OP-1")


class Kept(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


async def test_who_did_what_is_logged_for_each_event_with_its_ids(tmp_path: Path) -> None:
    """An input from outside makes the manager make a task, which the pool runs; all tell of the task."""
    kept, log = Kept(), logging.getLogger(ACTIONS)
    log.addHandler(kept)
    log.setLevel("INFO")
    try:
        async with ActorSystem(tmp_path) as system:
            end = log_actions(system)
            await start_cast(system, CastConfig(timezone="UTC"))
            await system.get("manager").ask_async(SubmitInput(text="/run echo hello"), timeout_s=5)
            spec = TaskSpec(title="second", command=("true",), env=(("PASSWORD", "x"),))
            await system.get("workers").ask_async(CreateTask(spec=spec), timeout_s=5)
            await until(
                system, lambda: [one.action for one in kept.records].count("run_succeeded") >= 3, timeout_s=10
            )
            end()
    finally:
        log.removeHandler(kept)
        log.setLevel("NOTSET")
    found = {(record.action, record.context.get("task")): record for record in kept.records}
    assert found["input_received", None].operator == "api"
    assert found["input_received", None].context["input"] == "input-1"
    made, other = found["task_created", "task-1"], found["task_created", "task-2"]
    if made.operator == "api":  # which of the two came first is nobody's promise
        made, other = other, made
    assert (made.operator, made.tool, made.context["origin"]) == ("manager", "shell", "input-1")
    assert made.parameters["command"][-1].endswith("echo hello")
    assert (other.operator, other.parameters["env"]) == ("api", [["PASSWORD", "x"]])
    finished = found["task_finished", "task-1"]
    assert (finished.operator, finished.context["journal"]) == ("worker", "workers")
    assert finished.getMessage() == "task-1: task finished, succeeded, exit code 0"
    assert ("task_done_sent", "task-1") in found
    assert ("task_done_received", "task-1") in found
    assert found["run_started", None].tool == "offline"


async def test_an_evolver_is_logged_like_the_rest_of_the_cast(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in a cast only when it is configured; its journal is one of the cast's all the same."""
    caplog.set_level("INFO", logger=ACTIONS)
    async with ActorSystem(tmp_path) as system:
        end = log_actions(system)
        evolver = await system.spawn(EvolverActor, name="evolver")
        await evolver.ask_async(FailEvolving(window=0, error="the model is down"))
        end()
    assert "evolver: evolving failed, the model is down" in [record.message for record in caplog.records]


@pytest.mark.parametrize(
    ("cause", "kind", "data", "operator"),
    [
        ("outside/7", "TaskCreated", {}, "api"),
        ("manager/3", "TaskCreated", {}, "manager"),
        ("cron/3", "TaskStarted", {}, "cron"),
        ("outside/7", "TaskStarted", {}, "workers"),
        ("start/1", "TaskRequeued", {}, "runtime"),
        ("stop/1", "RunPaused", {}, "runtime"),
        ("outside/7", "TaskFinished", {"source": "worker"}, "worker"),
        ("outside/7", "TaskCancelRequested", {"source": "api"}, "api"),
    ],
)
def test_the_operator_follows_from_what_caused_the_line(
    cause: str, kind: str, data: dict[str, Any], operator: str
) -> None:
    """Who decided, where the event says it; else who sent; else the journal's own actor."""
    assert operator_of("workers", cause, kind, data) == operator
