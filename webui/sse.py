"""The event stream: a snapshot, then every change, each with its id `epoch-offset` (PJ-2, rule P2)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import trio
from starlette.responses import Response

from understudy.actors.projection import Lagged
from understudy.webui import limits
from understudy.webui.problems import problem, response_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from understudy.actors.projection import Feed
    from understudy.webui.problems import Problem

BEAT_S = 15.0
"""After so much silence a comment is sent, so that both ends notice when the other is gone."""
RETRY_MS = 1000
"""How long a browser waits before it connects again."""
OWN_SNAPSHOTS = 4
"""With more streams than this, a new one gets an older snapshot and what follows: they hold one in all."""
_shared: WeakKeyDictionary[Feed, tuple[int, int, bytes]] = WeakKeyDictionary()
"""The last snapshot of each feed: epoch, offset, event."""
_ID = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


def parse_id(text: str | None) -> tuple[int, int] | None:
    """Epoch and offset of an event id; None when it is none of ours."""
    found = _ID.fullmatch(text or "")
    return (int(found[1]), int(found[2])) if found else None


class EventStream(Response):
    """Streams a feed until the client leaves, the client is too slow, or the server stops.

    A client that comes back with the id of the last event it has gets what follows; with an id that is
    not known any more, or none, it gets a snapshot. All that waits for a client leaves as one chunk. The
    marker `lagged` ends the stream of a client that is further behind than what is kept.

    Args:
        feed: what is streamed.
        last_id: `Last-Event-ID` of the client.
        stopping: is set when the server stops; an open stream would hold it up.
        now: what time it is.
    """

    media_type = "text/event-stream"

    def __init__(
        self, feed: Feed, last_id: str | None, stopping: trio.Event, now: Callable[[], float]
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._feed = feed
        self._now = now
        self._stopping = stopping
        self._at = parse_id(last_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._feed.subscribers >= limits.most_streams():
            await response_of(_too_many(), {"Connection": "close"})(scope, receive, send)
            return
        headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with self._feed.subscription():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, nursery.cancel_scope, self._stopping.wait)
                nursery.start_soon(_cancel_after, nursery.cancel_scope, _disconnect(receive))
                await self._stream(send)
                nursery.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, send: Send) -> None:
        await _send(send, b"retry: %d\n\n" % RETRY_MS)
        epoch, offset = self._at or (0, 0)
        while not self._feed.closed:
            try:
                changes = self._feed.since(epoch, offset)
            except Lagged as lag:
                if epoch == self._feed.epoch and self._at is None:
                    await _send(
                        send, b"event: lagged\ndata: %b\n\n" % json.dumps({"reason": str(lag)}).encode()
                    )
                    return
                epoch, offset = await self._send_snapshot(send)
                self._at = None
                continue
            self._at = None  # it is known: from here on this client is as any
            if changes:
                offset = changes[-1][0]
                await _send(send, b"".join(_event(epoch, place, data) for place, data in changes))
            else:
                await self._wait(send)

    async def _send_snapshot(self, send: Send) -> tuple[int, int]:
        shared = _shared.get(self._feed)
        if shared is None or self._feed.subscribers <= OWN_SNAPSHOTS or not self._follows(shared):
            snapshot = self._feed.snapshot(self._now())
            data = snapshot.model_dump_json(serialize_as_any=True).encode()
            event_id = b"%d-%d" % (snapshot.epoch, snapshot.offset)
            event = b"id: %b\nevent: snapshot\ndata: %b\n\n" % (event_id, data)
            shared = _shared[self._feed] = (snapshot.epoch, snapshot.offset, event)
        epoch, offset, event = shared
        await _send(send, event)
        return epoch, offset

    def _follows(self, shared: tuple[int, int, bytes]) -> bool:
        """Whether all that has changed since that snapshot is still kept."""
        try:
            self._feed.since(shared[0], shared[1])
        except Lagged:
            return False
        return True

    async def _wait(self, send: Send) -> None:
        with trio.move_on_after(BEAT_S) as waiting:
            await self._feed.moved()
        if waiting.cancelled_caught:
            await _send(send, b": still here\n\n")


def _too_many() -> Problem:
    return problem(
        503,
        "too_many_streams",
        f"expected at most {limits.most_streams()} event streams at a time: close one, or raise `ulimit -n`",
    )


def _event(epoch: int, offset: int, data: bytes) -> bytes:
    return b"id: %d-%d\nevent: change\ndata: %b\n\n" % (epoch, offset, data)


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _cancel_after(scope: trio.CancelScope, wait: Callable[[], Awaitable[object]]) -> None:
    await wait()
    scope.cancel()


def _disconnect(receive: Receive) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    return wait
