"""Ten thousand events reach a viewer without gap or repetition, also while others do not read (PJ-2)."""

from __future__ import annotations

import os
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from pydantic import BaseModel

from tests.web_kit import Event, events
from understudy.actors.projection import ProjectionActor, feed_of, wait_until_shown
from understudy.protocols import Message
from understudy.protocols.conversation import ConversationMessage, InputReceived, RunSucceeded
from understudy.protocols.engine import UserInput
from understudy.supervision.persistent import PersistentActor
from understudy.supervision.system import ActorSystem
from understudy.webui.server import serve_http

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

EVENTS = 10_000
CHANGES_EACH = 5
"""Of a `Say`: the input, the reply, the input with its reply, and twice the manager."""
TEXT = "é" * 1000
SLEEPERS = 10
MOST_BYTES = 100 << 20
"""What a feed keeps and a read model of 4,000 messages take; the backlog of ten viewers is 250 MB."""
PATIENCE_S = 120.0


class Say(Message[None]):
    """An input that is answered at once."""


class Heard(BaseModel):
    """How many inputs came."""

    inputs: int = 0


class Answerer(PersistentActor[Heard]):
    """Stands in for the manager: its journal makes five changes for each `Say`."""

    def say(self, _message: Say) -> None:
        name = f"input-{self.state.inputs + 1}"
        self.emit(InputReceived(input=UserInput(id=name, text=TEXT)))
        reply = ConversationMessage(
            id=f"msg-{self.state.inputs}", role="assistant", text=TEXT, in_reply_to=(name,)
        )
        self.emit(RunSucceeded(run="run", attempt=1, batch=(name,), messages=(reply,), actions=()))

    def input_received(self, _event: InputReceived) -> None:
        self.state.inputs += 1

    def run_succeeded(self, _event: RunSucceeded) -> None:
        """The read model has it."""


@asynccontextmanager
async def served(home: Path) -> AsyncGenerator[tuple[ActorSystem, str]]:
    """A read model that is served, and an answerer."""
    with trio.fail_after(PATIENCE_S):
        async with ActorSystem(home) as system:
            await system.spawn(ProjectionActor, name="projection", timezone="UTC")
            await system.spawn(Answerer, name="manager")
            async with trio.open_nursery() as nursery:
                url: str = await nursery.start(partial(serve_http, system, "127.0.0.1", 0))
                yield system, url
                nursery.cancel_scope.cancel()


class Viewer:
    """Reads ten thousand changes, and comes back after each `patience` of them where it left."""

    def __init__(self, url: str, patience: int = EVENTS * 2) -> None:
        self.offsets: list[int] = []
        self.snapshots: list[int] = []
        self.begun = trio.Event()
        self._url = url
        self._patience = patience
        self._last = ""

    async def watch(self) -> None:
        """Until it has seen everything."""
        while len(self.offsets) < EVENTS:
            async with events(self._url, self._last) as stream:
                for _ in range(self._patience):
                    event = await stream.next()
                    assert event is not None, "expected events, got the end of the stream"
                    self._take(event)
                    if len(self.offsets) == EVENTS:
                        return

    def _take(self, event: Event) -> None:
        self._last = event.id
        seen = self.snapshots if event.event == "snapshot" else self.offsets
        seen.append(int(event.id.partition("-")[2]))
        self.begun.set()


async def sleeper(url: str) -> trio.SocketStream:
    """A viewer that asks for the stream and does not read it."""
    host, _, port = url.removeprefix("http://").partition(":")
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await sock.connect((host, int(port)))
    stream = trio.SocketStream(sock)
    await stream.send_all(f"GET /api/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    await stream.receive_some(1)
    return stream


async def rest_of(stream: trio.SocketStream, last: bytes) -> str:
    """What becomes of a sleeper that wakes up: it has all up to the event `last`, is told, or was cut off."""
    found = b""
    with suppress(trio.BrokenResourceError):  # cut off in the middle: it has slept for too long
        while data := await stream.receive_some(1 << 16):
            found = (found + data)[-200_000:]
            if b"event: lagged" in found:
                return "told"
            if last in found:
                return "caught up"
    return "ended without a word" if found.endswith(b"0\r\n\r\n") else "cut off"


def memory_bytes() -> int:
    """What this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.req("NF-2")
@pytest.mark.req("PJ-2")
async def test_ten_thousand_events_arrive_in_order_while_other_viewers_do_not_read(tmp_path: Path) -> None:
    """Nobody waits for those who sleep, what they cost is bounded, and they lose nothing without a word."""
    async with served(tmp_path) as (system, url):
        steady, restless = Viewer(url), Viewer(url, patience=700)
        async with AsyncExitStack() as stack:
            sleepers = [await stack.enter_async_context(await sleeper(url)) for _ in range(SLEEPERS)]
            before = memory_bytes()
            async with trio.open_nursery() as nursery:
                for viewer in (steady, restless):
                    nursery.start_soon(viewer.watch)
                    await viewer.begun.wait()
                for _ in range(EVENTS // CHANGES_EACH):
                    await system.get("manager").ask_async(Say(), timeout_s=PATIENCE_S)
                assert await wait_until_shown(system, "manager", PATIENCE_S)
            assert memory_bytes() - before < MOST_BYTES
            feed = feed_of(system)
            last = b"id: %d-%d\n" % (feed.epoch, feed.offset)
            woken = {await rest_of(stream, last) for stream in sleepers}
        for viewer in (steady, restless):
            (snapshot,) = viewer.snapshots
            assert viewer.offsets == list(range(snapshot + 1, snapshot + 1 + EVENTS))
        assert woken <= {"caught up", "told", "cut off"}
