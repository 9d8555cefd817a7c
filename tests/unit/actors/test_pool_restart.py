from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.unit.actors.stage import Ear, Script, Stage, journal_events
from understudy import ActorSystem
from understudy.actors.workers import PoolConfig, WorkerPoolActor
from understudy.protocols.tasks import CancelTask

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def after_crash(home: Path, copy: Path, **pool: object) -> AsyncGenerator[Stage, None]:
    """A stage on a copy of a home in use: what a crash at this moment would leave on the disk."""
    shutil.copytree(home, copy)
    async with ActorSystem(copy) as system:
        yield await Stage.set(system, **pool)


@pytest.mark.req("WK-5")
async def test_running_becomes_pending_with_its_attempt_counted_and_the_rest_is_as_it_was(
    tmp_path: Path,
) -> None:
    """Pending stays pending, retrying keeps its time, finished stays finished."""
    home = tmp_path / "home"
    async with ActorSystem(home) as system:
        stage = await Stage.set(system, limit=2)
        await stage.create(title="done")
        stage.script.end("task-1/1")
        await stage.create(title="fails", retries=1, retry_delay_s=60)
        stage.script.end("task-2/1", 1)
        await stage.wait_status("task-2", "pending")
        await stage.create(title="runs")
        await stage.create(title="runs too")
        await stage.create(title="waits")
        await stage.script.wait_started("task-3/1", "task-4/1")
        async with after_crash(home, tmp_path / "copy", limit=1) as again:
            await again.script.wait_started("task-3/2")
            views = [await again.view(f"task-{number}") for number in range(1, 6)]
            assert [(view.status, view.attempts) for view in views] == [
                ("succeeded", 1),
                ("pending", 1),
                ("running", 2),
                ("pending", 1),
                ("pending", 0),
            ]
            for mark in ("task-3/2", "task-4/2", "task-5/1"):
                again.script.end(mark)
            await again.wait_told(4)
            assert again.script.started == ["task-3/2", "task-4/2", "task-5/1"]
    requeued = [e for e in journal_events(tmp_path / "copy", "workers") if e["type"] == "TaskRequeued"]
    assert [(e["id"], e["attempt"], e["reruns"]) for e in requeued] == [("task-3", 1, 1), ("task-4", 1, 1)]


@pytest.mark.req("WK-5")
@pytest.mark.rule("E3")
async def test_a_rerun_does_not_use_up_a_retry_but_is_capped(tmp_path: Path) -> None:
    """After so many crashes the task has failed, and says why (rule E3)."""
    homes = [tmp_path / f"home-{number}" for number in range(4)]
    async with ActorSystem(homes[0]) as system:
        stage = await Stage.set(system, reruns=2)
        await stage.create(retries=1, retry_delay_s=0)
        await stage.script.wait_started("task-1/1")
        async with after_crash(homes[0], homes[1], reruns=2) as first:
            first.script.end("task-1/2", 1)
            await first.script.wait_started("task-1/3")
            async with after_crash(homes[1], homes[2], reruns=2) as second:
                await second.script.wait_started("task-1/4")
                async with after_crash(homes[2], homes[3], reruns=2) as third:
                    (result,) = await third.wait_told(1)
                    assert result.status == "failed"
                    assert result.reason == "the runtime went down under it 3 times"
                    assert third.script.started == []


@pytest.mark.req("WK-5")
async def test_a_cancel_that_was_accepted_holds_over_a_crash(tmp_path: Path) -> None:
    """The task is not run again."""
    home = tmp_path / "home"
    async with ActorSystem(home) as system:
        stage = await Stage.set(system)
        await stage.create()
        await stage.script.wait_started("task-1/1")
        await stage.ask(CancelTask(id="task-1", source="api", reason="enough"))
        # The attempt may have ended meanwhile: both are what a crash can meet.
        async with after_crash(home, tmp_path / "copy") as again:
            (result,) = await again.wait_told(1)
            assert (result.status, result.source, result.reason) == ("canceled", "api", "enough")
            assert again.script.started == []


@pytest.mark.req("WK-1")
async def test_each_end_is_told_once_across_restarts(tmp_path: Path) -> None:
    """Also when the crash comes between the end and the telling."""
    home = tmp_path / "home"
    async with ActorSystem(home) as system:
        stage = await Stage.set(system)
        for _ in range(3):
            await stage.create()
        stage.script.end("task-1/1")
        await stage.wait_status("task-1", "succeeded")
        async with after_crash(home, tmp_path / "copy") as again:
            again.script.end("task-2/2")
            again.script.end("task-3/2")
            results = await again.wait_told(3)
            assert sorted(result.task for result in results) == ["task-1", "task-2", "task-3"]


@pytest.mark.req("WK-5")
async def test_a_graceful_stop_ends_attempts_and_the_next_start_runs_them_again(tmp_path: Path) -> None:
    """Nothing runs on without its runtime."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        await stage.create()
        await stage.script.wait_started("task-1/1")
    assert stage.script.cancelled == ["task-1/1"]
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        stage.script.end("task-1/2")
        (result,) = await stage.wait_told(1)
        assert (result.status, result.attempt) == ("succeeded", 2)


class SlowProcesses:
    """Child processes of which one of an earlier incarnation still has to be ended."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.asked = trio.Event()
        self.released = trio.Event()
        self.mark = "task-1/1"
        self.living = (self,)

    async def end(self, grace_s: float) -> None:
        self.calls.append(f"end {self.mark} within {grace_s:g} s")

    async def end_leftovers(self) -> None:
        self.asked.set()
        await self.released.wait()
        self.calls.append("end leftovers")

    async def close(self) -> None:
        pass


@pytest.mark.rule("H1")
@pytest.mark.req("WK-5")
async def test_no_task_runs_again_before_what_is_left_of_it_was_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in a crash's home nor beside an attempt of the incarnation before (rule H1)."""
    home, processes = tmp_path / "home", SlowProcesses()
    async with ActorSystem(home) as system:
        stage = await Stage.set(system)
        await stage.create()
        await stage.script.wait_started("task-1/1")
        shutil.copytree(home, tmp_path / "copy")
    async with ActorSystem(tmp_path / "copy") as system, trio.open_nursery() as nursery:
        monkeypatch.setattr(system, "_processes", processes)
        stage = Stage(system, Script())
        await system.spawn(Ear, name="ear")
        executors = {"script": stage.script}
        nursery.start_soon(
            partial(system.spawn, WorkerPoolActor, name="workers", notify="ear", executors=executors)
        )
        with trio.fail_after(5):
            await processes.asked.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.script.started == []
        processes.released.set()
        await stage.script.wait_started("task-1/2")
        assert processes.calls == ["end task-1/1 within 5 s", "end leftovers"]
        nursery.cancel_scope.cancel()


@pytest.mark.req("WK-5")
async def test_orderly_stops_do_not_count_towards_the_cap_of_reruns(tmp_path: Path) -> None:
    """A task that takes a week survives any number of deploys; only crashes speak against it."""
    for number in range(1, 5):
        async with ActorSystem(tmp_path) as system:
            stage = await Stage.set(system, reruns=1)
            if number == 1:
                await stage.create()
            await stage.script.wait_started(f"task-1/{number}")
    requeued = [e for e in journal_events(tmp_path, "workers") if e["type"] == "TaskRequeued"]
    assert [(event["attempt"], event["reruns"]) for event in requeued] == [(1, 0), (2, 0), (3, 0), (4, 0)]
    assert {event["reason"] for event in requeued} == {"the runtime was stopped"}


@pytest.mark.req("WK-2")
async def test_a_kill_between_tasks_of_a_queue_of_one_advances(tmp_path: Path) -> None:
    """The place of what the crash took is free again, and the next in the queue gets it."""
    home, config = tmp_path / "home", PoolConfig(queue_limits={"one": 1})
    async with ActorSystem(home) as system:
        stage = await Stage.set(system, config=config)
        for _ in range(3):
            await stage.create(queue="one")
        stage.script.end("task-1/1")
        await stage.script.wait_started("task-2/1")
        async with after_crash(home, tmp_path / "copy", config=config) as again:
            for mark in ("task-2/2", "task-3/1"):
                await again.script.wait_started(mark)
                again.script.end(mark)
            await again.wait_told(3)
            assert again.script.started == ["task-2/2", "task-3/1"]
