"""Tasks over HTTP: rules and refusals, filters, output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.web_kit import PATIENCE_S, Server, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server]:
    """A server of a fresh home."""
    async with serving(tmp_path / "home") as found:
        yield found


@pytest.mark.req("WK-3")
@pytest.mark.req("API-1")
async def test_a_refusal_names_its_rule_and_the_task_in_the_way(server: Server) -> None:
    """As members of the problem."""
    body = {"title": "one", "command": ["sleep", "60"], "fingerprint": "report", "queue": "web"}
    first = (await server.client.post("/api/tasks", json=body)).json()["id"]
    refused = await server.client.post("/api/tasks", json=body)
    found = refused.json()
    assert (refused.status_code, found["code"], found["rule"]) == (409, "duplicate_task", "fingerprint")
    assert found["task"] == first
    for more, status, rule in (
        ({"workspace": "../state"}, 422, "workspace"),
        ({"executor": "standard"}, 422, "executor"),
        ({"executor": "python", "function": "f", "arguments": {"a": [1]}}, 422, "function"),
    ):
        response = await server.client.post("/api/tasks", json={"title": "x", "command": ["true"], **more})
        assert (response.status_code, response.json()["rule"]) == (status, rule)
        assert "task" not in response.json()


@pytest.mark.req("API-1")
async def test_tasks_are_filtered_by_queue_session_and_schedule(server: Server) -> None:
    """Newest first, with a cursor that goes on behind the last one shown."""
    for number in range(6):
        body = {"title": "x", "command": ["true"], "queue": ("a", "b")[number % 2], "session": "s"}
        await server.client.post("/api/tasks", json=body)
    page = (await server.client.get("/api/tasks", params={"queue": "a", "limit": 2})).json()
    assert [row["id"] for row in page["tasks"]] == ["task-5", "task-3"]
    page = (
        await server.client.get("/api/tasks", params={"queue": "a", "limit": 2, "cursor": page["next"]})
    ).json()
    assert [row["id"] for row in page["tasks"]] == ["task-1"]
    for wanted, count in (({"session": "s"}, 6), ({"session": "t"}, 0), ({"schedule": "sched-1"}, 0)):
        page = (await server.client.get("/api/tasks", params=wanted)).json()
        assert (len(page["tasks"]), page["next"]) == (count, None)


@pytest.mark.req("WK-6")
@pytest.mark.req("API-1")
async def test_all_of_an_output_can_be_read_in_parts_also_when_the_record_has_its_end_only(
    server: Server,
) -> None:
    """A short one from the record, a long one from its file."""
    for command in ("echo hello", "yes 0123456789 | head -c 100000"):
        await server.client.post("/api/tasks", json={"title": "x", "command": ["/bin/sh", "-c", command]})

    with trio.fail_after(PATIENCE_S):
        while True:
            page = (await server.client.get("/api/tasks", params={"status": "succeeded"})).json()
            if len(page["tasks"]) == 2:
                break
            await trio.sleep(0.02)
    short = await server.client.get("/api/tasks/task-1/output")
    assert short.text == "hello\n"
    assert short.headers["content-type"].startswith("text/plain")
    assert "X-Next-Offset" not in short.headers
    parts, offset = "", 0
    while True:
        asked = {"offset": offset, "limit": 60_000}
        part = await server.client.get("/api/tasks/task-2/output", params=asked)
        parts += part.text
        if (following := part.headers.get("X-Next-Offset")) is None:
            break
        offset = int(following)
    assert part.headers["X-Output-Bytes"] == "100000"
    assert parts == ("0123456789\n" * 10_000)[:100_000]
    assert (await server.client.get("/api/tasks/task-9/output")).status_code == 404


@pytest.mark.req("WK-3")
async def test_a_task_that_waits_says_why(server: Server) -> None:
    """As of now."""
    body = {"title": "later", "command": ["true"], "start_at": 4_000_000_000}
    task = (await server.client.post("/api/tasks", json=body)).json()["id"]
    detail = (await server.client.get(f"/api/tasks/{task}")).json()
    assert (detail["status"], detail["due_at"]) == ("pending", 4_000_000_000)
    assert detail["why"].startswith("waits until 2096-10-")
