"""Reading server-sent events from their lines."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from understudy.cli.client import ServerEvent, read_events


async def lines(text: str) -> AsyncIterator[str]:
    """The lines of a stream."""
    for line in text.splitlines():
        yield line


@pytest.mark.req("CLI-1")
async def test_events_are_read_and_what_is_no_event_is_passed_over() -> None:
    """Comments, a retry time, unknown fields and an event without data yield nothing."""
    text = (
        ": still here\n\nretry: 1000\n\nid: 7-1\nevent: snapshot\ndata: {}\n\n"
        "event: change\n\nid:7-2\nevent:change\nnews: x\ndata: one\ndata: two: three\n\ndata: unfinished"
    )
    found = [event async for event in read_events(lines(text))]
    assert found == [
        ServerEvent("snapshot", "7-1", "{}"),
        ServerEvent("change", "7-2", "one\ntwo: three"),
    ]
