"""The journals over HTTP: what is kept, lines, states, and what changed (JR-9)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.web_kit import serving
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
