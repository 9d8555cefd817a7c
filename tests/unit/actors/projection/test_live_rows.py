"""What running attempts say of themselves, on its way to viewers."""

from __future__ import annotations

import pytest
import trio

from tests.journal_kit import finished, made_line
from understudy.actors.projection.feed import Feed
from understudy.actors.projection.fold import fold_line
from understudy.protocols import Event
from understudy.protocols.read_model import LIVE_CHARACTERS, Change, Cursor, LiveRow
from understudy.protocols.tasks import TaskCreated, TaskRetried, TaskSpec, TaskStarted

CREATED = TaskCreated(id="task-1", spec=TaskSpec(title="t", command=("true",)))


def started(attempt: int) -> TaskStarted:
    """That attempt of the task runs."""
    return TaskStarted(id="task-1", attempt=attempt)


def follow(feed: Feed, *events: Event) -> None:
    """Apply one line of the pool."""
    cursor = Cursor(journal="workers", incarnation=1, seq=feed.model.cursor("workers").seq + 1)
    feed.publish(fold_line(feed.model, cursor, made_line(cursor.seq, *events)).changes)


def told(feed: Feed, after: int) -> list[Change]:
    """The changes of live rows after an offset."""
    found = [Change.model_validate_json(data) for _, data in feed.since(feed.epoch, after)]
    return [change for change in found if change.table == "live"]


@pytest.mark.req("WK-6")
def test_only_the_newest_word_is_passed_on_and_it_goes_with_the_attempt() -> None:
    """Words in between are passed over; the row is in snapshots while the attempt runs."""
    feed = Feed(epoch=1)
    follow(feed, CREATED, started(1))
    before = feed.offset
    for done in (0.1, 0.2, 0.3):
        feed.publish_live(LiveRow(id="task-1", attempt=1, progress=done))
    feed.flush_live()
    feed.flush_live()
    assert [change.row for change in told(feed, before)] == [LiveRow(id="task-1", attempt=1, progress=0.3)]
    assert [row.progress for row in feed.snapshot(0.0).live] == [0.3]
    before = feed.offset
    follow(feed, finished("task-1"))
    feed.publish_live(LiveRow(id="task-1", attempt=1, progress=0.9))
    feed.flush_live()
    assert [(change.id, change.row) for change in told(feed, before)] == [("task-1", None)]
    assert feed.snapshot(0.0).live == ()


@pytest.mark.req("WK-6")
async def test_a_word_that_overtakes_the_start_of_its_attempt_waits_for_it() -> None:
    """What an attempt says may come before the line that says it runs; that of an earlier one is dropped."""
    feed = Feed(epoch=1)
    feed.publish_live(LiveRow(id="task-1", attempt=1, note="early"))
    feed.flush_live()
    follow(feed, CREATED)
    feed.flush_live()
    assert feed.snapshot(0.0).live == ()
    follow(feed, started(1))
    with trio.fail_after(5):
        await feed.live.said()
    feed.flush_live()
    assert [row.note for row in feed.snapshot(0.0).live] == ["early"]
    retried = TaskRetried(id="task-1", attempt=1, failures=1, reason="exit code 1", retry_at=1.0)
    follow(feed, retried, started(2))
    feed.publish_live(LiveRow(id="task-1", attempt=1, note="late"))
    feed.flush_live()
    assert feed.snapshot(0.0).live == ()


@pytest.mark.req("WK-6")
def test_what_is_shown_of_an_output_is_its_end() -> None:
    """Bounded, however much the attempt says."""
    feed = Feed(epoch=1)
    follow(feed, CREATED, started(1))
    feed.publish_live(LiveRow(id="task-1", attempt=1, output="x" * LIVE_CHARACTERS + "end"))
    feed.flush_live()
    (row,) = feed.snapshot(0.0).live
    assert (len(row.output), row.output[-3:]) == (LIVE_CHARACTERS, "end")
