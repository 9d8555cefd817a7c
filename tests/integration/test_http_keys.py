"""Each route that changes something: what its idempotency key promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web_kit import serving

Body = dict[str, Any]

WITHOUT_KEY = {"/api/resume"}
"""What goes on after a halt is nobody's durable change."""

CHANGES: dict[str, tuple[str, Body, Body]] = {
    "/api/input": ("/api/input", {"text": "/help"}, {"text": "/run date"}),
    "/api/tasks": (
        "/api/tasks",
        {"title": "one", "command": ["true"]},
        {"title": "two", "command": ["true"]},
    ),
    "/api/tasks/{task_id}/retry": ("/api/tasks/task-2/retry", {}, {}),
    "/api/tasks/{task_id}/cancel": ("/api/tasks/task-1/cancel", {"reason": "one"}, {"reason": "two"}),
    "/api/schedules": (
        "/api/schedules",
        {"title": "one", "cron": "0 0 1 1 *", "command": ["true"]},
        {"title": "two", "cron": "0 0 1 1 *", "command": ["true"]},
    ),
    "/api/schedules/{schedule_id}/{verb}": ("/api/schedules/sched-1/disable", {}, {}),
    "/api/notifications/retry": ("/api/notifications/retry", {}, {"ids": []}),
}
"""Of each changing route: an address, a body, and another body that asks for something else."""
OTHER_ADDRESS = {
    "/api/tasks/task-2/retry": "/api/tasks/task-1/cancel",
    "/api/schedules/sched-1/disable": "/api/schedules/sched-1/enable",
}


async def test_each_changing_route_keeps_the_promise_of_its_key(tmp_path: Path) -> None:
    """The same request gets the same answer; another one under the key 409; what is unknown 422.

    The routes are those of the server's own description: a new one has to be in the table above.
    """
    async with serving(tmp_path) as server:
        client = server.client
        paths = (await client.get("/openapi.json")).json()["paths"]
        changing = {path for path, methods in paths.items() if set(methods) - {"get", "head", "options"}}
        assert changing == set(CHANGES) | WITHOUT_KEY
        later = {"title": "later", "command": ["true"], "start_at": 4e10}
        for _ in range(2):
            assert (await client.post("/api/tasks", json=later)).status_code == httpx.codes.ACCEPTED
        await client.post("/api/tasks/task-2/cancel")
        yearly = {"title": "yearly", "cron": "0 0 1 1 *", "command": ["true"]}
        assert (await client.post("/api/schedules", json=yearly)).status_code == httpx.codes.ACCEPTED
        for path, (address, body, other) in CHANGES.items():
            key = ("k" + path).ljust(256, "x")
            first = await client.post(address, json={**body, "key": key})
            assert first.status_code == httpx.codes.ACCEPTED, (path, first.text)
            again = await client.post(address, json={**body, "key": key})
            assert (again.status_code, again.json()) == (first.status_code, first.json()), path
            elsewhere = OTHER_ADDRESS.get(address, address)
            reused = await client.post(elsewhere, json={**other, "key": key})
            assert (reused.status_code, reused.json()["code"]) == (409, "key_reused"), path
            for wrong in ({"no_such_field": 1}, {"key": ""}, {"key": "x" * 257}):
                refused = await client.post(address, json={**body, **wrong})
                assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY, (path, wrong)


@pytest.mark.parametrize(("first", "second"), [("disable", "enable"), ("enable", "disable")])
async def test_a_late_repeat_of_a_change_does_not_undo_the_later_one(
    tmp_path: Path, first: str, second: str
) -> None:
    """A proxy may repeat a request after the next one has come."""
    async with serving(tmp_path) as server:
        new = {"title": "yearly", "cron": "0 0 1 1 *", "command": ["true"]}
        await server.client.post("/api/schedules", json=new)
        for verb, key in ((first, "k1"), (second, "k2"), (first, "k1")):
            answer = await server.client.post(f"/api/schedules/sched-1/{verb}", json={"key": key})
            assert answer.status_code == httpx.codes.ACCEPTED
        row = (await server.client.get("/api/schedules/sched-1")).json()
        assert row["status"] == f"{second}d"
