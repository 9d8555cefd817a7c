"""The event stream on the wire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest
import trio
import trio.testing

from understudy.actors.projection import Feed, ReadModel
from understudy.actors.projection import feed as feeds
from understudy.protocols.read_model import Change, ManagerRow
from understudy.webui.sse import BEAT_S, EventStream, parse_id

if TYPE_CHECKING:
    from starlette.types import Message

CHANGE = Change(table="manager", id="manager", row=ManagerRow())
NEVER = trio.Event()


class Event(NamedTuple):
    id: str
    event: str
    data: str


class Client:
    """Reads one stream; `gate` holds its receiving up."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.gate = trio.Event()
        self.gate.set()
        self.left = trio.Event()
        self.ended = False

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.gate.wait()
        if message["type"] == "http.response.body":
            self.chunks.append(message["body"])
            self.ended = not message["more_body"]

    def events(self) -> list[Event]:
        """What has come, comments and settings left out."""
        found: list[Event] = []
        for block in b"".join(self.chunks).decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in fields:
                found.append(Event(fields.get("id", ""), fields["event"], fields["data"]))
        return found


async def streaming(
    nursery: trio.Nursery, feed: Feed, last_id: str | None = None, stopping: trio.Event = NEVER
) -> Client:
    """A client that reads `feed`, once it waits for more."""
    client = Client()
    stream = EventStream(feed, last_id, stopping, lambda: 1.0)
    nursery.start_soon(stream, {"type": "http"}, client.receive, client.send)
    await trio.testing.wait_all_tasks_blocked()
    return client


@pytest.mark.req("PJ-2")
async def test_a_snapshot_comes_first_and_then_every_change_with_its_id(nursery: trio.Nursery) -> None:
    """Ids are `epoch-offset`, without gap; what waits leaves as one chunk."""
    feed = Feed(epoch=7)
    feed.publish([CHANGE] * 3)
    client = await streaming(nursery, feed)
    feed.publish([CHANGE] * 2)
    await trio.testing.wait_all_tasks_blocked()
    assert [event.id for event in client.events()] == ["7-3", "7-4", "7-5"]
    assert [event.event for event in client.events()] == ["snapshot", "change", "change"]
    assert json.loads(client.events()[0].data)["offset"] == 3
    assert len(client.chunks) == 3
    client.left.set()


@pytest.mark.req("PJ-2")
async def test_a_client_that_comes_back_gets_what_it_missed(nursery: trio.Nursery) -> None:
    """`Last-Event-ID` says from where on; no snapshot is needed."""
    feed = Feed(epoch=7)
    feed.publish([CHANGE] * 5)
    client = await streaming(nursery, feed, "7-2")
    assert [event.id for event in client.events()] == ["7-3", "7-4", "7-5"]
    client.left.set()


@pytest.mark.req("PJ-2")
@pytest.mark.rule("P2")
@pytest.mark.parametrize("last_id", ["6-2", "7-99", "nonsense", "7-", "-1-2", ""])
async def test_an_id_that_means_nothing_here_gets_a_fresh_snapshot(
    nursery: trio.Nursery, last_id: str
) -> None:
    """Rule P2: another epoch, a number that was never given, or no id at all."""
    feed = Feed(epoch=7)
    feed.publish([CHANGE] * 5)
    client = await streaming(nursery, feed, last_id)
    assert [event.event for event in client.events()] == ["snapshot"]
    client.left.set()


@pytest.mark.req("PJ-2")
@pytest.mark.parametrize("last_id", [None, "7-0"])
async def test_a_slow_client_is_dropped_with_a_marker_and_comes_back_without_a_gap(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, last_id: str | None
) -> None:
    """Nobody waits for it, also when it came back before; what it misses is in its next snapshot."""
    monkeypatch.setattr(feeds, "KEPT_CHANGES", 10)
    feed = Feed(epoch=7)
    slow, quick = await streaming(nursery, feed, last_id), await streaming(nursery, feed)
    slow.gate = trio.Event()
    for _ in range(5):
        feed.publish([CHANGE] * 9)
        await trio.testing.wait_all_tasks_blocked()
    assert len(quick.events()) == 1 + 45
    slow.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert slow.events()[-1].event == "lagged"
    assert "expected an event id from 7-35 on" in json.loads(slow.events()[-1].data)["reason"]
    assert slow.ended
    again = await streaming(nursery, feed, slow.events()[-2].id)
    assert [(event.event, event.id) for event in again.events()] == [("snapshot", "7-45")]
    nursery.cancel_scope.cancel()


@pytest.mark.req("PJ-2")
async def test_a_model_that_is_built_anew_sends_a_new_snapshot(nursery: trio.Nursery) -> None:
    """In the same stream, with the new epoch."""
    feed = Feed(epoch=7)
    client = await streaming(nursery, feed)
    feed.start_anew(8, ReadModel())
    feed.publish([CHANGE])
    await trio.testing.wait_all_tasks_blocked()
    assert [event.id for event in client.events()] == ["7-0", "8-1"]
    client.left.set()


@pytest.mark.req("RT-9")
@pytest.mark.parametrize("how", ["server stops", "projection ends", "client leaves"])
async def test_a_stream_ends_when_either_side_does(how: str) -> None:
    """An open stream would hold up the shutdown; one that nobody reads would live for ever."""
    feed, stopping = Feed(epoch=7), trio.Event()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            client = await streaming(nursery, feed, stopping=stopping)
            assert feed.subscribers == 1
            {"server stops": stopping.set, "projection ends": feed.close, "client leaves": client.left.set}[
                how
            ]()
    assert client.ended
    assert feed.subscribers == 0


async def test_silence_is_broken_by_a_comment(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """So that a connection that is dead is noticed."""
    client = await streaming(nursery, Feed(epoch=7))
    await trio.sleep(BEAT_S + 1)
    assert client.chunks[-1].startswith(b":")
    client.left.set()


@pytest.mark.parametrize(
    ("text", "expected"), [("12-34", (12, 34)), ("1-2-3", None), ("٣-1", None), (None, None)]
)
def test_event_ids_are_parsed_strictly(text: str | None, expected: tuple[int, int] | None) -> None:
    """What is not ours means nothing."""
    assert parse_id(text) == expected
