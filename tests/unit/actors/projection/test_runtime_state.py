"""`state/runtime-state.json`: written from the read model, never read back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from tests.journal_kit import conversation, cron, made_line, pool
from tests.unit.actors.projection.test_projection import running, say
from understudy.actors.projection import keeper as keepers
from understudy.actors.projection.fold import fold_line
from understudy.actors.projection.model import ReadModel
from understudy.actors.projection.runtime_state import RuntimeStateFile, encode
from understudy.protocols.conversation import RunStarted, TaskDoneReceived
from understudy.protocols.read_model import Cursor
from understudy.protocols.tasks import TaskCreated, TaskResult, TaskSpec
from understudy.supervision.files import Files
from understudy.supervision.testing.files import FaultyFiles

if TYPE_CHECKING:
    from pathlib import Path


def made_model() -> ReadModel:
    """Two answered inputs, a result that a run is at, two tasks and a schedule."""
    model = ReadModel()
    result = TaskResult(
        task="task-1", title="t", status="succeeded", attempt=1, reason="exit code 0", source="worker"
    )
    run = RunStarted(run="run-3", attempt=1, batch=("task-1",), engine="offline")
    waits = TaskCreated(id="task-3", spec=TaskSpec(title="t", command=("true",)))
    for journal, lines in (
        ("manager", [*conversation(2), made_line(7, TaskDoneReceived(result=result), run)]),
        ("workers", [*pool(2), made_line(6, waits)]),
        ("cron", cron(2)),
    ):
        for seq, line in enumerate(lines, start=1):
            assert fold_line(model, Cursor(journal=journal, incarnation=1, seq=seq), line).problem is None
    return model


@pytest.mark.req("PJ-3")
def test_the_file_has_the_fields_of_the_seed_and_ends_in_a_newline() -> None:
    """Under S1's names: what runs, what was consumed, what waits."""
    data = encode(made_model())
    state = json.loads(data)
    assert data.endswith(b"}\n")
    assert (state["managerRunning"], state["plannerSessionId"]) == (True, None)
    assert state["queues"] == {"inputsCursor": 2, "resultsCursor": 0}
    assert (state["workerQueue"], state["runningControllers"]) == (["task-3"], ["task-2"])
    assert [(task["id"], task["status"]) for task in state["tasks"]] == [
        ("task-1", "succeeded"),
        ("task-2", "running"),
        ("task-3", "pending"),
    ]
    assert [job["id"] for job in state["cronJobs"]] == ["sched-1"]
    assert state["taskCounts"] == {"pending": 1, "running": 1, "succeeded": 1}


@pytest.mark.req("PJ-3")
@pytest.mark.parametrize("restarted", [False, True])
def test_a_hand_edit_is_noticed_and_undone(tmp_path: Path, *, restarted: bool) -> None:
    """Also one that was made while nothing ran; what we wrote ourselves is no edit."""
    path = tmp_path / "runtime-state.json"
    data = encode(made_model())
    file = RuntimeStateFile(Files(), path)
    assert not file.write(data)
    again = RuntimeStateFile(Files(), path) if restarted else file
    assert not again.write(encode(ReadModel()))
    path.write_bytes(data.replace(b"task-3", b"task-9"))
    third = RuntimeStateFile(Files(), path) if restarted else again
    assert third.write(data)
    assert path.read_bytes() == data


@pytest.mark.req("PJ-3")
def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    """A file that nobody touches would wear the disk, and whoever watches it."""
    files = FaultyFiles(tmp_path)
    file = RuntimeStateFile(files, tmp_path / "runtime-state.json")
    file.write(b"{}\n")
    assert "replace" in str(files.operations)
    before = len(files.operations)
    file.write(b"{}\n")
    assert "replace" not in str(files.operations[before:])


@pytest.mark.req("PJ-3")
async def test_a_running_system_keeps_the_file_level_and_reports_an_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edit is an incident for viewers, is overwritten, and nothing reads it."""
    monkeypatch.setattr(keepers, "WRITE_PAUSE_S", 0.01)
    monkeypatch.setattr(keepers, "LOOK_PAUSE_S", 0.01)
    path = tmp_path / "state" / "runtime-state.json"
    async with running(tmp_path) as (system, feed):
        with feed.subscription():
            await say(system, "ahoy")
            while not path.exists() or json.loads(path.read_bytes())["queues"]["inputsCursor"] != 1:
                await trio.sleep(0.01)
            path.write_text("{}")
            while not any(incident.kind == "FileOverwritten" for incident in feed.incidents):
                await feed.moved()
        assert feed.model.manager.inputs_cursor == 1
    assert json.loads(path.read_bytes())["queues"]["inputsCursor"] == 1
