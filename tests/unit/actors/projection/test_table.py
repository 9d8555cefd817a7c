"""Tables: order, pages, cursors."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.actors.projection.table import BadCursor, BoundedTable, Table
from understudy.protocols.base import Frozen


@dataclass(frozen=True)
class Thing:
    id: str
    size: int = 0


def filled(count: int) -> Table[Thing]:
    """A table of `count` things, t0 first."""
    table = Table[Thing]()
    for number in range(count):
        table.put(Thing(f"t{number}", number))
    return table


@pytest.mark.req("API-1")
def test_pages_follow_one_another_newest_first_without_gap() -> None:
    """The `next` of each page leads to the rest, and the last page has none."""
    table, found, cursor = filled(7), list[str](), None
    for _ in range(3):
        rows, cursor = table.page(3, cursor)
        found += [row.id for row in rows]
    assert found == ["t6", "t5", "t4", "t3", "t2", "t1", "t0"]
    assert cursor is None


def test_a_full_last_page_has_no_next() -> None:
    """A next cursor promises at least one more row."""
    rows, cursor = filled(3).page(3, None)
    assert (len(rows), cursor) == (3, None)


def test_a_page_stays_what_it_was_when_rows_arrive() -> None:
    """New rows come before the first page, not into the next one."""
    table = filled(4)
    _, cursor = table.page(2, None)
    table.put(Thing("new"))
    rows, _ = table.page(2, cursor)
    assert [row.id for row in rows] == ["t1", "t0"]


def test_replacing_a_row_keeps_its_place() -> None:
    """An update is no arrival."""
    table = filled(4)
    table.put(Thing("t1", 99))
    assert [row.size for row in table] == [0, 99, 2, 3]


def test_an_unknown_cursor_is_refused() -> None:
    """With what to do, and what was got."""
    table = filled(2)
    table.remove("t0")
    table.remove("t0")
    with pytest.raises(BadCursor, match="t0"):
        table.page(1, "t0")
    assert [row.id for row in table.newest(5)] == ["t1"]
    assert table.newest(0) == []


@given(removed=st.sets(st.integers(0, 99)), limit=st.integers(1, 20))
def test_pages_are_right_whatever_was_removed_in_between(removed: set[int], limit: int) -> None:
    """Removing leaves holes, which are closed when they are many; order and pages do not show it."""
    table = filled(100)
    for number in removed:
        table.remove(f"t{number}")
    table.put(Thing("t3", 3))
    left = [number for number in range(100) if number not in removed and number != 3]
    expected = [*left, 3] if 3 in removed else sorted([*left, 3])
    found, cursor = list[int](), None
    while True:
        rows, cursor = table.page(limit, cursor)
        found += [row.size for row in rows]
        if cursor is None:
            break
    assert found == expected[::-1]
    assert len(table) == len(expected)


class Job(Frozen):
    """A row that is over when it says so."""

    id: str
    state: str = "open"
    text: str = ""


def jobs(kept: int, kept_bytes: int = 1 << 20) -> BoundedTable[Job]:
    """An empty table of jobs."""
    return BoundedTable(Job, lambda job: job.state, lambda job: job.state != "open", kept, kept_bytes)


def test_the_oldest_rows_that_are_over_make_room_and_open_ones_stay() -> None:
    """In the order in which they were over; ids of those that went are told."""
    table = jobs(2)
    for name in ("a", "b", "c", "d"):
        table.put(Job(id=name))
    for seq, name in enumerate(("c", "b", "d"), start=1):
        table.put(Job(id=name, state="done", text=name), seq)
    assert [row.id for row in table] == ["a", "b", "d"]
    assert (+table.counts, table.evicted, list(table.active)) == ({"open": 1, "done": 2}, ["c"], ["a"])
    assert table.get("b") == Job(id="b", state="done", text="b")
    assert [row.id for row in table.page(5, None, ["open"])[0]] == ["a"]
    assert [row.id for row in table.page(1, None, ["done"])[0]] == ["d"]
    table.evict_before(3)
    assert [row.id for row in table] == ["a", "d"]


def test_rows_that_are_over_are_bounded_in_bytes_too() -> None:
    """A few long ones must not fill the memory, not even one that is too long alone."""
    table = jobs(100, 1000)
    for number in range(5):
        table.put(Job(id=str(number), state="done", text="x" * 300))
    assert [row.id for row in table] == ["3", "4"][-len(table) :]
    table.put(Job(id="9", state="done", text="x" * 2000))
    assert list(table) == []
