"""Journals whose oldest lines are gone: the model is what a rebuild from snapshot and later lines is (P1)."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import trio

from tests.journal_kit import as_filed
from tests.unit.actors.projection.test_projection import ready, write_often
from tests.unit.actors.stage import Script, Stage
from understudy.actors.cron import CronActor
from understudy.actors.projection import ProjectionActor, feed_of, wait_until_shown
from understudy.actors.projection.feed import Feed
from understudy.actors.projection.fold import seed
from understudy.actors.projection.follower import Follower
from understudy.actors.projection.journal_lines import begins_after, gone_until
from understudy.actors.projection.model import ReadModel
from understudy.actors.workers import WorkerPoolActor
from understudy.cli.offline import look_at
from understudy.protocols.lifecycle import JournalTrimmed
from understudy.protocols.read_model import Cursor, TaskRow
from understudy.protocols.schedules import AddSchedule, DisableSchedule, EnableSchedule, ScheduleSpec
from understudy.protocols.tasks import CreateTask, TaskSpec
from understudy.supervision.home import Home
from understudy.supervision.settings import Settings
from understudy.supervision.system import ActorSystem

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Settings(segment_bytes=4096, snapshot_bytes=1024, keep_bytes=30_000)


async def work(system: ActorSystem, script: Script, trimmed: set[str]) -> None:
    """Let tasks come and go, and a schedule rest and wake, until both journals were trimmed."""
    await system.get("cron").ask_async(
        AddSchedule(spec=ScheduleSpec(title="each", cron="0 0 1 1 *", command=("date",))), timeout_s=5
    )
    number = 0
    while trimmed < {"workers", "cron"}:
        number += 1
        spec = TaskSpec(title=f"task {number}", executor="script")
        task = (await system.get("workers").ask_async(CreateTask(spec=spec), timeout_s=5)).id
        if number % 40 != 1:  # one of forty goes on until the end
            script.end(f"{task}/1")
        for kind in (DisableSchedule, EnableSchedule):
            await system.get("cron").ask_async(kind(id="sched-1"), timeout_s=5)


async def rebuilt(system: ActorSystem, names: tuple[str, ...] = ("workers", "cron")) -> ReadModel:
    """A model that is followed from nothing."""
    home = system.home
    assert home is not None
    feed = Feed(1)
    follower = Follower(feed, home.files, home.journals, "projection", lambda: 2, state_at=system.state_at)
    for name in names:
        follower.journal_is_open(name, system.cell(name).status().watermark or 0)
    await follower.catch_up()
    return feed.model


async def continued_from_the_first_line_that_is_left(system: ActorSystem) -> None:
    """A checkpoint between that line and the oldest snapshot is no reason to build the model anew."""
    home = system.home
    assert home is not None
    folder = home.journals / "workers"
    durable = system.cell("workers").status().watermark or 0
    gone = gone_until(home.files, folder)
    min(folder.glob("snapshot-*")).unlink()  # a later one stands in then
    assert 0 < gone < begins_after(home.files, folder, durable)
    feed = Feed(1)
    feed.model.cursors["workers"] = Cursor(journal="workers", incarnation=1, seq=gone)
    follower = Follower(feed, home.files, home.journals, "projection", lambda: 2, state_at=system.state_at)
    follower.journal_is_open("workers", durable)
    await follower.catch_up()
    assert feed.epoch == 1
    assert follower.applied_lines == durable - gone


@pytest.mark.req("PJ-1")
@pytest.mark.rule("P1")
async def test_a_trimmed_journal_gives_the_same_model_however_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Followed live through the trimming, built anew beside it, and read from what a crash leaves."""
    write_often(monkeypatch)
    script, trimmed = Script(), set[str]()
    with trio.fail_after(60):
        async with ActorSystem(tmp_path / "home", settings=SMALL) as system:
            system.subscribe(
                lambda event: trimmed.add(event.actor) if isinstance(event, JournalTrimmed) else None
            )
            await system.spawn(ProjectionActor, name="projection", timezone="UTC")
            await ready(system)
            await system.spawn(CronActor, name="cron")
            await system.spawn(
                WorkerPoolActor, name="workers", notify=None, limit=200, executors={"script": script}
            )
            await work(system, script, trimmed)
            for name in ("workers", "cron"):
                assert await wait_until_shown(system, name, 10)
            model = feed_of(system).model
            await settled(system)
            again = await rebuilt(system)
            assert again.cursor("workers").seq == model.cursor("workers").seq
            assert "task-1" in model.tasks.active
            assert "task-2" not in model.tasks
            assert len(model.tasks.over) > 5
            filed = as_filed(model)
            assert as_filed(again) == filed
            shutil.copytree(tmp_path / "home", tmp_path / "crashed")
            await continued_from_the_first_line_that_is_left(system)
    looked = look_at(Home(tmp_path / "crashed"))
    assert as_filed(looked.model) == filed
    assert (looked.whole, looked.not_folded) == (True, [])


@pytest.mark.rule("P1")
async def test_a_model_that_begins_with_a_state_lacks_what_the_state_does_not_say(tmp_path: Path) -> None:
    """Why a task waits, what its earlier attempts ended with, and how many firings were skipped; no more."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system, limit=1)
        going, retried = await stage.create(), await stage.create(priority=1, retries=1, retry_delay_s=3600)
        waiting = await stage.create()
        firing = {"schedule": "sched-1", "fingerprint": "same"}
        later = await stage.create(start_at=4e9, **firing)
        await stage.create(**firing)
        await stage.script.wait_started(f"{going}/1")
        stage.script.end(f"{going}/1")
        await stage.script.wait_started(f"{retried}/1")
        stage.script.end(f"{retried}/1", 3)
        await stage.wait_status(waiting, "running")
        last = await stage.create()
        lines = await rebuilt(system, ("workers",))
        seeded = ReadModel()
        seed(seeded, lines.cursor("workers"), await system.state_at("workers", lines.cursor("workers").seq))
    assert list(seeded.tasks.names()) == [name for name in lines.tasks.names() if name != going]
    differing = {
        row.id: fields_that_differ(row, seeded.tasks.get(row.id)) for row in lines.tasks.active.values()
    }
    assert differing == {retried: {"why", "exit_code"}, waiting: set(), later: {"why"}, last: {"why"}}
    assert [row.count for row in lines.skipped] == [1]
    assert len(seeded.skipped) == 0


def fields_that_differ(row: TaskRow, other: TaskRow | None) -> set[str]:
    """Names of the fields in which the rows are not the same."""
    assert other is not None
    return {name for name, value in row if value != getattr(other, name)}


async def settled(system: ActorSystem) -> None:
    """Until the projection has taken in what was trimmed."""
    actor: ProjectionActor = system.cell("projection").actor
    while list(actor.follower.behind()):
        await trio.sleep(0.01)


@pytest.mark.rule("P1")
@pytest.mark.rule("J7")
async def test_what_is_not_in_a_checkpoint_stays_while_the_projection_starts_or_starts_again(
    tmp_path: Path,
) -> None:
    """Also before it has read its file, and between two incarnations: the lines are all that it has."""
    with trio.fail_after(30):
        async with ActorSystem(tmp_path, settings=SMALL) as system:
            projection = await system.spawn(ProjectionActor, name="projection", timezone="UTC")
            assert system.journal_held("workers") == 0
            cell = system.cell("projection")
            cell.signal(lambda: cell.fail(RuntimeError("a defect"), "test"))
            assert system.journal_held("workers") == 0
            await trio.to_thread.run_sync(projection.stop)
            assert system.journal_held("workers") is None
