"""Rules between tasks: fingerprints, semantic keys, debouncing, delayed starts, queues (WK-2, WK-3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.unit.actors.stage import ManualClock, Script, Stage, journal_events
from understudy import ActorSystem
from understudy.actors.workers import PoolConfig
from understudy.protocols.errors import DuplicateTask, TaskOver
from understudy.protocols.tasks import (
    DEBOUNCE_ROUNDS,
    CancelTask,
    CreateTask,
    ListTasks,
    ReserveTaskId,
    TaskSpec,
)

NOON = 1_800_000_000.0


@pytest.mark.req("WK-3")
async def test_a_second_active_task_of_a_fingerprint_is_refused_and_names_the_first(tmp_path: Path) -> None:
    """While the first one waits or runs; when it is over, the next one is welcome."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        first = await stage.create(fingerprint="report")
        with pytest.raises(DuplicateTask, match=r"'report', got task-1, which is running") as refused:
            await stage.create(fingerprint="report")
        assert (refused.value.rule, refused.value.task) == ("fingerprint", first)
        await stage.create(fingerprint="another")
        stage.script.end("task-1/1")
        await stage.wait_status(first, "succeeded")
        assert await stage.create(fingerprint="report") == "task-3"
    created = [event["id"] for event in journal_events(tmp_path, "workers") if event["type"] == "TaskCreated"]
    assert created == ["task-1", "task-2", "task-3"]


@pytest.mark.req("WK-3")
async def test_a_fingerprint_is_held_over_a_restart(tmp_path: Path) -> None:
    """It is that of the state, not of the process."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        await stage.create(fingerprint="report")
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        with pytest.raises(DuplicateTask):
            await stage.create(fingerprint="report")


@pytest.mark.req("WK-3")
async def test_a_refused_task_that_was_promised_has_failed_and_says_why(tmp_path: Path) -> None:
    """Its id was given out: who waits for its end hears of one."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        await stage.create(fingerprint="report")
        reserved = (await stage.ask(ReserveTaskId())).id
        spec = TaskSpec(title="x", executor="script", fingerprint="report")
        await stage.ask(CreateTask(spec=spec, id=reserved))
        (result,) = await stage.wait_told(1)
        assert (result.task, result.status, result.source) == (reserved, "failed", "runtime")
        assert "got task-1, which is running" in result.reason


@pytest.mark.req("WK-3")
@pytest.mark.req("CR-3")
async def test_a_firing_whose_fingerprint_is_taken_is_recorded_and_wakes_nobody(tmp_path: Path) -> None:
    """The schedule, its nominal time, the rule and the task in the way are in the journal."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        fields = {"fingerprint": "schedule/sched-1", "schedule": "sched-1", "nominal_at": NOON}
        first = await stage.create(**fields)
        spec = TaskSpec.model_validate({"title": "x", "executor": "script", **fields})
        accepted = await stage.ask(CreateTask(spec=spec))
        assert (accepted.skipped, accepted.id) == (True, first)
        assert len((await stage.ask(ListTasks())).tasks) == 1
        stage.script.end("task-1/1")
        await stage.wait_told(1)
        await stage.create(**fields)
        assert len(stage.told) == 1
    (skipped,) = [event for event in journal_events(tmp_path, "workers") if event["type"] == "FiringSkipped"]
    del skipped["type"]
    assert skipped == {"schedule": "sched-1", "nominal_at": NOON, "rule": "fingerprint", "task": first}


@pytest.mark.req("WK-3")
async def test_a_newer_task_of_a_key_cancels_the_one_that_waits(tmp_path: Path) -> None:
    """With a reason that names the newer one, and its session is told."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, limit=1)
        await stage.create()
        older = await stage.create(replace_key="index")
        newer = await stage.create(replace_key="index")
        (result,) = await stage.wait_told(1)
        assert (result.task, result.status, result.source) == (older, "canceled", "replace")
        assert result.reason == f"replaced by {newer}"
        stage.script.end("task-1/1")
        await stage.script.wait_started(f"{newer}/1")
        assert f"{older}/1" not in stage.script.started
        stage.script.end(f"{newer}/1")
        await stage.wait_told(3)


@pytest.mark.req("WK-3")
async def test_a_newer_task_of_a_key_starts_when_the_one_that_runs_has_ended(tmp_path: Path) -> None:
    """Never two of them at once, though there is room, and it says what it waits for."""

    class Slow(Script):
        async def run(self, attempt: object) -> int:
            try:
                return await super().run(attempt)  # pyright: ignore[reportArgumentType] - as it is given
            finally:
                marks.append("ended")

    marks: list[str] = []
    async with ActorSystem(tmp_path) as system:
        slow = Slow()
        stage = await Stage.set(system, executors={"slow": slow})
        older = await stage.create(executor="slow", replace_key="index")
        await slow.wait_started(f"{older}/1")
        newer = await stage.create(replace_key="index")
        view = await stage.view(newer)
        assert view.status == "running" or view.reason == f"waits for {older}, which it replaces, to end"
        await stage.script.wait_started(f"{newer}/1")
        assert marks == ["ended"]
        stage.script.end(f"{newer}/1")
        first, second = await stage.wait_told(2)
        assert (first.task, first.status, second.status) == (older, "canceled", "succeeded")
    (created,) = [e for e in journal_events(tmp_path, "workers") if e.get("id") == newer][:1]
    assert created["why"] == f"waits for {older}, which it replaces, to end"


@pytest.mark.req("WK-3")
async def test_debouncing_runs_the_last_of_a_burst_once_its_window_is_over(tmp_path: Path) -> None:
    """Each newer task takes the place of the one before, and puts the start off again."""
    clock = ManualClock(NOON)
    async with ActorSystem(tmp_path, clock=clock) as system:
        stage = await Stage.set(system)
        for _ in range(3):
            await stage.create(replace_key="index", debounce_s=10)
            clock.advance(system, 6)
        last = await stage.create(replace_key="index", debounce_s=10)
        assert (await stage.view(last)).due_at == NOON + 18 + 10
        clock.advance(system, 9)
        assert [result.reason for result in await stage.wait_told(3)] == [
            f"replaced by task-{number}" for number in (2, 3, 4)
        ]
        assert stage.script.started == []
        clock.advance(system, 2)
        await stage.script.wait_started(f"{last}/1")
        stage.script.end(f"{last}/1")
        await stage.wait_told(4)


@pytest.mark.req("WK-3")
async def test_a_steady_stream_does_not_put_a_debounced_task_off_for_ever(tmp_path: Path) -> None:
    """Ten windows after the first one came it starts."""
    clock = ManualClock(NOON)
    async with ActorSystem(tmp_path, clock=clock) as system:
        stage = await Stage.set(system)
        last = ""
        for _ in range(2 * DEBOUNCE_ROUNDS - 1):
            last = await stage.create(replace_key="index", debounce_s=10)
            clock.advance(system, 5)
        assert (await stage.view(last)).due_at == NOON + DEBOUNCE_ROUNDS * 10
        clock.advance(system, 6)
        await stage.script.wait_started(f"{last}/1")


@pytest.mark.req("WK-3")
async def test_a_delayed_start_waits_for_its_time_also_over_a_restart(tmp_path: Path) -> None:
    """And says until when."""
    clock = ManualClock(NOON)
    async with ActorSystem(tmp_path, clock=clock) as system:
        stage = await Stage.set(system)
        task = await stage.create(start_at=NOON + 3600)
        assert (await stage.view(task)).reason == "waits until 09:00:00"
    clock.advance(system, 3500)
    async with ActorSystem(tmp_path, clock=clock) as system:
        stage = await Stage.set(system)
        assert (await stage.view(task)).status == "pending"
        clock.advance(system, 101)
        await stage.script.wait_started(f"{task}/1")


@pytest.mark.req("WK-2")
async def test_a_full_queue_holds_up_its_own_tasks_only_and_says_so(tmp_path: Path) -> None:
    """Others start past them, whatever their priority."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, limit=3, config=PoolConfig(queue_limits={"web": 1}))
        web = [await stage.create(queue="web", priority=9) for _ in range(3)]
        assert (await stage.view(web[1])).reason == 'limit of queue "web" reached (1 of 1)'
        others = [await stage.create() for _ in range(3)]
        assert (await stage.view(others[2])).reason == "limit of the pool reached (3 of 3)"
        await stage.script.wait_started("task-1/1", "task-4/1", "task-5/1")
        stage.script.end("task-1/1")
        await stage.script.wait_started("task-2/1")
        assert (await stage.view(web[2])).status == "pending"
        assert (await stage.view(others[2])).status == "pending"
        stage.script.end("task-4/1")
        await stage.script.wait_started("task-6/1")


@pytest.mark.req("WK-2")
async def test_a_canceled_task_frees_the_place_of_its_queue(tmp_path: Path) -> None:
    """Of one that runs, and of one that waits for it nothing is left in the queue."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, config=PoolConfig(queue_limits={"web": 1}))
        tasks = [await stage.create(queue="web") for _ in range(3)]
        await stage.ask(CancelTask(id=tasks[1]))
        await stage.ask(CancelTask(id=tasks[0]))
        await stage.script.wait_started(f"{tasks[2]}/1")
        assert stage.script.started == [f"{tasks[0]}/1", f"{tasks[2]}/1"]


@pytest.mark.req("WK-1")
async def test_a_task_that_is_over_says_which_rule_keeps_it_so(tmp_path: Path) -> None:
    """The refusal is typed, and names the task."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        task = await stage.create()
        stage.script.end("task-1/1")
        await stage.wait_status(task, "succeeded")
        with pytest.raises(TaskOver) as refused:
            await stage.ask(CancelTask(id=task))
        assert (refused.value.rule, refused.value.task) == ("final", task)


@pytest.mark.req("WK-2")
async def test_a_retry_comes_after_its_jittered_wait_and_the_journal_says_when(tmp_path: Path) -> None:
    """Within a fifth of the doubled wait, and the sentence names attempt and time."""
    clock = ManualClock(NOON)
    waits: set[float] = set()
    async with ActorSystem(tmp_path, clock=clock, seed=7) as system:
        stage = await Stage.set(system, limit=9)
        for number in range(1, 5):
            task = await stage.create(retries=2, retry_delay_s=100)
            stage.script.end(f"task-{number}/1", 1)
            await stage.wait_status(task, "pending")
            view = await stage.view(task)
            assert view.due_at is not None
            assert 80 <= view.due_at - NOON <= 120
            assert view.reason.startswith("retry 1 of 2 at 08:01:") or "08:02:00" in view.reason
            waits.add(view.due_at - NOON)
    assert len(waits) == 4, "tasks that failed together do not come back together"


@pytest.mark.req("WK-3")
@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"debounce_s": 5.0}, "expected a replace_key with debounce_s"),
        ({"debounce_s": -1.0, "replace_key": "x"}, "greater than or equal to 0"),
        ({"start_at": float("inf")}, "less than or equal|finite"),
        ({"fingerprint": ""}, "at least 1 character"),
        ({"executor": "python"}, "expected the name of a registered callable"),
        ({"arguments": "[1]"}, "expected a JSON object"),
        ({"arguments": "{"}, "expected named arguments that JSON can hold"),
        ({"env": (("a=b", "c"),)}, "pattern"),
    ],
)
def test_a_bad_rule_is_refused_at_the_edge(fields: dict[str, object], hint: str) -> None:
    """Before any actor sees it."""
    with pytest.raises(ValidationError, match=hint):
        TaskSpec.model_validate({"title": "x", "command": ("true",), **fields})
