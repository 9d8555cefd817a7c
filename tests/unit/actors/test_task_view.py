"""What a program learns of a task from `GetTask`."""

from __future__ import annotations

from pathlib import Path

import trio

from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.projection import wait_until_shown
from understudy.actors.workers import Callables, TaskContext
from understudy.protocols.tasks import CreateTask, GetTask, TaskSpec, TaskView


async def test_a_running_and_a_finished_task_tell_a_program_all_that_their_rows_know(tmp_path: Path) -> None:
    """Progress, note, output and times."""
    callables = Callables()
    told, end = trio.Event(), trio.Event()

    @callables.register
    async def work(context: TaskContext) -> int:
        context.write("hello\n")
        context.progress(0.5, "half way")
        told.set()
        await end.wait()
        return 7

    async def get() -> TaskView:
        return await system.get("workers").ask_async(GetTask(id="task-1"), timeout_s=5)

    with trio.fail_after(20):
        async with ActorSystem(tmp_path) as system:
            await start_cast(system, CastConfig(timezone="UTC"), callables=callables)
            spec = TaskSpec(title="work", executor="python", function="work", priority=3)
            await system.get("workers").ask_async(CreateTask(spec=spec), timeout_s=5)
            await told.wait()
            while (view := await get()).progress is None:
                await trio.lowlevel.checkpoint()
            assert (view.status, view.progress, view.note) == ("running", 0.5, "half way")
            assert (view.output, view.output_bytes) == ("hello\n", 6)
            assert view.created_at is not None
            assert view.started_at is not None
            assert view.finished_at is None
            end.set()
            while (view := await get()).status == "running":
                await trio.lowlevel.checkpoint()
            await wait_until_shown(system, "workers", 5)
            view = await get()
            assert (view.status, view.value, view.exit_code, view.output) == ("succeeded", "7", 0, "hello\n")
            assert (view.executor, view.function, view.priority) == ("python", "work", 3)
            assert view.finished_at is not None
            assert (view.progress, view.note) == (None, "")
