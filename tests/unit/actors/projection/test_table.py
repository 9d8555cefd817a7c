"""Tables: order, pages, cursors."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from understudy.actors.projection.table import BadCursor, Table


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


def test_replacing_a_row_keeps_its_place_and_filters_skip() -> None:
    """An update is no arrival; rows that are not wanted do not count."""
    table = filled(4)
    table.put(Thing("t1", 99))
    assert [row.size for row in table] == [0, 99, 2, 3]
    rows, cursor = table.page(1, None, lambda row: row.size % 2 == 0)
    assert ([row.id for row in rows], cursor) == (["t2"], "t2")


def test_an_unknown_cursor_is_refused() -> None:
    """With what to do, and what was got."""
    table = filled(2)
    table.remove("t0")
    table.remove("t0")
    with pytest.raises(BadCursor, match="t0"):
        table.page(1, "t0")
    assert [row.id for row in table.newest(5)] == ["t1"]
    assert table.newest(0) == []
