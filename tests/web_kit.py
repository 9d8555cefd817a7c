"""A whole server in the test's own loop: the cast, the API, and clients that talk to it over TCP."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import h11
import httpx
import trio

from understudy.actors.cast import CastConfig, start_cast
from understudy.supervision.system import ActorSystem
from understudy.webui.server import serve_http

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from understudy.supervision.files import Files

PATIENCE_S = 10.0
"""Bound of every wait; reached only where something is wrong."""
CONFIG = CastConfig(timezone="UTC", grace_s=0.2, concurrency=2)


class Server(NamedTuple):
    """A server that runs, and a client of it."""

    system: ActorSystem
    client: httpx.AsyncClient
    url: str


class Event(NamedTuple):
    """A server-sent event."""

    id: str
    event: str
    data: Any


@asynccontextmanager
async def serving(home: Path, files: Files | None = None) -> AsyncGenerator[Server]:
    """The whole cast behind the API, on a free port."""
    with trio.fail_after(6 * PATIENCE_S):
        async with ActorSystem(home, files=files) as system:
            await start_cast(system, CONFIG)
            async with trio.open_nursery() as nursery:
                url = await nursery.start(partial(serve_http, system, "127.0.0.1", 0))
                async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client:
                    yield Server(system, client, url)
                nursery.cancel_scope.cancel()


class EventStream:
    """Reads the event stream of one connection. httpx does not like to be left in the middle."""

    def __init__(self, stream: trio.SocketStream, connection: h11.Connection) -> None:
        self._stream = stream
        self._connection = connection
        self._rest = b""

    async def next(self) -> Event | None:
        """The next event; None when the server has ended the stream."""
        with trio.fail_after(PATIENCE_S):
            while True:
                block, found, rest = self._rest.partition(b"\n\n")
                if found:
                    self._rest = rest
                    if (event := _parsed(block.decode())) is not None:
                        return event
                elif not await self._receive():
                    return None

    async def head(self) -> h11.Response:
        """The response's head."""
        with trio.fail_after(PATIENCE_S):
            while not isinstance(event := self._connection.next_event(), h11.Response):
                assert event is h11.NEED_DATA
                self._connection.receive_data(await self._stream.receive_some())
            return event

    async def _receive(self) -> bool:
        match self._connection.next_event():
            case h11.Data(data=data):
                self._rest += data
            case h11.NEED_DATA:
                self._connection.receive_data(await self._stream.receive_some())
            case h11.EndOfMessage() | h11.ConnectionClosed():
                return False
            case other:
                raise AssertionError(f"expected data, got {other}")
        return True


def _parsed(block: str) -> Event | None:
    fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
    if "event" not in fields:
        return None
    return Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))


async def _connected(host: str, port: int, buffer_bytes: int | None) -> trio.SocketStream:
    if buffer_bytes is None:
        return await trio.open_tcp_stream(host, port)
    socket = trio.socket.socket()
    socket.setsockopt(
        trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, buffer_bytes
    )  # before the window is told
    await socket.connect((host, port))
    return trio.SocketStream(socket)


@asynccontextmanager
async def events(url: str, last_id: str = "", buffer_bytes: int | None = None) -> AsyncGenerator[EventStream]:
    """The event stream, from `last_id` on; `buffer_bytes` is how much may wait here unread."""
    host, _, port = url.removeprefix("http://").partition(":")
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", f"{host}:{port}")] + ([("Last-Event-ID", last_id)] if last_id else [])
    async with await _connected(host, int(port), buffer_bytes) as stream:
        request = h11.Request(method="GET", target="/api/events", headers=headers)
        await stream.send_all(
            (connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b"")
        )
        reader = EventStream(stream, connection)
        head = await reader.head()
        assert head.status_code == 200
        assert (b"content-type", b"text/event-stream; charset=utf-8") in list(head.headers)
        yield reader


async def until(stream: EventStream, wanted: Callable[[Event], bool]) -> list[Event]:
    """The events up to the first that is wanted, which is the last of them."""
    found: list[Event] = []
    while (event := await stream.next()) is not None:
        found.append(event)
        if wanted(event):
            return found
    raise AssertionError(f"expected an event that is wanted, got the end after {found}")


def row_is(table: str, **fields: object) -> Callable[[Event], bool]:
    """Whether an event is a change of a row of `table` with these fields."""

    def check(event: Event) -> bool:
        if event.event != "change" or event.data["table"] != table or event.data["row"] is None:
            return False
        return all(event.data["row"].get(name) == value for name, value in fields.items())

    return check
