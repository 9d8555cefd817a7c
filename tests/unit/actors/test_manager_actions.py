"""Actions as data: checked, sent back for correction, and dropped in the end (MG-4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.actors.office import events, replies
from tests.unit.actors.stage import journal_events, until
from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.engines import ScriptedEngine
from understudy.actors.engines.scripted import Act
from understudy.actors.manager import RunPolicy
from understudy.protocols.conversation import SubmitInput
from understudy.protocols.engine import RunAnswer
from understudy.protocols.errors import Refused
from understudy.protocols.proposals import PROPOSAL
from understudy.protocols.tasks import CreateTask, TaskSpec

TASK = {"action": "create_task", "spec": {"title": "x", "command": ["true"], "origin": "input-1"}}
BAD: list[tuple[object, str]] = [
    ("cancel it", "valid dictionary"),
    ({"action": "fly"}, "create_task"),
    ({"action": "create_task", "spec": {"title": "x"}}, "expected a command"),
    ({"action": "cancel_task", "task": "task-9"}, "expected the id of a task, got 'task-9'"),
    ({"action": "cancel_task", "task": "task-1", "why": "x"}, "Extra inputs"),
    ({"action": "remove_schedule", "schedule": "sched-9"}, "expected the id of a schedule (there are none)"),
    ({"action": "summarize_task", "task": "task-9", "text": "x"}, "expected the id of a task"),
    (
        {"action": "add_schedule", "spec": {"title": "x", "cron": "61 * * * *", "command": ["true"]}},
        "expected a cron expression",
    ),
]


async def talk(
    home: Path, engine: ScriptedEngine, *texts: str, rounds: int = 3, then: Callable[[], bool] = lambda: True
) -> None:
    """The cast with this engine; one input after the other, until all are answered, and `then`."""
    config = CastConfig(timezone="UTC", runs=RunPolicy(retry_delay_s=0.01, correction_rounds=rounds))
    async with ActorSystem(home) as system:
        await start_cast(system, config, engines=(engine,))
        for text in texts:
            accepted = await system.get("manager").ask_async(SubmitInput(text=text), timeout_s=5)
            await until(system, lambda name=accepted.id: any(name in a for _, a in replies(home)))
        await until(system, then)


@pytest.mark.req("MG-4")
@pytest.mark.parametrize(("action", "hint"), BAD)
async def test_an_action_that_can_not_be_done_comes_back_to_the_engine(
    tmp_path: Path, action: Any, hint: str
) -> None:
    """In the same attempt, with an error that says what is wrong; the corrected answer counts."""
    engine = ScriptedEngine([Act((TASK, action)), RunAnswer(actions=(TASK,))])
    await talk(tmp_path, engine, "go")
    first, second = engine.requests[:2]
    assert (first.attempt, first.round, second.attempt, second.round) == (1, 0, 1, 1)
    (problem,) = second.problems
    assert problem.index == 1
    assert hint in problem.error
    (over,) = [event for event in events(tmp_path, "RunSucceeded") if event["run"] == "run-1"]
    assert [one["action"] for one in over["actions"]] == ["create_task"]
    assert over["problems"] == []
    created = [e for e in journal_events(tmp_path, "workers") if e["type"] == "TaskCreated"]
    assert len(created) == 1


@pytest.mark.req("MG-4")
async def test_what_is_not_corrected_is_dropped_and_said_and_the_reply_is_kept(tmp_path: Path) -> None:
    """After the rounds that there are; none of the answer's actions is done."""
    engine = ScriptedEngine([Act((TASK, {"action": "cancel_task", "task": "task-9"}), "I did it")] * 3)
    await talk(tmp_path, engine, "go", rounds=2)
    assert [request.round for request in engine.requests] == [0, 1, 2]
    (over,) = events(tmp_path, "RunSucceeded")
    assert (over["actions"], len(over["problems"])) == ([], 1)
    assert replies(tmp_path)[0] == ("I did it", ("input-1",))
    assert "none of it was done" in replies(tmp_path)[1][0]
    assert "task-9" in replies(tmp_path)[1][0]
    assert not [e for e in journal_events(tmp_path, "workers") if e["type"] == "TaskCreated"]
    assert events(tmp_path, "RunFailed") == []


@pytest.mark.req("MG-4")
async def test_all_five_actions_are_carried_out(tmp_path: Path) -> None:
    """Create, cancel, schedule, unschedule, summarize; a summary is kept with its task."""
    schedule = {"action": "add_schedule", "spec": {"title": "s", "cron": "0 7 * * *", "command": ["true"]}}
    engine = ScriptedEngine(
        [
            Act((schedule, {**TASK, "spec": {"title": "x", "command": ["sleep", "60"]}})),
            Act(
                (
                    {"action": "cancel_task", "task": "task-1"},
                    {"action": "remove_schedule", "schedule": "sched-1"},
                )
            ),
        ]
    )
    await talk(tmp_path, engine, "a", "b")
    summary = {"action": "summarize_task", "task": "task-1", "text": "It was too slow."}
    await talk(
        tmp_path,
        ScriptedEngine([RunAnswer(actions=(summary,))]),
        "c",
        then=lambda: any(e["type"] == "TaskSummarized" for e in journal_events(tmp_path, "workers")),
    )
    kinds = [e["type"] for e in journal_events(tmp_path, "cron")]
    assert "ScheduleAdded" in kinds
    assert "ScheduleRemoved" in kinds
    ends = [e for e in journal_events(tmp_path, "workers") if e["type"] == "TaskFinished"]
    assert [(e["status"], e["source"]) for e in ends] == [("canceled", "manager")]
    (kept,) = [e for e in journal_events(tmp_path, "workers") if e["type"] == "TaskSummarized"]
    assert (kept["id"], kept["text"]) == ("task-1", "It was too slow.")


@pytest.mark.req("MG-4")
async def test_calls_on_the_desk_are_refused_at_once_by_the_same_rules(tmp_path: Path) -> None:
    """An engine with tools need not wait for a round."""
    refusals: list[str] = []

    async def tries(_request: object, desk: Any) -> None:
        for call in (
            lambda: desk.cancel_task("task-9", "why"),
            lambda: desk.remove_schedule("sched-9"),
            lambda: desk.summarize_task("task-9", "text"),
        ):
            try:
                await call()
            except Refused as error:
                refusals.append(str(error))

    await talk(tmp_path, ScriptedEngine([tries]), "go")
    assert ["'task-9'" in refusals[0], "'sched-9'" in refusals[1], "'task-9'" in refusals[2]] == [True] * 3


@pytest.mark.rule("E2")
@pytest.mark.req("MG-4")
async def test_an_input_whose_task_the_pool_refuses_gets_its_final_reply(tmp_path: Path) -> None:
    """With the reason: an active task has the same fingerprint."""
    twin = {"title": "x", "command": ["sleep", "60"], "fingerprint": "one"}
    action = {"action": "create_task", "spec": {**twin, "origin": "input-1"}}
    config = CastConfig(timezone="UTC")
    engine = ScriptedEngine([RunAnswer(actions=(action,)), RunAnswer()])
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, config, engines=(engine,))
        spec = TaskSpec.model_validate(twin)
        await system.get("workers").ask_async(CreateTask(spec=spec), timeout_s=5)
        await system.get("manager").ask_async(SubmitInput(text="go"), timeout_s=5)
        await until(system, lambda: bool(replies(tmp_path)))
    ((text, answered),) = replies(tmp_path)
    assert answered == ("input-1",)
    assert "fingerprint" in text
    assert "task-1" in text


@pytest.mark.req("MG-4")
def test_the_schema_of_actions_can_be_shown_to_a_model() -> None:
    """With the five names."""
    names = set(PROPOSAL.json_schema()["discriminator"]["mapping"])
    assert names == {"create_task", "cancel_task", "summarize_task", "add_schedule", "remove_schedule"}
