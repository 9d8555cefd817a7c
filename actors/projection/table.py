"""A table of the read model: rows by id, in the order in which they came, paged newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from understudy.protocols.errors import UnderstudyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class BadCursor(UnderstudyError):
    """A `cursor` that no list has given out, or whose row is gone: begin again without one."""

    code = "bad_cursor"
    status = 400
    title = "Bad cursor"


class HasId(Protocol):
    """What a table can hold."""

    @property
    def id(self) -> str:
        """Unique in its table."""
        ...


RowT = TypeVar("RowT", bound=HasId)


class Table(Generic[RowT]):
    """Rows in order of their first appearance; replacing a row keeps its place."""

    def __init__(self) -> None:
        self._rows: dict[str, RowT] = {}
        self._order: list[str] = []
        self._place: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[RowT]:
        """Oldest first."""
        return iter(self._rows.values())

    def get(self, row_id: str) -> RowT | None:
        """The row, or None."""
        return self._rows.get(row_id)

    def put(self, row: RowT) -> None:
        """Add the row, or replace the one of its id."""
        if row.id not in self._rows:
            self._place[row.id] = len(self._order)
            self._order.append(row.id)
        self._rows[row.id] = row

    def remove(self, row_id: str) -> None:
        """Take the row away, if there is one. O(rows): only for tables that stay small."""
        if self._rows.pop(row_id, None) is not None:
            self._order.remove(row_id)
            self._place = {name: place for place, name in enumerate(self._order)}

    def newest(self, limit: int) -> list[RowT]:
        """The last rows, oldest of them first."""
        return [self._rows[name] for name in self._order[-limit:]] if limit else []

    def page(
        self, limit: int, cursor: str | None, keep: Callable[[RowT], bool] | None = None
    ) -> tuple[list[RowT], str | None]:
        """Up to `limit` rows that `keep` wants, newest first, from the row `cursor` (excluded) on.

        Returns:
            the rows, and the cursor of the next page; None when there is no more.

        Raises:
            BadCursor: there is no such row.
        """
        start = len(self._order)
        if cursor is not None:
            if cursor not in self._place:
                raise BadCursor(f"expected a cursor that `next` gave, got {cursor[:80]!r}: begin without one")
            start = self._place[cursor]
        found: list[RowT] = []
        for place in range(start - 1, -1, -1):
            row = self._rows[self._order[place]]
            if keep is None or keep(row):
                if len(found) == limit:
                    return found, found[-1].id
                found.append(row)
        return found, None
