"""The API over TCP, with the whole cast behind it."""

from __future__ import annotations

import errno
import json
import re
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from tests.web_kit import PATIENCE_S, Event, EventStream, Server, events, row_is, serving, until
from understudy.actors.projection import Feed, FollowingFailed, feed_of
from understudy.actors.projection import feed as feeds
from understudy.actors.projection.follower import Follower
from understudy.actors.registry import CAST
from understudy.actors.workers import threads_left
from understudy.protocols.read_model import Change, ManagerRow
from understudy.supervision.testing.files import FaultyFiles
from understudy.webui import context
from understudy.webui import server as webserver
from understudy.webui.context import Context
from understudy.webui.server import (
    GRACE_S,
    AddressUnusable,
    NotLoopback,
    _listening,  # pyright: ignore[reportPrivateUsage] -- the test shrinks the buffers of the real one
    serve_http,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "http-api.md"
NAMED = re.compile(r"\{\w+\}")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server]:
    """A server of a fresh home."""
    async with serving(tmp_path / "home") as found:
        yield found


def problem(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem, all of whose parts are there."""
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert isinstance(found["title"], str)
    assert isinstance(found["detail"], str)
    assert found["detail"]
    assert found["status"] == response.status_code
    return response.status_code, found["code"]


async def first(stream: EventStream) -> Event:
    """The event that a stream begins with."""
    event = await stream.next()
    assert event is not None
    return event


async def rest_of(stream: EventStream) -> AsyncGenerator[Event]:
    """What a stream still holds until the server ends it."""
    while (event := await stream.next()) is not None:
        yield event


async def ended(server: Server, task: str) -> httpx.Response:
    """The task, once it is in a final state."""
    async with events(server.url) as stream:
        snapshot = await first(stream)
        rows = {row["id"]: row for row in snapshot.data["tasks"]}
        if rows.get(task, {}).get("finished_at") is None:
            await until(
                stream,
                lambda event: (
                    row_is("tasks", id=task)(event) and event.data["row"]["finished_at"] is not None
                ),
            )
    return await server.client.get(f"/api/tasks/{task}")


@pytest.mark.req("API-1")
async def test_an_input_is_accepted_shown_and_answered_once(server: Server) -> None:
    """202 with an id; the list has it at once; its one reply names it."""
    async with events(server.url) as stream:
        assert (await first(stream)).event == "snapshot"
        response = await server.client.post("/api/input", json={"text": "hello"})
        assert response.status_code == 202
        name = response.json()["id"]
        messages = (await server.client.get("/api/messages")).json()["messages"]
        assert name in [message["id"] for message in messages]
        await until(stream, row_is("messages", role="assistant", in_reply_to=[name]))
    messages = (await server.client.get("/api/messages")).json()["messages"]
    assert [message["in_reply_to"] for message in messages if message["role"] == "assistant"] == [[name]]
    assert messages[-1]["reply"] == messages[0]["id"]


@pytest.mark.req("API-1")
@pytest.mark.req("PJ-1")
async def test_an_answer_waits_for_the_read_model_but_not_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was answered reads what they wrote; a read model that is stuck holds nobody up for long."""
    gate, catch_up = trio.Event(), Follower.catch_up

    async def held_up(follower: Follower) -> None:
        await gate.wait()
        await catch_up(follower)

    monkeypatch.setattr(Follower, "catch_up", held_up)
    monkeypatch.setattr(context, "SHOWN_TIMEOUT_S", 0.3)
    before = trio.current_time()
    assert (await server.client.post("/api/input", json={"text": "held up"})).status_code == 202
    assert trio.current_time() - before >= 0.3
    assert (await server.client.get("/api/messages")).json()["messages"] == []
    monkeypatch.setattr(context, "SHOWN_TIMEOUT_S", PATIENCE_S)
    gate.set()
    assert (await server.client.post("/api/input", json={"text": "shown"})).status_code == 202
    rows = (await server.client.get("/api/messages")).json()["messages"]
    assert [row["text"] for row in rows if row["role"] == "user"] == ["shown", "held up"]


@pytest.mark.req("API-1")
@pytest.mark.req("JR-4")
async def test_a_key_gives_the_same_answer_and_another_payload_is_refused(server: Server) -> None:
    """The same input twice is one input; the same key for something else is a conflict."""
    body = {"text": "hello", "key": "k1"}
    first, again = [await server.client.post("/api/input", json=body) for _ in range(2)]
    assert first.json() == again.json()
    other = await server.client.post("/api/input", json={"text": "other", "key": "k1"})
    assert problem(other) == (409, "key_reused")
    messages = (await server.client.get("/api/messages")).json()["messages"]
    assert [message["text"] for message in messages if message["role"] == "user"] == ["hello"]


@pytest.mark.req("API-1")
async def test_a_task_runs_and_shows_its_outcome(server: Server) -> None:
    """From 202 to its output; the list has it without."""
    body = {"title": "greet", "command": ["sh", "-c", "echo out; echo err >&2; exit 3"]}
    response = await server.client.post("/api/tasks", json=body)
    assert response.status_code == 202
    task = response.json()["id"]
    assert response.headers["location"] == f"/api/tasks/{task}"
    detail = (await ended(server, task)).json()
    assert (detail["status"], detail["exit_code"], detail["attempts"]) == ("failed", 3, 1)
    assert detail["output"]["text"] == "out\nerr\n"
    (row,) = (await server.client.get("/api/tasks")).json()["tasks"]
    assert "output" not in row
    assert (row["id"], row["title"], row["excerpt"]) == (task, "greet", "out\nerr\n")


@pytest.mark.req("API-1")
@pytest.mark.req("WK-2")
async def test_a_running_task_is_canceled(server: Server) -> None:
    """Accepted at once, `canceled` when its process has ended; a second cancel changes nothing."""
    body = {"title": "wait", "command": ["sleep", "1000"]}
    task = (await server.client.post("/api/tasks", json=body)).json()["id"]
    response = await server.client.post(f"/api/tasks/{task}/cancel")
    assert (response.status_code, response.json()["id"]) == (202, task)
    assert (await ended(server, task)).json()["status"] == "canceled"


@pytest.mark.req("API-1")
async def test_lists_are_paged_newest_first_and_filtered(server: Server) -> None:
    """`next` leads on while there is more; an unknown cursor and a bad limit are refused."""
    for number in range(5):
        body = {"title": f"t{number}", "command": ["true"]}
        assert (await server.client.post("/api/tasks", json=body)).status_code == 202
    start = (await server.client.get("/api/tasks", params={"limit": 3})).json()
    rest = (await server.client.get("/api/tasks", params={"limit": 3, "cursor": start["next"]})).json()
    assert [row["title"] for row in start["tasks"] + rest["tasks"]] == ["t4", "t3", "t2", "t1", "t0"]
    assert rest["next"] is None
    none = (await server.client.get("/api/tasks", params={"status": "canceled"})).json()
    assert none == {"tasks": [], "next": None}
    assert problem(await server.client.get("/api/tasks", params={"cursor": "nope"})) == (400, "bad_cursor")
    for limit in ("0", "501", "x"):
        response = await server.client.get("/api/tasks", params={"limit": limit})
        assert problem(response) == (422, "invalid_request")


@pytest.mark.req("API-1")
@pytest.mark.req("CR-1")
async def test_schedules_are_made_changed_and_removed(server: Server) -> None:
    """By the same rules as those that the manager makes."""
    body = {"title": "hourly", "cron": "0 * * * *", "timezone": "Europe/Zurich", "command": ["date"]}
    response = await server.client.post("/api/schedules", json=body)
    assert response.status_code == 202
    name = response.json()["id"]
    (row,) = (await server.client.get("/api/schedules")).json()["schedules"]
    assert (row["id"], row["timezone"], row["next_at"]) == (name, "Europe/Zurich", response.json()["next_at"])
    assert (await server.client.post(f"/api/schedules/{name}/disable")).status_code == 202
    (row,) = (await server.client.get("/api/schedules")).json()["schedules"]
    assert (row["status"], row["next_at"]) == ("disabled", None)
    assert (await server.client.post(f"/api/schedules/{name}/remove")).status_code == 202
    assert (await server.client.get("/api/schedules")).json()["schedules"] == []
    bad = await server.client.post("/api/schedules", json={**body, "cron": "61 * * * *"})
    assert problem(bad) == (422, "bad_schedule")


@pytest.mark.req("CR-3")
async def test_a_schedules_policies_are_taken_and_shown(server: Server) -> None:
    """With its next runs in its zone: those of a list, and of one schedule."""
    policies = {
        "misfire": "all",
        "misfire_limit": 3,
        "misfire_grace_s": 5.0,
        "overlap": "forbid",
        "jitter_s": 30.0,
        "wake": "always",
        "queue": "reports",
        "priority": 7,
        "workspace": "reports",
    }
    body = {"title": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Zurich", "command": ["date"]}
    made = (await server.client.post("/api/schedules", json=body | policies)).json()
    shown = (await server.client.get(f"/api/schedules/{made['id']}?runs=2")).json()
    assert {name: shown[name] for name in policies} == policies
    assert shown["next_runs"][0] == made["next_at"]
    assert len(shown["next_runs"]) == 2
    assert (shown["missed"], shown["skipped"]) == (0, None)
    listed = (await server.client.get("/api/schedules?runs=2")).json()["schedules"]
    assert shown in listed
    assert problem(await server.client.get("/api/schedules/sched-99")) == (404, "not_found")
    unknown = {"executor": "python", "function": "f", "arguments": {"a": 1}}
    refused = await server.client.post("/api/schedules", json=body | unknown)
    assert problem(refused) == (422, "unknown_function")
    refused = await server.client.post("/api/schedules", json=body | {"workspace": "../state"})
    assert problem(refused) == (422, "bad_workspace")
    spoken = {"title": "stretch", "cron": "0 * * * *", "kind": "reminder"}
    assert (await server.client.post("/api/schedules", json=spoken)).json()["id"] == "sched-2"


@pytest.mark.req("CR-1")
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"cron": "61 * * * *"}, "whose minute is 0 to 59, got '61'"),
        ({"cron": "0 25 * * *"}, "whose hour is 0 to 23, got '25'"),
        ({"cron": "0 0 30 2 *"}, "due some day"),
        ({"timezone": "Mars/Base"}, "expected an IANA time zone"),
        ({"cron": None, "at": "2020-01-01T00:00"}, "expected a time to come"),
        ({"jitter_s": -1}, "body.jitter_s"),
        ({"misfire_grace_s": 0}, "body.misfire_grace_s"),
        ({"misfire_limit": -5}, "body.misfire_limit"),
        ({"timeout_s": -1}, "body.timeout_s"),
        ({"overlap": "never"}, "body.overlap"),
    ],
)
async def test_a_bad_schedule_is_refused_and_says_what_is_wrong(
    server: Server, change: dict[str, object], text: str
) -> None:
    """When it is made, not when it is due."""
    body: dict[str, object] = {"title": "t", "cron": "* * * * *", "command": ["date"], **change}
    response = await server.client.post("/api/schedules", json=body)
    assert response.status_code == 422
    assert text in response.text


@pytest.mark.req("API-1")
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/input", {}, "body.text"),
        ("/api/input", {"text": ""}, "body.text"),
        ("/api/input", {"text": "   "}, ""),
        ("/api/input", {"text": "x", "txet": "y"}, "body.txet"),
        ("/api/input", {"text": "x" * 200_001}, "body.text"),
        ("/api/input", {"text": "x", "key": ""}, "body.key"),
        ("/api/input", ["x"], "body"),
        ("/api/tasks", {"title": "t"}, "body"),
        ("/api/tasks", {"title": "t", "command": []}, "body"),
        ("/api/tasks", {"title": "t", "command": "rm -rf /"}, "body.command"),
        ("/api/tasks", {"title": "t", "command": ["a\0b"]}, "body.command.0"),
        ("/api/tasks", {"title": "t", "command": ["x"], "timeout_s": 0}, "body.timeout_s"),
        ("/api/schedules", {"title": "t", "command": ["x"]}, "body"),
        (
            "/api/schedules",
            {"title": "t", "command": ["x"], "cron": "* * * * *", "at": "2030-01-01T00:00"},
            "body",
        ),
    ],
)
async def test_invalid_bodies_are_refused_and_name_the_field(
    server: Server, path: str, body: object, field: str
) -> None:
    """Nothing happens, and the answer says where and what."""
    response = await server.client.post(path, json=body)
    assert problem(response)[0] == 422
    if field:
        assert field in [entry["field"] for entry in response.json()["errors"]]
    assert (await server.client.get("/api/messages")).json()["messages"] == []
    assert (await server.client.get("/api/tasks")).json()["tasks"] == []


@pytest.mark.req("API-1")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", (400, "bad_json")),
        (b'{"text": "\xff"}', (400, "bad_request")),
        (b'{"text": "\\ud800"}', (422, "invalid_request")),
        (b'{"text": ' + b"[" * 100_000 + b"}", (400, "bad_request")),
        (b"x" * (1 << 20) + b"x", (413, "body_too_large")),
    ],
)
async def test_bodies_that_do_not_parse_are_refused(
    server: Server, content: bytes, expected: tuple[int, str]
) -> None:
    """Each with its own code, and the server lives on."""
    headers = {"Content-Type": "application/json"}
    response = await server.client.post("/api/input", content=content, headers=headers)
    assert problem(response) == expected
    assert (await server.client.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.req("API-1")
async def test_unknown_paths_ids_and_methods_are_problems_too(server: Server) -> None:
    """Whatever answers them."""
    client = server.client
    assert problem(await client.get("/nope")) == (404, "not_found")
    assert problem(await client.get("/static/nope.js")) == (404, "not_found")
    assert problem(await client.get("/static/../app.py")) == (404, "not_found")
    assert problem(await client.get("/api/tasks/task-99")) == (404, "not_found")
    assert problem(await client.post("/api/tasks/task-99/cancel")) == (404, "not_found")
    assert problem(await client.post("/api/schedules/sched-99/remove")) == (404, "not_found")
    assert problem(await client.post("/api/resume", json={"actor": "manager"})) == (404, "not_found")
    response = await client.delete("/api/input")
    assert problem(response) == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.req("API-1")
async def test_a_form_of_another_site_and_a_rebound_name_are_refused(server: Server) -> None:
    """From the first day: this API runs commands."""
    evil = {"Origin": "http://evil.example"}
    body = {"title": "t", "command": ["true"]}
    assert problem(await server.client.post("/api/tasks", json=body, headers=evil)) == (403, "bad_origin")
    rebound = {"Host": "evil.example:80"}
    assert problem(await server.client.get("/api/tasks", headers=rebound)) == (403, "bad_host")
    form = await server.client.post("/api/tasks", data={"title": "t"})
    assert problem(form) == (415, "not_json")
    assert (await server.client.get("/api/tasks")).json()["tasks"] == []


@pytest.mark.req("PJ-2")
@pytest.mark.req("API-1")
async def test_the_stream_resumes_where_it_was_left_without_gap_or_repetition(server: Server) -> None:
    """Ids count up by one across both connections, and the copy they make equals a fresh snapshot."""
    async with events(server.url) as stream:
        snapshot = await first(stream)
        await server.client.post("/api/input", json={"text": "one"})
        begun = await until(stream, row_is("messages", role="assistant"))
    for text in ("two", "three"):
        await server.client.post("/api/input", json={"text": text})
    async with events(server.url, begun[-1].id) as stream:
        rest = await until(stream, row_is("manager", waiting=0, run=None))
        while sum(event.data["table"] == "messages" for event in begun + rest) < 9:
            rest += await until(stream, row_is("messages"))
    epoch, start = snapshot.id.split("-")
    offsets = [int(event.id.removeprefix(f"{epoch}-")) for event in begun + rest]
    assert offsets == list(range(int(start) + 1, int(start) + 1 + len(offsets)))
    copy = {
        event.data["id"]: event.data["row"] for event in begun + rest if event.data["table"] == "messages"
    }
    async with events(server.url) as stream:
        fresh = await first(stream)
    assert copy == {row["id"]: row for row in fresh.data["messages"]}


@pytest.mark.req("PJ-2")
async def test_an_id_of_before_a_restart_gets_a_fresh_snapshot(tmp_path: Path) -> None:
    """Another epoch: the numbers of the old one mean nothing."""
    async with serving(tmp_path) as server, events(server.url) as stream:
        await server.client.post("/api/input", json={"text": "one"})
        last = (await until(stream, row_is("messages", role="assistant")))[-1]
    async with serving(tmp_path) as server, events(server.url, last.id) as stream:
        snapshot = await first(stream)
        assert snapshot.event == "snapshot"
        assert [row["text"] for row in snapshot.data["messages"] if row["role"] == "user"] == ["one"]


async def read_to_the_end(url: str, task_status: trio.TaskStatus[None]) -> None:
    """Read the event stream until the server ends it."""
    async with events(url) as stream:
        await first(stream)
        task_status.started()
        assert await stream.next() is None


@pytest.mark.req("RT-9")
async def test_open_streams_do_not_hold_up_the_shutdown(tmp_path: Path) -> None:
    """They are ended first; alone they would hold it up for its whole grace."""
    async with trio.open_nursery() as nursery:
        async with serving(tmp_path) as server:
            await nursery.start(read_to_the_end, server.url)
            before = trio.current_time()
        took_s = trio.current_time() - before
    assert took_s < GRACE_S


@pytest.mark.req("API-1")
async def test_the_document_describes_every_route_and_its_problems(server: Server) -> None:
    """OpenAPI: with the statuses and shapes that really come."""
    document = (await server.client.get("/openapi.json")).json()
    assert {
        "/api/input", "/api/tasks", "/api/tasks/{task_id}", "/api/tasks/{task_id}/cancel", "/api/messages",
        "/api/schedules", "/api/actors", "/api/status", "/api/events", "/healthz", "/api/resume",
    } <= set(document["paths"])  # fmt: skip
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation["responses"]["default"]["content"]
            assert list(content) == ["application/problem+json"], (path, method)
            assert "422" not in operation["responses"]
            assert operation["summary"]
    assert set(document["components"]["schemas"]["Problem"]["required"]) == {
        "title",
        "status",
        "detail",
        "code",
    }
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    assert document["paths"]["/api/input"]["post"]["responses"].keys() == {"202", "default"}


@pytest.mark.req("API-1")
async def test_the_reference_page_names_every_route_and_every_field_of_its_body(server: Server) -> None:
    """docs/reference/http-api.md, a row a route."""
    document = (await server.client.get("/openapi.json")).json()
    rows = [NAMED.sub("{}", row) for row in PAGE.read_text().splitlines() if row.startswith("| `")]
    lacking: list[str] = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            route = f"{method.upper()} {NAMED.sub('{}', path)}"
            row = next((row for row in rows if re.match(rf"\| `{re.escape(route)}[`?]", row)), None)
            fields = body_fields(document, operation) if row is not None else []
            lacking += [route] if row is None else []
            lacking += [f"{route}: {name}" for name in fields if f'"{name}"' not in str(row)]
    assert lacking == []


def body_fields(document: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    """The names of what an operation's body may hold; none when it takes none."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    references = re.findall(r"#/components/schemas/(\w+)", json.dumps(content))
    return [name for one in references for name in document["components"]["schemas"][one]["properties"]]


@pytest.mark.req("RT-8")
@pytest.mark.req("API-1")
async def test_actors_and_status_show_the_cast(server: Server) -> None:
    """Each with its supervisor, phase, mailbox and restarts."""
    actors = (await server.client.get("/api/actors")).json()["actors"]
    by_name = {actor["name"]: actor for actor in actors}
    assert {"manager", "workers", "cron", "notifier", "projection", "cast"} <= set(by_name)
    assert by_name["manager"]["parent"] == "cast"
    assert {(actor["phase"], actor["restarts"]) for actor in actors} == {("running", 0)}
    threads_left(server.system)["task-7/1"] = None
    status = (await server.client.get("/api/status")).json()
    assert status["abandoned_threads"] == ["task-7/1"]
    assert (status["state"], status["halted"], status["dead_letters"]) == ("ok", [], 0)
    assert status["manager"]["run"] is None


@pytest.mark.req("JR-8")
@pytest.mark.req("API-1")
async def test_a_full_disk_halts_is_said_and_resumed(tmp_path: Path) -> None:
    """503 `actor_halted` with what to do; reading goes on; `resume` after the disk has room again."""
    files = FaultyFiles(tmp_path)
    async with serving(tmp_path / "home", files) as server:
        for operation in ("write", "make"):
            files.fail(operation, error=errno.ENOSPC, times=None)
        lost = await server.client.post("/api/input", json={"text": "lost", "key": "k"})
        assert problem(lost)[0] == 503
        refused = await server.client.post("/api/input", json={"text": "refused"})
        assert problem(refused) == (503, "actor_halted")
        assert "resume" in refused.json()["detail"]
        assert refused.headers["retry-after"]
        health = await server.client.get("/healthz")
        assert (health.status_code, health.json()["status"]) == (503, "halted")
        assert "manager: OSError" in health.json()["reason"]
        assert (await server.client.get("/api/messages")).json()["messages"] == []
        (halt,) = [
            entry
            for entry in (await server.client.get("/api/status")).json()["halted"]
            if entry["actor"] == "manager"
        ]
        assert halt["advice"]
        assert problem(await server.client.post("/api/resume")) == (503, "actor_halted")
        files.heal()
        resumed = await server.client.post("/api/resume")
        assert "manager" in resumed.json()["resumed"]
        again = await server.client.post("/api/input", json={"text": "lost", "key": "k"})
        assert again.status_code == 202
        assert (await server.client.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.req("API-1")
async def test_only_free_loopback_addresses_are_served(server: Server) -> None:
    """Anything else is refused before a socket is open."""
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(NotLoopback, match="SSH"):
        await serve_http(server.system, "0.0.0.0", 0)  # noqa: S104 - refused
    with pytest.raises(AddressUnusable, match="in use"):
        await serve_http(server.system, "127.0.0.1", port)
    with pytest.raises(AddressUnusable):
        await serve_http(server.system, "localhost", 70_000)


@pytest.mark.req("API-1")
async def test_without_the_projection_reading_says_so_and_writing_works(server: Server) -> None:
    """A viewer's trouble is not the work's."""
    await server.system.stop("projection")
    assert problem(await server.client.get("/api/messages")) == (503, "projection_unavailable")
    status = (await server.client.get("/api/status")).json()
    assert (status["state"], status["read_model"], status["messages"]) == ("ok", "away", 0)
    assert (await server.client.post("/api/input", json={"text": "hello"})).status_code == 202
    assert (await server.client.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.req("PJ-1")
@pytest.mark.req("RT-6")
async def test_a_fault_in_the_read_model_does_not_end_the_work(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails, and comes back when it can; nobody else notices, and it costs no restart intensity."""
    failures = 0

    async def fail(_: Follower) -> None:
        nonlocal failures
        failures += 1
        if failures == 2:
            monkeypatch.undo()
        raise RuntimeError("a bug")

    monkeypatch.setattr(Follower, "catch_up", fail)
    for number in range(3):
        assert (await server.client.post("/api/input", json={"text": f"{number}"})).status_code == 202
    while (response := await server.client.get("/api/messages")).status_code == 503 or failures < 2:
        await trio.lowlevel.checkpoint()
    rows = response.json()["messages"]
    assert [row["text"] for row in rows if row["role"] == "user"] == ["2", "1", "0"]
    assert server.system.cell("manager").restarts == 0
    assert [role.outages for role in CAST if role.name == "projection"] == [(FollowingFailed,)]


@pytest.mark.req("API-1")
async def test_an_unexpected_error_is_a_problem_that_tells_nothing_of_the_inside(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the details, the answer a code; the server lives on."""

    def fail(_: Context) -> Feed:
        raise RuntimeError("a secret")

    monkeypatch.setattr(Context, "feed", property(fail))
    response = await server.client.get("/api/messages")
    assert problem(response) == (500, "internal_error")
    assert "secret" not in response.text
    assert "a secret" in caplog.text
    assert (await server.client.get("/healthz")).status_code == 200


@pytest.mark.req("PJ-2")
async def test_under_load_and_reconnects_no_event_is_missed_or_doubled(server: Server) -> None:
    """A client that comes and goes while inputs pour in sees every number once, and every reply."""

    async def pour() -> None:
        for number in range(60):
            body = {"text": f"/run echo {number}" if number % 3 == 0 else f"say {number}"}
            assert (await server.client.post("/api/input", json=body)).status_code == 202

    seen: list[Event] = []
    last, answered = "", set[str]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pour)
        while len(answered) < 60:
            async with events(server.url, last) as stream:
                for _ in range(40):
                    event = await first(stream)
                    seen.append(event)
                    last = event.id
                    if event.event == "change" and event.data["table"] == "messages":
                        answered.update(event.data["row"]["in_reply_to"])
                    if len(answered) == 60:
                        break
    assert [event.event for event in seen].count("snapshot") == 1
    epoch, start = seen[0].id.split("-")
    assert [event.id for event in seen] == [f"{epoch}-{int(start) + place}" for place in range(len(seen))]


@pytest.mark.req("UI-1")
async def test_the_page_and_its_files_are_served(server: Server) -> None:
    """With types that browsers insist on."""
    page = await server.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    for name, kind in (("app.js", "javascript"), ("style.css", "css"), ("icon.svg", "svg")):
        response = await server.client.get(f"/static/{name}")
        assert (response.status_code, kind in response.headers["content-type"]) == (200, True)


@pytest.mark.req("PJ-2")
@pytest.mark.req("RT-9")
@pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone can bound a write that is stuck"
)
async def test_a_client_that_never_reads_holds_up_neither_the_others_nor_the_shutdown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection's buffers fill; what it misses is dropped, and its connection is cut off."""
    monkeypatch.setattr(webserver, "STUCK_MS", 500)
    large = Change(table="manager", id="manager", row=ManagerRow(error="x" * 100_000))
    with trio.fail_after(30):
        async with AsyncExitStack() as beyond:
            async with serving(tmp_path) as server:
                await beyond.enter_async_context(events(server.url))  # open until after the shutdown
                feed = feed_of(server.system)
                async with events(server.url) as reader:
                    await first(reader)
                    for _ in range(100):
                        feed.publish([large])
                        assert (await first(reader)).data["row"]["error"]
                assert (await server.client.post("/api/input", json={"text": "hello"})).status_code == 202
                before = trio.current_time()
            assert trio.current_time() - before < 10


@pytest.mark.req("PJ-2")
async def test_a_slow_reader_is_told_lagged_and_misses_nothing_when_it_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The buffers of its connection fill, the server goes on; with its last id it gets all the rest."""

    def listening(host: str, port: int) -> socket.socket:
        found = _listening(host, port)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # accepted connections inherit it
        return found

    monkeypatch.setattr(webserver, "_listening", listening)
    monkeypatch.setattr(webserver, "STUCK_MS", 60_000)
    monkeypatch.setattr(feeds, "KEPT_CHANGES", 20)
    texts = [f"{number} {'x' * 20_000}" for number in range(40)]
    async with serving(tmp_path) as server, events(server.url, buffer_bytes=4096) as slow:
        begin = await first(slow)
        for text in texts:
            assert (await server.client.post("/api/input", json={"text": text})).status_code == 202
        feed = feed_of(server.system)
        seen = [event async for event in rest_of(slow)]

        assert [event.event for event in seen] == ["change"] * (len(seen) - 1) + ["lagged"]
        assert f"expected an event id from {feed.epoch}-" in seen[-1].data["reason"]
        epoch, start = begin.id.split("-")
        ids = [event.id for event in [begin, *seen[:-1]]]
        assert ids == [f"{epoch}-{int(start) + place}" for place in range(len(ids))]
        assert len(ids) < feed.offset - feeds.KEPT_CHANGES

        async with events(server.url, ids[-1]) as again:
            fresh = await first(again)
            assert fresh.event == "snapshot"
            await server.client.post("/api/input", json={"text": "afterwards"})
            after = await until(again, row_is("messages", role="user", text="afterwards"))
        changed = [event.data["row"] for event in after if event.data["table"] == "messages"]
        said = {row["text"] for row in fresh.data["messages"] + changed if row["role"] == "user"}
        assert said == {*texts, "afterwards"}
        epoch, start = fresh.id.split("-")
        assert [event.id for event in after] == [f"{epoch}-{int(start) + 1 + n}" for n in range(len(after))]
