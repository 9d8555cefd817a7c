"""The follower: hints that come late, doubled or never, and a rebuild that gives the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal_kit import as_filed, conversation, cron, pool, write_journal
from understudy.actors.projection import follower as followers
from understudy.actors.projection.feed import Feed
from understudy.actors.projection.fold import fold_line
from understudy.actors.projection.follower import Follower
from understudy.actors.projection.model import ReadModel
from understudy.protocols.read_model import Change, Cursor
from understudy.supervision.files import Files
from understudy.supervision.journal.segments import About, publish_about

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JOURNALS: dict[str, list[bytes]] = {"manager": conversation(4), "workers": pool(5), "cron": cron(3)}


def made_follower(folder: Path, feed: Feed | None = None) -> Follower:
    """A follower of the journals in `folder`; a model that is built anew gets the next epoch."""
    feed = feed or Feed(epoch=1)
    return Follower(feed, Files(), folder, "projection", lambda: feed.epoch + 1)


def rebuilt() -> ReadModel:
    """The model of all journals, folded one after the other."""
    model = ReadModel()
    for journal, lines in JOURNALS.items():
        for seq, line in enumerate(lines, start=1):
            fold_line(model, Cursor(journal=journal, incarnation=1, seq=seq), line)
    return model


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[str, int, int, bool]]:
    """Commits in a random order of journals: (journal, from, to, whether its hint is lost)."""
    left = {name: (0, len(lines)) for name, lines in JOURNALS.items()}
    found: list[tuple[str, int, int, bool]] = []
    while left:
        name = draw(st.sampled_from(sorted(left)))
        start, end = left[name]
        stop = draw(st.integers(start + 1, end))
        found.append((name, start, stop, draw(st.booleans())))
        left[name] = (stop, end)
        if stop == end:
            del left[name]
    return found


@pytest.mark.req("PJ-1")
@pytest.mark.rule("P1")
@pytest.mark.rule("P2")
@settings(max_examples=40)
@given(order=arrivals(), copies=st.integers(1, 2))
def test_what_is_followed_equals_what_is_rebuilt_from_zero(
    order: list[tuple[str, int, int, bool]],
    copies: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Rules P1 and P2: in whatever order journals grow, and whichever hints are lost or come twice."""
    folder = tmp_path_factory.mktemp("journals")

    async def follow() -> tuple[ReadModel, list[int]]:
        feed = Feed(epoch=1)
        follower = made_follower(folder, feed)
        offsets: list[int] = []
        with feed.subscription():
            for name, start, stop, lost in order:
                lines = JOURNALS[name][start:stop]
                write_journal(folder / name, lines)
                if not lost:
                    for _ in range(copies):
                        follower.lines_are_durable(name, stop, b"".join(lines))
                await follower.catch_up()
            for name, lines in JOURNALS.items():
                follower.journal_is_open(name, len(lines))
            await follower.catch_up()
            while found := feed.since(1, len(offsets)):
                offsets += [offset for offset, _ in found]
        assert len(offsets) == feed.offset
        return feed.model, offsets

    model, offsets = trio.run(follow)
    assert as_filed(model) == as_filed(rebuilt())
    assert offsets == list(range(1, len(offsets) + 1))


@pytest.mark.rule("P2")
async def test_hints_beyond_the_bound_are_read_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule P2: the queue of hints is bounded, and what does not fit is not lost."""
    monkeypatch.setattr(followers, "QUEUED_BYTES", 10)
    follower = made_follower(tmp_path)
    lines = JOURNALS["workers"]
    write_journal(tmp_path / "workers", lines)
    follower.lines_are_durable("workers", len(lines), b"".join(lines))
    await follower.catch_up()
    assert follower.applied_lines == len(lines)


@pytest.mark.rule("P1")
async def test_only_what_is_durable_is_read(tmp_path: Path) -> None:
    """Rule P1: the file may hold more than the watermark, and a viewer must not see it yet."""
    feed = Feed(epoch=1)
    follower = made_follower(tmp_path, feed)
    write_journal(tmp_path / "workers", JOURNALS["workers"])
    follower.journal_is_open("workers", 2)
    await follower.catch_up()
    assert feed.model.cursor("workers").seq == 2


@pytest.mark.rule("P1")
async def test_its_own_journal_is_not_followed(tmp_path: Path) -> None:
    """Rule P1: else each checkpoint would be a reason for the next one."""
    follower = made_follower(tmp_path)
    follower.lines_are_durable("projection", 1, b"{}\n")
    follower.journal_is_open("projection", 1)
    assert list(follower.behind()) == []


def _shorter(folder: Path) -> int:
    del folder
    return 3


def _repaired(folder: Path) -> int:
    publish_about(Files(), folder / "workers", About(incarnation=2))
    return len(JOURNALS["workers"])


@pytest.mark.rule("D4")
@pytest.mark.parametrize("change", [_shorter, _repaired])
async def test_other_numbers_than_were_read_build_the_model_anew(
    tmp_path: Path, change: Callable[[Path], int]
) -> None:
    """Rule D4: after a repair, or on a file system that lost what was only in its cache."""
    feed = Feed(epoch=1)
    for name, lines in JOURNALS.items():
        write_journal(tmp_path / name, lines)
    first = made_follower(tmp_path, feed)
    for name, lines in JOURNALS.items():
        first.journal_is_open(name, len(lines))
    await first.catch_up()
    before = feed.model
    durable = change(tmp_path)
    first.journal_is_open("workers", durable)
    await first.catch_up()
    assert feed.model is not before
    assert feed.epoch == 2
    assert feed.model.cursor("workers").seq == durable
    assert [row.id for row in feed.model.messages] == [row.id for row in before.messages]


async def test_a_journal_that_cannot_be_read_does_not_keep_the_others_back(tmp_path: Path) -> None:
    """Its actor is blocked; whoever waits for it is let go, and the others are followed."""
    feed = Feed(epoch=1)
    follower = made_follower(tmp_path, feed)
    lines = JOURNALS["workers"]
    write_journal(tmp_path / "workers", [lines[0], b"not a line\n", *lines[2:]])
    write_journal(tmp_path / "manager", JOURNALS["manager"])
    follower.journal_is_open("workers", len(lines))
    follower.journal_is_open("manager", len(JOURNALS["manager"]))
    with trio.fail_after(5):
        await follower.catch_up()
        await follower.level("workers", len(lines))
    assert feed.model.cursor("manager").seq == len(JOURNALS["manager"])
    assert feed.model.cursor("workers").seq == 1


async def test_lines_that_are_gone_are_passed_over_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A repair may have taken the last ones out; nobody waits for them for ever."""
    follower = made_follower(tmp_path)
    write_journal(tmp_path / "workers", JOURNALS["workers"][:3])
    follower.journal_is_open("workers", 5)
    with trio.fail_after(5):
        await follower.catch_up()
        await follower.level("workers", 5)
    assert "seq 4 to 5" in caplog.text


async def test_level_waits_until_the_lines_are_applied(tmp_path: Path) -> None:
    """What an HTTP answer waits for, so that people read what they wrote."""
    follower = made_follower(tmp_path)
    lines = JOURNALS["manager"]
    write_journal(tmp_path / "manager", lines)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run)
            follower.lines_are_durable("manager", len(lines), b"".join(lines))
            await follower.level("manager", len(lines))
            nursery.cancel_scope.cancel()
    assert follower.applied_lines == len(lines)


async def test_every_applied_line_is_told(tmp_path: Path) -> None:
    """The history is written from that."""
    told: list[Change] = []
    feed = Feed(epoch=1)
    follower = Follower(
        feed, Files(), tmp_path, "projection", lambda: 2, lambda folded: told.extend(folded.changes)
    )
    write_journal(tmp_path / "manager", JOURNALS["manager"])
    follower.journal_is_open("manager", len(JOURNALS["manager"]))
    await follower.catch_up()
    assert len(told) == feed.offset
