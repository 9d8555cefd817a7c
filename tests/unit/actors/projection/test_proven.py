"""What the projection has read was durable: a journal that lost some of it is damaged, not torn (rule J4)."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import trio

from tests.unit.actors.projection.test_projection import (
    Say,
    StandIn,
    checkpointed,
    ready,
    running,
    say,
    write_often,
)
from understudy.actors.projection import ProjectionActor, feed_of, wait_until_shown
from understudy.actors.projection.keeper import FOLDER
from understudy.actors.projection.model_file import checkpoint_cursors
from understudy.cli.app import run
from understudy.cli.exits import Exit
from understudy.protocols.errors import JournalDamaged
from understudy.supervision.files import Files
from understudy.supervision.journal import repair_journal, verify_journal
from understudy.supervision.system import ActorSystem

if TYPE_CHECKING:
    from pathlib import Path


async def lose_the_last_line(home: Path) -> Path:
    """A home whose projection has a checkpoint of two lines of the manager, of which half of one is left."""
    async with running(home) as (system, _):
        await say(system, "one")
        await say(system, "two")
        await checkpointed(system, "manager", 2)
    (segment,) = (home / "state" / "journals" / "manager").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes()[:-20])
    return segment


def proven(home: Path) -> tuple[int, int]:
    """What the newest checkpoint proves of the manager's journal."""
    cursors = checkpoint_cursors(Files(), home / "state" / FOLDER)
    return next((cursor.incarnation, cursor.seq) for cursor in cursors if cursor.journal == "manager")


@pytest.mark.rule("J4")
@pytest.mark.parametrize("known", [True, False])
async def test_a_line_that_was_read_and_is_cut_is_damage_and_one_that_nobody_read_is_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    """Nothing is cut off what was durable; what only the file knows may be a crash's doing."""
    write_often(monkeypatch)
    segment = await lose_the_last_line(tmp_path)
    left = segment.read_bytes()
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            if not known:
                await system.spawn(StandIn, name="manager")
                assert segment.read_bytes() == left.splitlines(keepends=True)[0]
                return
            system.prove("manager", *proven(tmp_path))
            with pytest.raises(JournalDamaged, match="seq 2"):
                await system.spawn(StandIn, name="manager")
            assert segment.read_bytes() == left
            assert system.cell("manager").phase == "blocked"


@pytest.mark.rule("J4")
@pytest.mark.rule("D4")
async def test_a_repair_makes_a_gap_of_what_a_reader_has_read_and_the_actor_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With numbers that nobody has seen: the read model is built anew from what is left."""
    write_often(monkeypatch)
    await lose_the_last_line(tmp_path)
    folder = tmp_path / "state" / "journals" / "manager"
    assert verify_journal(Files(), folder).whole
    known = proven(tmp_path)
    assert not verify_journal(Files(), folder, known).whole
    assert repair_journal(Files(), folder, known).gaps == ((2, 2),)
    assert verify_journal(Files(), folder, known).whole
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            system.prove("manager", *known)
            await system.spawn(ProjectionActor, name="projection", timezone="UTC")
            await ready(system)
            await system.spawn(StandIn, name="manager")
            await say(system, "three")
            assert await wait_until_shown(system, "manager", 5)
            assert [row.text for row in feed_of(system).model.messages if row.role == "user"] == [
                "one",
                "three",
            ]


@pytest.mark.rule("J4")
async def test_a_journal_that_was_read_and_is_gone_is_damage_and_can_be_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An actor that forgot all that it had acknowledged, and went on as a new one, would be worse."""
    write_often(monkeypatch)
    folder = (await lose_the_last_line(tmp_path)).parent
    shutil.rmtree(folder)
    known = proven(tmp_path)
    with trio.fail_after(10):
        async with ActorSystem(tmp_path) as system:
            system.prove("manager", *known)
            with pytest.raises(JournalDamaged, match="up to seq 2, which was durable"):
                await system.spawn(StandIn, name="manager")
        assert run(("journal", "verify", "--home", str(tmp_path))) == Exit.DAMAGED
        assert run(("journal", "repair", "--home", str(tmp_path))) == Exit.OK
        assert run(("journal", "verify", "--home", str(tmp_path))) == Exit.OK
        async with ActorSystem(tmp_path) as system:
            system.prove("manager", *known)
            await system.spawn(StandIn, name="manager")
            await system.get("manager").ask_async(Say(text="three"), timeout_s=5)
    report = verify_journal(Files(), folder, known)
    assert (report.first_seq, report.last_seq, report.incarnation, report.whole) == (3, 3, 2, True)


def test_a_home_without_a_model_proves_nothing(tmp_path: Path) -> None:
    """Nor does a file that is of another format, or not whole in its first line."""
    assert checkpoint_cursors(Files(), tmp_path) == ()
    for content in (b"", b'{"format":1}\n', b'{"format":3,"cursors":[],"crc":"00000000"}\n["tasks"]\n'):
        (tmp_path / "model-1-1.jsonl").write_bytes(content)
        assert checkpoint_cursors(Files(), tmp_path) == ()
