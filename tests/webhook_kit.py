"""A webhook's receiver on a loopback port, whose answers the test writes: bytes, or worse."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import h11
import trio

from understudy.protocols.webhooks import verify

SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HANG = b"hang"
"""The request is read, and then nothing comes."""
CUT = b"cut"
"""The request is read, and then the connection is closed."""
HUGE = b"huge"
"""A good head, then bytes without an end."""


class Request(NamedTuple):
    """A request as the receiver got it."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The delivery's id."""
        return self.headers["webhook-id"]

    @property
    def attempt(self) -> int:
        """Which attempt it was."""
        return int(self.headers["understudy-attempt"])

    def verified(self, now_s: float, secret: str = SIGNING) -> str:
        """The id, after the signature was checked."""
        return verify(secret, self.headers, self.body, now_s=now_s)


def answer(status: int, *headers: tuple[str, str], body: bytes = b"") -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status} Any", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


OK = answer(200)


class Receiver:
    """What came, and what is answered: `answers` in turn, then 200.

    Attributes:
        most: so many requests were under way at once, at most.
        sent: bytes of huge answers that were taken.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[bytes] = []
        self.requests: list[Request] = []
        self.most = 0
        self.sent = 0
        self._now = 0
        self._came = trio.Event()

    async def wait(self, count: int, timeout_s: float = 5.0) -> list[Request]:
        """Until so many requests have come."""
        await self.wait_until(lambda: len(self.requests) >= count, timeout_s)
        return self.requests

    async def wait_until(self, is_so: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Look each time that something happens, until `is_so`."""
        with trio.fail_after(timeout_s):
            while not is_so():
                await self._came.wait()

    def _note(self) -> None:
        self._came.set()
        self._came = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, one request."""
        connection = h11.Connection(h11.SERVER)
        head, body = None, b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                return
        assert head is not None
        headers = {name.decode(): value.decode() for name, value in head.headers}
        self.requests.append(Request(head.target.decode(), headers, body))
        self._now += 1
        self.most = max(self.most, self._now)
        self._note()
        try:
            await self._answer(stream, self.answers.pop(0) if self.answers else OK)
        except trio.BrokenResourceError:
            pass
        finally:
            self._now -= 1
            self._note()
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.SocketStream, data: bytes) -> None:
        if data == CUT:
            return
        if data == HANG:
            await stream.receive_some()  # until the sender goes away
        elif data == HUGE:
            await stream.send_all(b"HTTP/1.1 500 Any\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                await stream.send_all(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                self.sent += 0x10000
        else:
            await stream.send_all(data)
            await stream.send_eof()
            await stream.receive_some()


@asynccontextmanager
async def receiving(*answers: bytes) -> AsyncGenerator[Receiver]:
    """A receiver that gives these answers in turn, and then 200."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    receiver = Receiver(f"http://127.0.0.1:{listener.socket.getsockname()[1]}/hook")
    receiver.answers.extend(answers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, receiver.serve, [listener])
        yield receiver
        nursery.cancel_scope.cancel()
