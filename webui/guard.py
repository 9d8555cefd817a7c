"""The door: who may talk to this server at all. It runs shell commands, so it is strict.

A page of another site can make the reader's browser send requests to loopback (cross-site requests),
and can have its own name resolve to 127.0.0.1 and so pass for the same site (DNS rebinding). The
first is refused by `Origin` and `Sec-Fetch-Site` and by taking JSON bodies only (a browser asks before
it sends those, and no answer allows them); the second by `Host`. A body is read here, whole and bounded,
before anything behind the door runs.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

from understudy.webui.problems import problem, response_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from understudy.webui.problems import Problem

MAX_BODY_BYTES = 1 << 20
DRAINED_BYTES = 8 << 20
"""So much of a body that is too large is read and dropped: who still writes does not read the answer."""
BODY_TIMEOUT_S = 30.0
HTTP_PORT = 80
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_OURS = frozenset({"same-origin", "none"})
HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address without a port, can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware: refuses what does not come from this machine's own page or a plain client."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it with a problem."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
            return
        refusal = _refusal(scope)
        if refusal is None and scope["method"] in _WITH_BODY:
            body = await _body(scope, receive)
            if isinstance(body, bytes) and body and not _values(scope, b"content-type"):
                refusal = _not_json("none")
            elif isinstance(body, bytes):
                receive = _replayed(body, receive)
            else:
                refusal = body
        if refusal is not None:
            await response_of(refusal)(scope, receive, _with_headers(send))
            return
        await self._app(scope, receive, _with_headers(send))


def _refusal(scope: Scope) -> Problem | None:
    """Why the head of this request is refused; None when it is not."""
    hosts = _values(scope, b"host")
    port: int = scope["server"][1]
    if len(hosts) != 1 or not _is_ours(hosts[0], port):
        detail = f"expected Host to be a loopback address with port {port}, got {', '.join(hosts) or 'none'}"
        return problem(403, "bad_host", detail)
    origins = _values(scope, b"origin")
    if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
        return problem(
            403, "bad_origin", f"expected requests of our own page, got Origin {', '.join(origins)}"
        )
    sites = _values(scope, b"sec-fetch-site")
    if not _OURS.issuperset(sites) and not _is_visit(scope):
        return problem(
            403, "cross_site", f"expected requests of our own page, got one that is {', '.join(sites)}"
        )
    if scope["method"] in _WITH_BODY:
        return _body_refusal(scope)
    return None


def _is_ours(host: str, port: int) -> bool:
    """Whether a Host header names loopback and this server's port."""
    try:
        parts = urlsplit(f"//{host}")
        named = parts.port or HTTP_PORT
    except ValueError:
        return False
    bare = parts.netloc == host and "@" not in host and parts.path == ""
    return bare and named == port and is_loopback(parts.hostname or "")


def _is_visit(scope: Scope) -> bool:
    """A link that is followed to the page itself is harmless: it can't be framed and changes nothing."""
    visit = scope["method"] == "GET" and _values(scope, b"sec-fetch-mode") == ["navigate"]
    return (
        visit and _values(scope, b"sec-fetch-dest") == ["document"] and not scope["path"].startswith("/api")
    )


def _body_refusal(scope: Scope) -> Problem | None:
    types = _values(scope, b"content-type")
    plain = [value.partition(";")[0].strip().lower() for value in types]
    if plain not in ([], ["application/json"]):
        return _not_json(", ".join(types))
    lengths = _values(scope, b"content-length")
    if any(value.isdigit() and int(value) > DRAINED_BYTES for value in lengths):
        return _too_large()
    return None


async def _body(scope: Scope, receive: Receive) -> bytes | Problem:
    """The whole body, or why it is not taken."""
    received, size = bytearray(), 0
    with trio.move_on_after(BODY_TIMEOUT_S):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return problem(400, "body_cut_off", "expected the whole body, got its beginning only")
            size += len(message.get("body", b""))
            if size <= MAX_BODY_BYTES:
                received += message.get("body", b"")
            if size > DRAINED_BYTES or not message.get("more_body", False):
                return bytes(received) if size <= MAX_BODY_BYTES else _too_large()
    return problem(
        408, "body_too_slow", f"expected the whole body within {BODY_TIMEOUT_S:.0f} s of {scope['path']}"
    )


def _not_json(found: str) -> Problem:
    return problem(415, "not_json", f"expected Content-Type: application/json, got {found}")


def _too_large() -> Problem:
    return problem(
        413, "body_too_large", f"expected a body of at most {MAX_BODY_BYTES} bytes, got a larger one"
    )


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives `body` once, then whatever comes (the disconnect)."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), *HEADERS]
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-cache"))
            message = {**message, "headers": headers}
        await send(message)

    return send_with_headers


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
