"""What the execution layer enforces: folders, environment, time, output; and what it forgets (WK-6, WK-8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from tests.unit.actors.stage import Stage, journal_events, until
from understudy import ActorSystem, NotFound, Refused
from understudy.actors.projection import ProjectionActor, feed_of
from understudy.actors.workers import CallableExecutor, PoolConfig, TaskContext, succeed
from understudy.actors.workers.workspaces import Workspaces
from understudy.protocols.errors import BadWorkspace, TooLongTimeout
from understudy.protocols.tasks import CancelTask, CreateTask, GetTask, TaskSpec
from understudy.supervision.testing.checks import check_replays

OK = CallableExecutor(succeed)


async def shell(stage: Stage, command: str, **fields: Any) -> str:
    """Make a task for the shell; its id."""
    return await stage.create(executor="shell", command=("/bin/sh", "-c", command), **fields)


@pytest.mark.req("WK-8")
@pytest.mark.parametrize(
    "workspace",
    [
        "../state",
        "../state/journals",
        "..",
        "x/../../logs",
        "../history/new",
        "link",
        "link/journals",
        "../../elsewhere",
        "/",
        "/etc",
        "file",
    ],
)
def test_a_workspace_that_reaches_the_runtimes_own_or_lies_outside_is_refused(
    tmp_path: Path, workspace: str
) -> None:
    """Whatever way is written, and through links."""
    home = tmp_path / "home"
    for name in ("state/journals", "config", "logs", "history", "persona", "work"):
        (home / name).mkdir(parents=True)
    (home / "work" / "link").symlink_to(home / "state")
    (home / "work" / "file").touch()
    with pytest.raises(BadWorkspace, match="expected a folder to work in"):
        Workspaces(home).resolve(workspace)


@pytest.mark.req("WK-8")
def test_a_workspace_may_be_below_work_or_an_allowed_root_that_may_not_be_used_to_reach_the_home(
    tmp_path: Path,
) -> None:
    """An allowed root that holds the home does not open the home's own folders."""
    home = tmp_path / "home"
    (home / "state").mkdir(parents=True)
    spaces = Workspaces(home, [tmp_path])
    assert spaces.enter("a/b") == home / "work" / "a" / "b"
    assert spaces.enter(str(tmp_path / "site")).is_dir()
    for own in (home / "state" / "x", home, tmp_path):
        with pytest.raises(BadWorkspace, match="runtime's own"):
            spaces.resolve(str(own))


@pytest.mark.req("WK-8")
async def test_a_workspace_is_looked_at_again_when_the_attempt_starts(tmp_path: Path) -> None:
    """A link that was put there meanwhile does not lead into the state."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, limit=1)
        await stage.create()
        task = await shell(stage, "touch bad", workspace="later", retries=3)
        (tmp_path / "work").mkdir(exist_ok=True)
        (tmp_path / "work" / "later").symlink_to(tmp_path / "state")
        stage.script.end("task-1/1")
        _, result = await stage.wait_told(2)
        assert (result.task, result.status, result.attempt) == (task, "failed", 1)
        assert "runtime's own" in result.reason
    assert not (tmp_path / "state" / "bad").exists()


@pytest.mark.req("WK-8")
async def test_a_command_sees_only_the_environment_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual variables, those that are configured, the task's own, and its mark."""
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    monkeypatch.setenv("PROXY", "p")
    monkeypatch.setenv("LC_TIME", "C")
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, config=PoolConfig(environment=("PROXY",)))
        await shell(stage, "env", env=(("COLOR", "red"),))
        (result,) = await stage.wait_told(1)
    seen = dict(line.split("=", 1) for line in result.output.splitlines() if "=" in line)
    assert "SECRET_TOKEN" not in seen
    assert (seen["PROXY"], seen["COLOR"], seen["LC_TIME"]) == ("p", "red", "C")
    assert seen["UNDERSTUDY_ATTEMPT"] == "task-1/1"
    assert "PATH" in seen


@pytest.mark.req("WK-8")
async def test_time_limits_come_from_the_configuration(tmp_path: Path) -> None:
    """A task that names none gets the default; one that asks for too much is refused."""
    async with ActorSystem(tmp_path) as system:
        config = PoolConfig(default_timeout_s=0.05, max_timeout_s=60)
        stage = await Stage.set(system, config=config)
        with pytest.raises(TooLongTimeout, match="at most 60 s, got 61 s"):
            await stage.create(timeout_s=61)
        await stage.create()
        (result,) = await stage.wait_told(1)
        assert result.reason == "timed out after 0.05 s"


@pytest.mark.req("WK-8")
async def test_a_command_that_does_not_exist_fails_at_once_whatever_its_retries(tmp_path: Path) -> None:
    """Another attempt could only end in the same way."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        await stage.create(executor="shell", command=("no-such-program",), retries=5)
        (result,) = await stage.wait_told(1)
        assert (result.status, result.attempt) == ("failed", 1)
        assert "expected a command, got 'no-such-program'" in result.reason


@pytest.mark.req("WK-6")
async def test_progress_and_output_are_shown_while_a_task_runs_and_journaled_when_it_has_ended(
    tmp_path: Path,
) -> None:
    """From a callable and from a command."""
    go_on = trio.Event()

    async def work(context: TaskContext) -> None:
        context.write("one ")
        context.progress(0.25, "first part")
        await go_on.wait()
        context.write("two")

    async with ActorSystem(tmp_path) as system:
        await system.spawn(ProjectionActor, name="projection")
        stage = await Stage.set(system, callables={"work": work})
        feed = feed_of(system)
        with feed.subscription():
            await stage.create(executor="python", function="work")
            await shell(stage, "echo began; sleep 30")
            rows: dict[str, Any] = {}
            with trio.fail_after(5):
                while set(rows) != {"task-1", "task-2"}:
                    await feed.moved()
                    rows = {row.id: row for row in feed.live.shown()}
            one = rows["task-1"]
            assert (one.attempt, one.progress, one.note, one.output) == (1, 0.25, "first part", "one ")
            go_on.set()
            await stage.wait_told(1)
            with trio.fail_after(5):
                while any(row.id == "task-1" for row in feed.live.shown()):
                    await feed.moved()
    events = [e for e in journal_events(tmp_path, "workers") if e.get("id") == "task-1"]
    assert [event["type"] for event in events] == ["TaskCreated", "TaskStarted", "TaskFinished"]
    assert events[-1]["output"]["text"] == "one two"


@pytest.mark.req("WK-6")
@pytest.mark.req("WK-8")
async def test_a_flood_of_output_is_bounded_in_record_and_file_and_the_bound_is_told(tmp_path: Path) -> None:
    """The command is not held up for good, and what is kept says what it lacks."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, config=PoolConfig(output_file_bytes=200_000))
        await shell(stage, "yes 0123456789 | head -c 5000000; echo end")
        (result,) = await stage.wait_told(1)
        assert (result.status, result.output_bytes, result.output_cut) == ("succeeded", 5_000_004, True)
        assert result.output.endswith("end\n")
    output = journal_events(tmp_path, "workers")[-1]["output"]
    assert (len(output["text"]), output["cut"], output["file_cut"]) == (65_536, True, True)
    assert (tmp_path / output["file"]).stat().st_size == 200_000


@pytest.mark.req("WK-1")
@pytest.mark.req("JR-9")
async def test_what_is_forgotten_is_in_the_journal_and_a_forgotten_id_makes_no_task(tmp_path: Path) -> None:
    """A replay forgets the same, whatever the setting is by then; fewer to keep are reached step by step."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, config=PoolConfig(tasks_kept=2), executors={"ok": OK})
        for count in range(1, 5):
            await stage.create(executor="ok")
            await stage.wait_told(count)
        assert list(system.cell("workers").actor.state.over) == ["task-3", "task-4"]
        await check_replays(system)
        spec = TaskSpec(title="again", executor="ok")
        with pytest.raises(Refused, match="expected an id from ReserveTaskId"):
            await stage.ask(CreateTask(spec=spec, id="task-1"))
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, config=PoolConfig(tasks_kept=1), executors={"ok": OK})
        assert list(system.cell("workers").actor.state.over) == ["task-3", "task-4"]
        await stage.create(executor="ok")
        await stage.wait_told(5)
        assert list(system.cell("workers").actor.state.over) == ["task-5"]
        await check_replays(system)


@pytest.mark.req("WK-1")
async def test_the_oldest_finished_task_is_forgotten_with_its_files_and_its_id_never_comes_again(
    tmp_path: Path,
) -> None:
    """Also over a restart; who asks for it hears that it is forgotten."""
    folder, config = tmp_path / "state" / "output", PoolConfig(tasks_kept=2)
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, config=config, limit=1)
        for count in range(1, 4):
            await shell(stage, "yes | head -c 70000")
            await stage.wait_told(count)
        with trio.fail_after(5):
            while len(list(folder.iterdir())) > 2:
                await trio.sleep(0.005)
        assert sorted(path.name for path in folder.iterdir()) == ["task-2-1.log", "task-3-1.log"]
        for message in (GetTask(id="task-1"), CancelTask(id="task-1")):
            with pytest.raises(NotFound, match=r"is over and forgotten: .* the newest 2 are known"):
                await stage.ask(message)
        assert (await stage.view("task-2")).status == "succeeded"
    (folder / "task-1-1.log").touch()  # as a crash between the two would leave it
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, config=config)
        assert await stage.create() == "task-4"
        assert list(system.cell("workers").actor.state.over) == ["task-2", "task-3"]
        await until(system, lambda: True)
        with trio.fail_after(5):
            while (folder / "task-1-1.log").exists():
                await trio.sleep(0.005)
        assert (folder / "task-2-1.log").exists()
