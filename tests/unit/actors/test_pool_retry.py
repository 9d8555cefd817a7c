"""Doing the work of a finished task once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.actors.stage import Stage
from understudy import ActorSystem, NotFound, Refused
from understudy.protocols.tasks import CancelTask, RetryTask


@pytest.mark.req("WK-1")
async def test_a_retry_is_a_new_task_of_the_same_work_also_after_a_restart(tmp_path: Path) -> None:
    """The failed one keeps its state; the new one has its own attempts and belongs to no schedule."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        failed = await stage.create(title="copy", env=(("A", "1"),), schedule="sched-1", nominal_at=5.0)
        stage.script.end("task-1/1", 3)
        await stage.wait_status(failed, "failed")
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        again = (await stage.ask(RetryTask(id=failed))).id
        assert (again, (await stage.view(again)).title, (await stage.view(again)).schedule) == (
            "task-2",
            "copy",
            None,
        )
        stage.script.end("task-2/1")
        await stage.wait_status(again, "succeeded")
        assert (await stage.view(failed)).status == "failed"


async def test_only_what_failed_or_was_canceled_is_retried(tmp_path: Path) -> None:
    """What runs, what has succeeded and what nobody knows is refused in words."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, limit=1)
        first, second = await stage.create(), await stage.create()
        with pytest.raises(Refused, match="task-1, which is running"):
            await stage.ask(RetryTask(id=first))
        with pytest.raises(NotFound):
            await stage.ask(RetryTask(id="task-9"))
        await stage.ask(CancelTask(id=second))
        stage.script.end("task-1/1")
        await stage.wait_status(first, "succeeded")
        with pytest.raises(Refused, match="failed or was canceled, got task-1: it has succeeded"):
            await stage.ask(RetryTask(id=first))
        assert (await stage.ask(RetryTask(id=second))).id == "task-3"


async def test_a_retry_keeps_the_rules_of_its_work(tmp_path: Path) -> None:
    """While a task of the same fingerprint is active there is no second one."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        first = await stage.create(fingerprint="only one")
        await stage.ask(CancelTask(id=first))
        stage.script.end("task-1/1")
        await stage.wait_status(first, "canceled")
        await stage.ask(RetryTask(id=first))
        with pytest.raises(Refused, match="task-2"):
            await stage.ask(RetryTask(id=first))
