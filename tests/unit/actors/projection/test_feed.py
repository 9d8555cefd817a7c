"""The feed: numbered changes, slow subscribers, snapshots."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from tests.journal_kit import pool
from understudy.actors.projection import feed as feeds
from understudy.actors.projection.feed import Feed, Lagged
from understudy.actors.projection.fold import fold_line
from understudy.actors.projection.model import ReadModel
from understudy.protocols.read_model import Change, Cursor, ManagerRow

ROW = ManagerRow()
CHANGE = Change(table="manager", id="manager", row=ROW)


@pytest.mark.req("PJ-2")
def test_a_subscriber_gets_each_change_once_and_in_order() -> None:
    """Offsets have no gap and no repetition, however the reading is cut into pieces."""
    feed = Feed(epoch=1)
    with feed.subscription():
        seen: list[int] = []
        for size in (1, 300, 0, 7):
            feed.publish([CHANGE] * size)
            while found := feed.since(1, len(seen), limit=100):
                seen += [offset for offset, _ in found]
    assert seen == list(range(1, 309))


@pytest.mark.req("PJ-2")
def test_changes_of_a_time_without_subscribers_can_be_resumed() -> None:
    """They are encoded when somebody asks for them."""
    feed = Feed(epoch=1)
    feed.publish([CHANGE])
    ((offset, data),) = feed.since(1, 0)
    assert offset == 1
    assert json.loads(data)["row"]["id"] == "manager"


@pytest.mark.req("PJ-2")
@pytest.mark.rule("P2")
@pytest.mark.parametrize(("epoch", "offset"), [(2, 0), (1, 11), (0, 3)])
def test_an_id_of_another_epoch_or_from_the_future_is_not_resumed(epoch: int, offset: int) -> None:
    """Rule P2: a number means something within its own epoch only."""
    feed = Feed(epoch=1)
    feed.publish([CHANGE] * 10)
    with pytest.raises(Lagged):
        feed.since(epoch, offset)


@pytest.mark.req("PJ-2")
def test_a_slow_subscriber_is_told_and_costs_no_more_than_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Publishing never waits; what is too old for a subscriber is gone, and it hears of that."""
    monkeypatch.setattr(feeds, "KEPT_CHANGES", 100)
    feed = Feed(epoch=1)
    with feed.subscription():
        feed.publish([CHANGE] * 101)
        with pytest.raises(Lagged):
            feed.since(1, 0)
        assert feed.since(1, 1)[0][0] == 2


def test_large_changes_are_kept_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few long messages must not fill the memory."""
    monkeypatch.setattr(feeds, "KEPT_BYTES", 1000)
    feed = Feed(epoch=1)
    with feed.subscription():
        feed.publish([Change(table="manager", id="manager", row=ManagerRow(error="x" * 600))] * 2)
        assert [offset for offset, _ in feed.since(1, 1)] == [2]
        with pytest.raises(Lagged):
            feed.since(1, 0)


async def test_who_waits_is_woken_by_changes_new_models_and_the_end() -> None:
    """Each of the three makes the subscriber look again."""
    feed = Feed(epoch=1)
    for act in (lambda: feed.publish([CHANGE]), lambda: feed.start_anew(2, ReadModel()), feed.close):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed.moved)
            await trio.testing.wait_all_tasks_blocked()
            act()
    assert (feed.epoch, feed.offset, feed.closed) == (2, 0, True)


@pytest.mark.req("PJ-2")
def test_a_snapshot_has_the_newest_tasks_and_all_that_are_not_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that runs for days must not fall out of sight behind newer ones."""
    monkeypatch.setattr(feeds, "SNAPSHOT_ROWS", 2)
    feed = Feed(epoch=5)
    lines = pool(4)
    del lines[2]  # task-1 is never finished
    for seq, line in enumerate(lines, start=1):
        feed.publish(fold_line(feed.model, Cursor(journal="workers", incarnation=1, seq=seq), line).changes)
    snapshot = feed.snapshot(7.0)
    assert [task.id for task in snapshot.tasks] == ["task-1", "task-3", "task-4"]
    assert (snapshot.epoch, snapshot.offset, snapshot.time) == (5, len(lines), 7.0)
    assert dict(snapshot.counts) == {"running": 2, "succeeded": 1, "failed": 1, "pending": 0}


async def test_watched_waits_for_the_first_subscriber() -> None:
    """So that nobody looks at the actors while nobody watches."""
    feed = Feed(epoch=1)
    with trio.move_on_after(0):
        await feed.watched()
        pytest.fail("expected to wait: nobody watches")
    with feed.subscription(), trio.fail_after(5):
        await feed.watched()
