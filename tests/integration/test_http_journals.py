"""The journals over HTTP: what is kept, lines, states, and what changed (JR-9)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.web_kit import events, row_is, serving, until
from understudy.actors.registry import CAST
from understudy.supervision.files import Files
from understudy.supervision.time_travel import replay_state
from understudy.webui.routes import journals

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.req("JR-9", "API-1"), pytest.mark.rule("J7")]


async def test_journals_can_be_looked_at_turn_by_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of lines, a state, a diff; problems for what is not there; bounded sizes."""
    async with serving(tmp_path) as server:
        get = server.client.get
        for text in ("hello", "/run true", "/every '0 7 * * *' true"):
            await server.client.post("/api/input", json={"text": text})
        found = {row["name"]: row for row in (await get("/api/journals")).json()["journals"]}
        assert found["manager"]["running"]
        last = found["manager"]["last_seq"]
        assert (found["manager"]["first_seq"], last > 0) == (0, True)

        page = (await get("/api/journals/manager/lines?limit=1")).json()
        assert [line["seq"] for line in page["lines"]] == [1]
        rest = (await get(f"/api/journals/manager/lines?after={page['next']}&limit=500")).json()
        assert [line["seq"] for line in rest["lines"]][: last - 1] == list(range(2, last + 1))
        assert rest["next"] is None

        state = (await get(f"/api/journals/manager/state?at={last}")).json()
        assert state["seq"] == last
        assert state["state"] != (await get("/api/journals/manager/state?at=0")).json()["state"]
        diff = (await get(f"/api/journals/manager/diff?a=0&b={last}")).json()
        assert diff["changes"]
        assert diff["more"] == 0
        monkeypatch.setattr(journals, "CHANGES", 1)
        assert (await get(f"/api/journals/manager/diff?a=0&b={last}")).json()["more"] > 0
        monkeypatch.setattr(journals, "STATE_BYTES", 1)
        answers = {
            "/api/journals/nobody/lines": (404, "not_found"),
            "/api/journals/manager/state?at=99999": (404, "seq_not_kept"),
            "/api/journals/manager/state?at=-1": (422, "invalid_request"),
            "/api/journals/manager/diff?a=0&b=99999": (404, "seq_not_kept"),
            "/api/journals/manager/state?at=1": (413, "too_large"),
        }
        for path, expected in answers.items():
            response = await get(path)
            assert (response.status_code, response.json()["code"]) == expected, path


async def test_state_of_every_actor_of_the_cast_can_be_made_without_it(tmp_path: Path) -> None:
    """Their methods for events use nothing but the state and the turn's time; it is the live state."""
    async with serving(tmp_path) as server:
        for text in ("hello", "/run true", "/run false", "/every '0 7 * * *' true", "/cancel task-1"):
            await server.client.post("/api/input", json={"text": text})
        for role in CAST:
            cell = cast("Any", server.system.cell(role.name))
            await cell.journal.settled()
            live = cell.actor.state.model_dump_json()
            seq = cell.seq
            made = replay_state(role.actor, Files(), tmp_path / "state" / "journals" / role.name, seq)
            assert json.loads(made.model_dump_json()) == json.loads(live), role.name


async def test_blocked_actor_can_be_looked_at_as_far_as_its_journal_can_be_read(tmp_path: Path) -> None:
    """The turns before the damage and the numbers behind it; who asks for more hears of the damage."""
    async with serving(tmp_path) as server, events(server.url) as stream:
        await server.client.post("/api/tasks", json={"title": "t", "command": ["true"]})
        await server.client.post("/api/tasks", json={"title": "t", "command": ["false"]})
        await until(stream, row_is("tasks", id="task-2", status="failed"))
        good = (await server.client.get("/api/journals/workers/state?at=2")).json()
        journals = (await server.client.get("/api/journals")).json()["journals"]
        last = {row["name"]: row["last_seq"] for row in journals}["workers"]
    path = next((tmp_path / "state" / "journals" / "workers").glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"v":1', b'"v":2', 1)
    path.write_bytes(b"".join(lines))
    async with serving(tmp_path) as server:
        get = server.client.get
        rows = {row["name"]: row for row in (await get("/api/journals")).json()["journals"]}
        assert (rows["workers"]["running"], rows["workers"]["first_seq"]) == (True, 0)
        assert rows["workers"]["last_seq"] >= last
        assert (await get("/api/journals/workers/state?at=2")).json() == good
        assert [
            line["seq"] for line in (await get("/api/journals/workers/lines?limit=2")).json()["lines"]
        ] == [1, 2]
        for path in ("state?at=3", "diff?a=2&b=3", "lines?after=2&limit=1"):
            problem = (await get(f"/api/journals/workers/{path}")).json()
            assert (problem["code"], "line 3" in problem["detail"]) == ("journal_damaged", True), path
