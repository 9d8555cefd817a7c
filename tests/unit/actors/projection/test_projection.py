"""The projection in a system: checkpoints, restarts, what it shows of the actors."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from pydantic import BaseModel

from tests.journal_kit import as_filed, conversation, pool, write_journal
from understudy.actors.projection import ProjectionActor, feed_of, wait_until_shown
from understudy.actors.projection import keeper as keepers
from understudy.actors.projection.actor import Unavailable
from understudy.actors.projection.history import History
from understudy.protocols import Message
from understudy.protocols.conversation import ConversationMessage, InputReceived, RunSucceeded
from understudy.protocols.engine import UserInput
from understudy.protocols.errors import NotPersistent
from understudy.supervision.actor import Actor
from understudy.supervision.persistent import PersistentActor
from understudy.supervision.system import ActorSystem
from understudy.supervision.testing.files import FaultyFiles

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from understudy.actors.projection import Feed
    from understudy.supervision.files import Files


class Say(Message[str]):
    text: str


class Heard(BaseModel):
    inputs: int = 0


class StandIn(PersistentActor[Heard]):
    """Stands in for the manager: answers each input at once."""

    def say(self, message: Say) -> str:
        name = f"input-{self.state.inputs + 1}"
        self.emit(InputReceived(input=UserInput(id=name, text=message.text)))
        reply = ConversationMessage(
            id=f"msg-{self.state.inputs}", role="assistant", text="aye", in_reply_to=(name,)
        )
        self.emit(RunSucceeded(run="run", attempt=1, batch=(name,), messages=(reply,), actions=()))
        return name

    def input_received(self, event: InputReceived) -> None:
        self.state.inputs += 1

    def run_succeeded(self, event: RunSucceeded) -> None:
        pass


class Break(Message[None]):
    pass


class Fragile(Actor):
    def on_break(self, message: Break) -> None:
        raise RuntimeError("as told")


@asynccontextmanager
async def running(home: Path, files: Files | None = None) -> AsyncGenerator[tuple[ActorSystem, Feed]]:
    """A system with a projection that is ready, and then a stand-in for the manager."""
    with trio.fail_after(10):
        async with ActorSystem(home, files=files) as system:
            await system.spawn(ProjectionActor, name="projection", timezone="UTC")
            await ready(system)
            await system.spawn(StandIn, name="manager")
            yield system, feed_of(system)


async def ready(system: ActorSystem) -> None:
    """Wait until the projection is."""
    actor: ProjectionActor = system.cell("projection").actor
    await actor.ready.wait()


async def checkpointed(system: ActorSystem, journal: str, seq: int) -> None:
    """Wait until a durable checkpoint covers `seq` of `journal`."""
    actor: ProjectionActor = system.cell("projection").actor
    while all(cursor.journal != journal or cursor.seq < seq for cursor in actor.state.cursors):
        await next_lines(system)


async def next_lines(system: ActorSystem) -> None:
    """Wait until any journal has new durable lines."""
    moved = trio.Event()

    def wake(_journal: str, _seq: int, _lines: bytes) -> None:
        moved.set()

    end = system.subscribe_journals(wake)
    await moved.wait()
    end()


def write_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints after each line, hundred times a second."""
    monkeypatch.setattr(keepers, "WRITE_PAUSE_S", 0.01)
    monkeypatch.setattr(keepers, "CHECKPOINT_LINES", 1)


async def say(system: ActorSystem, text: str) -> str:
    """Say something, and wait until the read model shows it."""
    name: str = await system.get("manager").ask_async(Say(text=text), timeout_s=5)
    assert await wait_until_shown(system, "manager", 5)
    return name


@pytest.mark.req("PJ-1")
async def test_what_was_answered_is_shown(tmp_path: Path) -> None:
    """Who was answered reads what they wrote."""
    async with running(tmp_path) as (system, feed):
        name = await say(system, "ahoy")
        row = feed.model.messages.get(name)
        assert row is not None
        assert (row.text, row.reply) == ("ahoy", "msg-1")


@pytest.mark.req("PJ-1")
@pytest.mark.rule("P1")
async def test_a_restart_goes_on_from_the_checkpoint_and_deleting_it_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule P1: the projection's journal and files are a shortcut; without them it is built from zero."""
    write_often(monkeypatch)
    async with running(tmp_path) as (system, feed):
        await say(system, "one")
        await checkpointed(system, "manager", 1)
    async with running(tmp_path) as (system, feed):
        await say(system, "two")
        first = as_filed(feed.model)
        epoch = feed.epoch
    shutil.rmtree(tmp_path / "state" / "journals" / "projection")
    shutil.rmtree(tmp_path / "state" / "projection")
    shutil.rmtree(tmp_path / "history")
    async with running(tmp_path) as (system, feed):
        assert await wait_until_shown(system, "manager", 5)
        assert as_filed(feed.model) == first
        assert feed.epoch > epoch


@pytest.mark.rule("P1")
async def test_a_checkpoint_is_journaled_after_its_file_and_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule P1: the file is there when the journal says so; what it holds is not read again."""
    write_often(monkeypatch)
    folder = tmp_path / "state" / "projection"
    async with running(tmp_path) as (system, feed):
        await say(system, "one")
        await checkpointed(system, "manager", 1)
        actor: ProjectionActor = system.cell("projection").actor
        assert actor.state.file is not None
        assert (folder / actor.state.file).is_file()
    async with running(tmp_path) as (system, feed):
        actor = system.cell("projection").actor
        await wait_until_shown(system, "manager", 5)
        assert len(feed.model.messages) == 2
        assert actor.follower.applied_lines <= 1


@pytest.mark.rule("P1")
async def test_checkpoints_are_taken_while_messages_keep_coming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load without a pause must not hold them up: journals are not trimmed beyond the newest."""
    write_often(monkeypatch)
    async with running(tmp_path) as (system, _):
        flush = History.flush

        async def flush_and_hear_more(self: History) -> list[str]:
            overwritten = await flush(self)
            await say(system, "and another thing")
            return overwritten

        monkeypatch.setattr(History, "flush", flush_and_hear_more)
        await say(system, "one")
        await checkpointed(system, "manager", 3)


@pytest.mark.req("MG-6")
async def test_history_is_written_at_the_latest_when_the_system_stops(tmp_path: Path) -> None:
    """Written from the manager's journal; a rebuild gives the same bytes."""
    async with running(tmp_path) as (system, _):
        await say(system, "ahoy")
    (path,) = (tmp_path / "history").iterdir()
    written = path.read_bytes()
    assert b"ahoy" in written
    assert b"aye" in written
    path.unlink()
    async with running(tmp_path) as (system, _):
        await wait_until_shown(system, "manager", 5)
    assert path.read_bytes() == written


@pytest.mark.req("RT-8")
async def test_failures_restarts_and_dead_letters_are_shown(tmp_path: Path) -> None:
    """As incidents, and in the actor's row while somebody watches."""
    async with running(tmp_path) as (system, feed):
        fragile = await system.spawn(Fragile, name="fragile")
        with pytest.raises(RuntimeError):
            await fragile.ask_async(Break(), timeout_s=5)
        fragile.tell(Say(text="who are you"))
        with pytest.raises(RuntimeError):
            await fragile.ask_async(Break(), timeout_s=5)
        feed.snapshot(0.0)
        kinds = {incident.kind for incident in feed.incidents}
        assert {"ActorFailed", "ActorRestarting", "DeadLetter"} <= kinds
        row = feed.actors["fragile"]
        assert row.restarts >= 1
        assert "as told" in (row.last_failure or "")
        assert feed.system.dead_letters >= 1


@pytest.mark.req("RT-8")
async def test_actors_that_come_and_go_are_changes(tmp_path: Path) -> None:
    """A watcher hears of them without asking."""
    async with running(tmp_path) as (system, feed):
        with feed.subscription():
            feed.snapshot(0.0)
            start = feed.offset
            await system.spawn(Fragile, name="fragile")
            feed.refresh()
            await system.stop("fragile")
            feed.refresh()
            found = [data for _, data in feed.since(feed.epoch, start)]
        assert any(b'"fragile"' in data and b'"row":{' in data for data in found)
        assert any(b'"fragile"' in data and b'"row":null' in data for data in found)


@pytest.mark.req("JR-8")
async def test_a_disk_that_fails_leaves_the_read_model_running(tmp_path: Path) -> None:
    """A checkpoint or a history that can't be written is tried again; what is shown goes on."""
    files = FaultyFiles(tmp_path)
    async with running(tmp_path, files) as (system, feed):
        await say(system, "one")
        files.fail("replace", times=None)
        await say(system, "two")
        actor: ProjectionActor = system.cell("projection").actor
        await actor.on_stop()
        assert len(feed.model.messages) == 4
        files.heal()


async def test_without_a_home_there_is_nothing_to_follow() -> None:
    """The error says what is missing."""
    async with ActorSystem() as system:
        with pytest.raises(Unavailable):
            feed_of(system)
        assert not await wait_until_shown(system, "manager", 0.1)
        with pytest.raises(NotPersistent):
            await system.spawn(ProjectionActor, name="projection")


@pytest.mark.req("PJ-1")
async def test_journals_that_nobody_opened_yet_wait_for_their_actor(tmp_path: Path) -> None:
    """What a crash left in a file counts when its actor has looked at it, not before (rule J5)."""
    write_journal(tmp_path / "state" / "journals" / "manager", conversation(2))
    write_journal(tmp_path / "state" / "journals" / "workers", pool(2))
    async with ActorSystem(tmp_path) as system:
        await system.spawn(ProjectionActor, name="projection", timezone="UTC")
        await ready(system)
        assert feed_of(system).model.rows() == 0
