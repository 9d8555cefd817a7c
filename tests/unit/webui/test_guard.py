"""The door: what is refused before anything behind it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio
import trio.testing
from starlette.responses import PlainTextResponse

from understudy.webui import guard
from understudy.webui.guard import DRAINED_BYTES, MAX_BODY_BYTES, Guard, is_loopback

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

HOST = "127.0.0.1:8000"
URL = f"http://{HOST}"
Headers = dict[str, str]
JSON: Headers = {"content-type": "application/json"}


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """What the guard protects: it says how long the body is that it got."""
    body = (await receive()).get("body", b"") if scope["method"] == "POST" else b""
    await PlainTextResponse(f"{len(body)}")(scope, receive, send)


async def call(scope: dict[str, object], events: list[Message], *, hang: bool = False) -> list[Message]:
    """What the guard sends when it receives `events`, and then nothing more."""
    sent: list[Message] = []
    waiting = list(events)

    async def receive() -> Message:
        if not waiting and hang:
            await trio.sleep_forever()
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await Guard(behind)(scope, receive, send)
    return sent


def head(method: str, path: str, headers: list[tuple[str, str]]) -> dict[str, object]:
    """The scope of a request to our port."""
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    server = ("127.0.0.1", 8000)
    return {"type": "http", "method": method, "path": path, "headers": encoded, "server": server}


async def asked(
    method: str = "GET", path: str = "/api/tasks", content: bytes = b"", headers: Headers | None = None
) -> httpx.Response:
    """The answer to one request; it names our own host unless `headers` name one."""
    named = list((headers or {}).items())
    if "host" not in (headers or {}):
        named.append(("host", HOST))
    if content:
        named.append(("content-length", str(len(content))))
    sent = await call(head(method, path, named), [{"type": "http.request", "body": content}])
    return answer(sent)


def answer(sent: list[Message]) -> httpx.Response:
    """The response that the guard sent."""
    body = b"".join(message["body"] for message in sent[1:])
    return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=body)


def code_of(response: httpx.Response) -> str:
    """The problem's code."""
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert {"title", "status", "detail", "code"} <= set(found)
    assert found["status"] == response.status_code
    return found["code"]


@pytest.mark.req("API-1")
@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST:8000", "[::1]:8000", "127.1.2.3:8000"]
)
async def test_loopback_hosts_with_our_port_pass(host: str) -> None:
    """However the machine's own address is written."""
    assert (await asked(headers={"host": host})).status_code == 200


@pytest.mark.req("API-1")
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1",
        "127.0.0.1:8001",
        "127.0.0.1.evil.example:8000",
        "localhost.evil.example:8000",
        "evil@127.0.0.1:8000",
        "192.168.1.2:8000",
        "0.0.0.0:8000",
        "127.0.0.1:8000/x",
        "127.0.0.1:port",
        "[::1:8000",
        "",
    ],
)
async def test_other_hosts_are_refused(host: str) -> None:
    """DNS rebinding: another site's name that resolves to this machine."""
    response = await asked(headers={"host": host})
    assert (response.status_code, code_of(response)) == (403, "bad_host")


@pytest.mark.req("API-1")
async def test_two_hosts_are_refused() -> None:
    """Which of them counts would be a matter of taste."""
    twice = [("host", HOST), ("host", "evil.example")]
    response = answer(await call(head("GET", "/", twice), []))
    assert code_of(response) == "bad_host"


@pytest.mark.req("API-1")
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:8000", "http://127.0.0.1:9000", ""]
)
async def test_other_origins_are_refused(origin: str) -> None:
    """Cross-site requests: a page of another site, a sandboxed one, another local server's."""
    response = await asked("POST", content=b"{}", headers={**JSON, "origin": origin})
    assert (response.status_code, code_of(response)) == (403, "bad_origin")


@pytest.mark.req("API-1")
async def test_our_own_origin_passes() -> None:
    """The page's own requests."""
    response = await asked("POST", content=b"{}", headers={**JSON, "origin": URL})
    assert (response.status_code, response.text) == (200, "2")


@pytest.mark.req("API-1")
@pytest.mark.parametrize("site", ["cross-site", "same-site", "something new"])
async def test_requests_that_the_browser_calls_foreign_are_refused(site: str) -> None:
    """Also those without an Origin: images, scripts, forms that only read."""
    response = await asked(headers={"sec-fetch-site": site})
    assert (response.status_code, code_of(response)) == (403, "cross_site")


@pytest.mark.req("API-1")
async def test_a_link_may_lead_to_the_page_but_not_to_the_api() -> None:
    """Following a link is what people do; it cannot be framed and changes nothing."""
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert (await asked(path="/", headers=visit)).status_code == 200
    assert code_of(await asked(path="/api/tasks", headers=visit)) == "cross_site"
    assert code_of(await asked("POST", "/", headers=visit)) == "cross_site"
    assert code_of(await asked(path="/", headers=visit | {"sec-fetch-dest": "iframe"})) == "cross_site"


@pytest.mark.req("API-1")
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
async def test_bodies_that_are_not_json_are_refused(kind: str | None) -> None:
    """A form of another site can send these without asking first."""
    more = {} if kind is None else {"content-type": kind}
    response = await asked("POST", content=b'{"text": "x"}', headers=more)
    assert (response.status_code, code_of(response)) == (415, "not_json")


async def test_an_empty_post_needs_no_type_and_a_charset_is_fine() -> None:
    """`POST /api/tasks/{id}/cancel` has nothing to say."""
    assert (await asked("POST")).status_code == 200
    json = await asked("POST", content=b"{}", headers={"content-type": "application/json; charset=utf-8"})
    assert json.status_code == 200


@pytest.mark.req("API-1")
async def test_a_body_of_a_mebibyte_passes_and_a_byte_more_does_not() -> None:
    """The bound itself is allowed."""
    fits = await asked("POST", content=b"x" * MAX_BODY_BYTES, headers=JSON)
    assert fits.text == str(MAX_BODY_BYTES)
    larger = await asked("POST", content=b"x" * (MAX_BODY_BYTES + 1), headers=JSON)
    assert (larger.status_code, code_of(larger)) == (413, "body_too_large")


@pytest.mark.req("API-1")
async def test_a_large_body_of_unknown_length_is_cut_off() -> None:
    """Chunks are counted as they come; nobody keeps more than the bound."""
    part = {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}
    sent = await call(head("POST", "/api/input", JSON_HEAD), [part] * 9)  # a tenth would be an error
    assert code_of(answer(sent)) == "body_too_large"
    announced = [*JSON_HEAD, ("content-length", str(DRAINED_BYTES + 1))]
    assert code_of(answer(await call(head("POST", "/", announced), []))) == "body_too_large"


JSON_HEAD = [("host", HOST), ("content-type", "application/json")]


async def test_a_body_that_stops_coming_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever is slower than half a minute keeps nothing busy."""
    part = {"type": "http.request", "body": b"{", "more_body": True}
    sent = await call(head("POST", "/", JSON_HEAD), [part], hang=True)
    assert sent[0]["status"] == 408
    assert trio.current_time() >= guard.BODY_TIMEOUT_S


async def test_a_body_that_is_cut_off_is_not_passed_on() -> None:
    """Half a body might parse."""
    part = {"type": "http.request", "body": b"{}", "more_body": True}
    sent = await call(head("POST", "/", JSON_HEAD), [part, {"type": "http.disconnect"}])
    assert sent[0]["status"] == 400


async def test_websockets_are_closed() -> None:
    """There are none, and they know no same-origin rule."""
    sent = await call({"type": "websocket"}, [{"type": "websocket.connect"}])
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_every_answer_forbids_framing_and_foreign_content() -> None:
    """Refusals too."""
    for response in (await asked(), await asked(headers={"host": "evil.example"})):
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("::", False),
        ("example", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Names other than localhost are not looked up: what they mean can change."""
    assert is_loopback(host) is expected
