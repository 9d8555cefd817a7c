"""The model's file and the history: whole or not there, and the same when written again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.journal_kit import as_filed, conversation, pool
from understudy.actors.projection import history as histories
from understudy.actors.projection import model_dump as dumps
from understudy.actors.projection.feed import Feed
from understudy.actors.projection.fold import fold_line
from understudy.actors.projection.history import History
from understudy.actors.projection.keeper import Keeper
from understudy.actors.projection.model import Kept, ReadModel
from understudy.actors.projection.model_dump import dump_of
from understudy.actors.projection.model_file import file_name, read_model, remove_others, write_model
from understudy.protocols.read_model import Cursor, MessageRow
from understudy.supervision.clock import SystemClock
from understudy.supervision.files import Files
from understudy.supervision.home import Home
from understudy.supervision.testing.files import FaultyFiles, PowerLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIDNIGHT_UTC = 1_795_046_400.0  # 2026-11-19


def made_model() -> ReadModel:
    """A model of some inputs and tasks."""
    model = ReadModel()
    for journal, lines in (("manager", conversation(3)), ("workers", pool(4))):
        for seq, line in enumerate(lines, start=1):
            fold_line(model, Cursor(journal=journal, incarnation=1, seq=seq), line)
    return model


@pytest.mark.rule("P1")
def test_a_written_model_is_read_back_the_same(tmp_path: Path) -> None:
    """Rows, outputs, cursors, and what follows from them: counts, active tasks."""
    model = made_model()
    write_model(Files(), tmp_path / "projection", "model-1-1.jsonl", dump_of(model))
    back = read_model(Files(), tmp_path / "projection", "model-1-1.jsonl", model.kept)
    assert back is not None
    assert as_filed(back) == as_filed(model)
    assert (+back.tasks.counts, back.tasks.active) == (+model.tasks.counts, model.tasks.active)
    assert list(back.tasks) == list(model.tasks)
    assert back.task_detail("task-1") == model.task_detail("task-1")


@pytest.mark.parametrize(
    "damage",
    ["missing", "empty", "cut", "flipped", "no head", "deep", "other format", "other bounds"],
)
def test_a_file_that_is_not_whole_is_not_used(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is built from the journals then: the file is no more than a shortcut."""
    path = tmp_path / "model-1-1.jsonl"
    write_model(Files(), tmp_path, path.name, dump_of(made_model()))
    assert read_model(Files(), tmp_path, path.name, Kept()) is not None
    if damage == "other format":
        monkeypatch.setattr(dumps, "FORMAT", 99)
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(data[:-10])
    elif damage == "flipped":
        path.write_bytes(data.replace(b"say 1", b"say 2"))
    elif damage == "no head":
        path.write_bytes(data.partition(b"\n")[2])
    elif damage == "deep":
        path.write_bytes(b"[" * 200_000 + b"\n" + data)
    kept = Kept(tasks=7) if damage == "other bounds" else Kept()
    assert read_model(Files(), tmp_path, path.name, kept) is None


def test_files_of_older_checkpoints_are_removed(tmp_path: Path) -> None:
    """Only those: what else lies there is left alone."""
    for name in (file_name(1, 1), file_name(1, 2), "notes.txt"):
        (tmp_path / name).write_text("{}")
    remove_others(Files(), tmp_path, file_name(1, 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model-1-2.jsonl", "notes.txt"]


def message(number: int, at: float, **more: object) -> MessageRow:
    """A message of the conversation."""
    return MessageRow.model_validate(
        {"id": f"msg-{number}", "role": "assistant", "text": "é", "at": at, **more}
    )


@pytest.mark.req("MG-6")
async def test_history_has_a_file_a_day_in_the_homes_time_zone(tmp_path: Path) -> None:
    """A minute before and after midnight in Zurich are two days, though one in UTC."""
    history = History(Files(), tmp_path, "Europe/Zurich")
    midnight = MIDNIGHT_UTC - 3600
    history.add(message(1, midnight - 60))
    history.add(message(2, midnight + 60, in_reply_to=("input-1",)))
    await history.flush()
    assert Files().listdir(tmp_path) == ["2026-11-18.jsonl", "2026-11-19.jsonl"]
    (line,) = (tmp_path / "2026-11-19.jsonl").read_bytes().splitlines(keepends=True)
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "id": "msg-2",
        "role": "assistant",
        "text": "é",
        "at": midnight + 60,
        "in_reply_to": ["input-1"],
        "task": None,
        "session": "main",
    }


@pytest.mark.req("MG-6")
async def test_history_written_again_is_the_same_and_hand_edits_are_overwritten(tmp_path: Path) -> None:
    """Idempotent: a rebuild gives the same bytes; a change by somebody else is undone and told."""
    rows = [message(number, MIDNIGHT_UTC + number) for number in range(3)]
    path = tmp_path / "2026-11-19.jsonl"
    first = History(Files(), tmp_path, "UTC")
    for row in rows:
        first.add(row)
        await first.flush()
    written = path.read_bytes()
    assert len(written.splitlines()) == 3
    path.write_bytes(b"edited\n" + written)
    again = History(Files(), tmp_path, "UTC")
    for row in (*rows, rows[0]):
        again.add(row)
    assert await again.flush() == ["2026-11-19.jsonl"]
    assert path.read_bytes() == written


@pytest.mark.req("MG-6")
async def test_what_a_checkpoint_covers_is_written_only_where_it_is_missing(tmp_path: Path) -> None:
    """A start does not write all days anew, but it does write one that somebody deleted."""
    history = History(Files(), tmp_path, "UTC")
    rows = [message(1, MIDNIGHT_UTC), message(2, MIDNIGHT_UTC + 86_400)]
    (tmp_path / "2026-11-19.jsonl").write_text("kept as it is\n")
    history.reset(rows)
    assert history.dirty
    await history.flush()
    assert (tmp_path / "2026-11-19.jsonl").read_text() == "kept as it is\n"
    assert (tmp_path / "2026-11-20.jsonl").exists()


@pytest.mark.req("MG-6")
async def test_history_survives_a_power_failure_at_every_operation(tmp_path: Path) -> None:
    """Old or new after a crash, never a mixture; and the next flush completes it."""
    crash = 0
    while True:
        crash += 1
        home = tmp_path / str(crash)
        home.mkdir()
        files = FaultyFiles(home)
        history = History(files, home / "history", "UTC")
        history.add(message(1, MIDNIGHT_UTC))
        await history.flush()
        old = (home / "history" / "2026-11-19.jsonl").read_bytes()
        history.add(message(2, MIDNIGHT_UTC + 1))
        files.crash_at(len(files.operations) + crash)
        try:
            await history.flush()
        except PowerLost:
            files.power_failure()
            files.restart()
        else:
            break
        found = (home / "history" / "2026-11-19.jsonl").read_bytes()
        assert found == old or (found.startswith(old) and found.endswith(b"\n"))
        await history.flush()
        assert len((home / "history" / "2026-11-19.jsonl").read_bytes().splitlines()) == 2
    assert crash > 3


@pytest.mark.req("MG-6")
async def test_a_message_for_a_day_that_is_not_in_memory_any_more_is_added_to_its_file(
    tmp_path: Path,
) -> None:
    """A clock that was put back must not cost the day what is in its file."""
    history = History(Files(), tmp_path, "UTC")
    for number in range(4):
        history.add(message(number, MIDNIGHT_UTC + number * 86_400))
        await history.flush()
    history.add(message(9, MIDNIGHT_UTC + 5))
    await history.flush()
    lines = (tmp_path / "2026-11-19.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["msg-0", "msg-9"]


@pytest.mark.req("MG-6")
async def test_a_long_day_is_whole_in_its_file_though_memory_has_only_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory must not grow with the day; a message that memory let go and that comes again is not doubled."""
    monkeypatch.setattr(histories, "MESSAGES_IN_MEMORY", 2)
    history, whole = (
        History(Files(), tmp_path / "history", "UTC"),
        History(Files(), tmp_path / "whole", "UTC"),
    )
    rows = [message(number, MIDNIGHT_UTC + number) for number in range(6)]
    for row in rows:
        history.add(row)
        await history.flush()
        assert history.in_memory <= 2
        whole.add(row)
    history.add(rows[0])
    assert await history.flush() == []
    await whole.flush()
    name = "2026-11-19.jsonl"
    assert (tmp_path / "history" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.req("MG-6")
async def test_the_first_kept_day_keeps_what_the_read_model_has_forgotten(tmp_path: Path) -> None:
    """The read model has the newest messages; a start with it must not write the older ones away."""
    rows = [message(number, MIDNIGHT_UTC + number) for number in range(4)]
    first = History(Files(), tmp_path, "UTC")
    first.reset(())
    for row in rows[:3]:
        first.add(row)
    await first.flush()
    with (tmp_path / "2026-11-19.jsonl").open("ab") as file:
        file.write(b"[]\nnot ours\n")
    again = History(Files(), tmp_path, "UTC")
    again.reset(rows[2:3])
    again.add(rows[3])
    await again.flush()
    lines = (tmp_path / "2026-11-19.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["msg-0", "msg-1", "msg-2", "msg-3"]


@pytest.mark.req("MG-6")
async def test_a_rebuild_under_way_does_not_take_from_a_file_what_it_has_not_read_again(
    tmp_path: Path,
) -> None:
    """Else a crash in the middle of it, or a reader, would find half a day."""
    rows = [message(number, MIDNIGHT_UTC + number) for number in range(3)]
    first, again = History(Files(), tmp_path, "UTC"), History(Files(), tmp_path, "UTC")
    for row in rows:
        first.add(row)
    await first.flush()
    written = (tmp_path / "2026-11-19.jsonl").read_bytes()
    for row in rows:
        again.add(row)
        assert await again.flush() == []
        assert (tmp_path / "2026-11-19.jsonl").read_bytes() == written


@pytest.mark.req("PJ-3")
async def test_a_stop_does_not_write_beside_a_write_that_is_under_way(tmp_path: Path) -> None:
    """Two of them would share a temporary file, and put in place what the other has half written."""
    together = most = 0

    async def beside(function: Callable[..., Any], *arguments: Any, **_: object) -> Any:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await trio.testing.wait_all_tasks_blocked()
        together -= 1
        return function(*arguments)

    async def taken(_name: str, _cursors: tuple[Cursor, ...]) -> None:
        await trio.lowlevel.checkpoint()

    feed, reports = Feed(epoch=1), list[str]()
    keeper = Keeper(Home(tmp_path), feed, "UTC", beside, SystemClock(), taken, reports.append)
    keeper.line_applied([message(1, MIDNIGHT_UTC)])
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.write)
            nursery.start_soon(keeper.write)
    assert most == 1
    assert Files().listdir(tmp_path / "history") == ["2026-11-19.jsonl"]
