"""One connection: HTTP/1.1 (h11) on one side, an ASGI app on the other. Requests are answered one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import h11
import trio

from understudy.webui import limits
from understudy.webui.guard import HEADERS
from understudy.webui.problems import problem, response_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

    from understudy.webui.problems import Problem

_PIECE_BYTES = 64 << 10
_CODES = {400: "bad_request", 405: "method_not_allowed", 431: "headers_too_large", 501: "not_implemented"}


class Connection:
    """A peer that is connected.

    Args:
        stream: what it is connected by.
        app: answers its requests.
        stopping: set when the server stops; then the answer that is being made is the last one.

    Attributes:
        waiting: cancelled to end the connection while it waits for a request; nothing is lost by that.
        is_waiting: it does.
    """

    def __init__(self, stream: trio.SocketStream, app: ASGIApp, stopping: trio.Event) -> None:
        self._stream = stream
        self._app = app
        self._stopping = stopping
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.HEAD_BYTES)
        self._server = stream.socket.getsockname()[:2]
        self._client = stream.socket.getpeername()[:2]
        self._ended = False
        self.waiting = trio.CancelScope()
        self.is_waiting = True

    async def run(self) -> None:
        """Answer its requests until either side ends the connection."""
        try:
            while not self._stopping.is_set() and (request := await self._next_request()) is not None:
                if not await self._answer(request):
                    break
            await farewell(self._stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer has gone: there is nobody to tell
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _next_request(self) -> h11.Request | None:
        """The head of the next request; None when none comes."""
        self.waiting, self.is_waiting = trio.CancelScope(), True
        with self.waiting:
            try:
                return await self._read_head()
            except h11.RemoteProtocolError as error:
                await self._refuse(error.error_status_hint, str(error))
        return None

    async def _read_head(self) -> h11.Request | None:
        if not self._http.trailing_data[0]:
            with trio.move_on_after(limits.IDLE_S):
                await self._read()
        event = None
        with trio.move_on_after(limits.HEAD_S) as late:
            event = await self._next_event()
        if late.cancelled_caught and self._http.trailing_data[0]:
            await self._refuse(408, f"expected the head of a request within {limits.HEAD_S:.0f} s")
        return event if isinstance(event, h11.Request) else None

    async def _answer(self, request: h11.Request) -> bool:
        """Answer one request; whether another may follow."""
        target = request.target.decode("ascii")
        if request.http_version not in (b"1.0", b"1.1"):
            await self._refuse(505, f"expected HTTP/1.1, got HTTP/{request.http_version.decode()}")
        elif not target.startswith("/") and target != "*":
            await self._refuse(400, "expected a path such as /healthz as the request's target")
        else:
            self.is_waiting = False
            exchange = Exchange(self, request)
            await exchange.run(self._app, self._scope(request, target))
            return exchange.complete and self._next_cycle()
        return False

    def _scope(self, request: h11.Request, target: str) -> dict[str, Any]:
        path, _, query = target.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode(),
            "method": request.method.decode("ascii").upper(),
            "scheme": "http",
            "path": unquote(path, errors="replace"),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(bytes(name), bytes(value)) for name, value in request.headers],
            "client": self._client,
            "server": self._server,
            "state": {},
        }

    def _next_cycle(self) -> bool:
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _refuse(self, status: int, detail: str) -> None:
        """Answer what is no request of ours; the connection ends with it."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self.write(refusal(problem(status, _CODES.get(status, "bad_request"), detail)))

    async def _next_event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            await self._read()
        return event

    async def _read(self) -> None:
        data = await self._stream.receive_some(_PIECE_BYTES)
        self._ended = not data
        self._http.receive_data(data)

    async def next_part(self) -> bytes | None:
        """The next part of the request's body; None at its end.

        Raises:
            h11.RemoteProtocolError: the peer sends what is no body, or has gone in the middle of it.
        """
        event = await self._next_event()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    def has_body(self, request: h11.Request) -> bool:
        """Whether a body follows the head; called once, right behind it."""
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in request.headers):
            return True
        self._http.next_event()  # the end of a message without a body
        return False

    async def gone(self) -> None:
        """Return when the peer sends no more, or more than may wait."""
        while not self._ended and len(self._http.trailing_data[0]) <= limits.AHEAD_BYTES:
            try:
                await self._read()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async def send(self, *events: h11.Event) -> None:
        """Send parts of an answer at once, without a copy of what is large."""
        small = b""
        for event in events:
            for data in self._http.send_with_data_passthrough(event) or ():
                if len(data) < _PIECE_BYTES:
                    small += data
                else:
                    await self.write(small)
                    await self.write(data)
                    small = b""
        await self.write(small)

    async def write(self, data: bytes) -> None:
        """Write all of it, piece by piece.

        Raises:
            trio.BrokenResourceError: the peer has gone, or takes nothing.
        """
        view = memoryview(data)
        for start in range(0, len(view), _PIECE_BYTES):
            with trio.move_on_after(limits.SEND_S) as stuck:
                await self._stream.send_all(view[start : start + _PIECE_BYTES])
            if stuck.cancelled_caught:
                raise trio.BrokenResourceError("the peer takes nothing")


class Exchange:
    """One request and its answer, as ASGI has it."""

    def __init__(self, connection: Connection, request: h11.Request) -> None:
        self._connection = connection
        self._is_head = request.method.upper() == b"HEAD"
        self._unread = connection.has_body(request)
        self._first = True
        self._start: Message | None = None
        self._scope = trio.CancelScope()
        self.complete = False

    async def run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        """Let the app answer; it ends when the peer has gone."""
        with self._scope:
            try:
                await app(scope, self._receive, self._send)
            except Exception:
                if not self.complete:  # else it was told where it was caught
                    raise

    async def _receive(self) -> Message:
        if self._unread or self._first:
            try:
                part = await self._connection.next_part() if self._unread else None
            except (h11.RemoteProtocolError, trio.BrokenResourceError):
                return {"type": "http.disconnect"}
            self._first, self._unread = False, part is not None
            return {"type": "http.request", "body": part or b"", "more_body": self._unread}
        await self._connection.gone()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        try:
            await self._connection.send(*self._events(message))
        except trio.BrokenResourceError:
            self._scope.cancel()
            await trio.lowlevel.checkpoint()
        self.complete = not message.get("more_body", False)

    def _events(self, message: Message) -> list[h11.Event]:
        """What h11 sends for this part of the answer; the head goes with the first part."""
        found: list[h11.Event] = []
        if self._start is not None:
            headers = [*self._start.get("headers", [])]
            if self._unread:
                headers.append((b"connection", b"close"))
            found.append(h11.Response(status_code=self._start["status"], headers=headers))
            self._start = None
        if message.get("body") and not self._is_head:
            found.append(h11.Data(data=message["body"]))
        if not message.get("more_body", False):
            found.append(h11.EndOfMessage())
        return found


def refusal(found: Problem) -> bytes:
    """The whole answer that refuses a connection or its bytes, and ends it."""
    response = response_of(found)
    headers = [*response.raw_headers, *HEADERS, (b"connection", b"close")]
    http = h11.Connection(h11.SERVER)
    http.receive_data(b"GET / HTTP/1.0\r\n\r\n")
    http.next_event()
    events = (
        h11.Response(status_code=response.status_code, headers=headers),
        h11.Data(data=bytes(response.body)),
        h11.EndOfMessage(),
    )
    return b"".join(http.send(event) or b"" for event in events)


async def farewell(stream: trio.SocketStream) -> None:
    """Say that no more comes, and read what is on its way: a close at once could take the answer back."""
    await stream.send_eof()
    with trio.move_on_after(limits.DRAIN_S):
        left = limits.DRAIN_BYTES
        while left > 0 and (data := await stream.receive_some(_PIECE_BYTES)):
            left -= len(data)
