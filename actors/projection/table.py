"""Tables of the read model: rows by id, in the order in which they came, paged newest first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from pydantic import TypeAdapter

from understudy.protocols.errors import UnderstudyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence


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
    """Rows in order of their first appearance; replacing a row keeps its place.

    Putting, getting and removing cost the same however many rows there are.
    """

    def __init__(self) -> None:
        self._rows: dict[str, RowT] = {}
        self._order: list[str | None] = []  # None where a row was removed
        self._place: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._place

    def __iter__(self) -> Iterator[RowT]:
        """Oldest first."""
        for name in self.names():
            if (row := self.get(name)) is not None:
                yield row

    def names(self) -> Iterator[str]:
        """The rows' ids, oldest first."""
        return (name for name in self._order if name is not None)

    def get(self, row_id: str) -> RowT | None:
        """The row, or None."""
        return self._rows.get(row_id)

    def put(self, row: RowT) -> None:
        """Add the row, or replace the one of its id."""
        self._take_place(row.id)
        self._rows[row.id] = row

    def remove(self, row_id: str) -> None:
        """Take the row away, if there is one."""
        if (place := self._place.pop(row_id, None)) is None:
            return
        self._rows.pop(row_id, None)
        self._order[place] = None
        if len(self._order) > 2 * len(self._place) + 8:  # at most each second place is empty: O(1) in all
            self._order = list(self._place)
            self._place = {name: place for place, name in enumerate(self._place)}

    def reorder(self, names: Sequence[str]) -> None:
        """Have the rows come in this order, in which each of them is once."""
        self._order = list(names)
        self._place = {name: place for place, name in enumerate(names)}

    def newest(self, limit: int) -> list[RowT]:
        """The last rows, oldest of them first."""
        return self.page(limit, None)[0][::-1] if limit else []

    def page(
        self, limit: int, cursor: str | None, tags: Collection[str] | None = None
    ) -> tuple[list[RowT], str | None]:
        """Up to `limit` rows, newest first, from the row `cursor` (excluded) on.

        Args:
            limit: at least 1.
            cursor: what the page before gave out; None for the newest.
            tags: only rows with one of these (see `BoundedTable`); None for all.

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
            name = self._order[place]
            if name is None or (tags is not None and self._tag(name) not in tags):
                continue
            if len(found) == limit:
                return found, found[-1].id
            if (row := self.get(name)) is not None:
                found.append(row)
        return found, None

    def _tag(self, row_id: str) -> str:
        del row_id
        return ""

    def _take_place(self, row_id: str) -> None:
        if row_id not in self._place:
            self._place[row_id] = len(self._order)
            self._order.append(row_id)


class Packed(NamedTuple):
    """A row that does not change any more: its tag, the seq of the line that ended it, and its JSON.

    Fields that have their default are left out of `data`.
    """

    tag: str
    seq: int
    data: bytes


class BoundedTable(Table[RowT]):
    """A table whose rows are over at some time; so many of those are kept, packed.

    The oldest go first, in the order in which they were over: which are kept follows from the rows
    alone, so that a rebuild keeps the same. Rows that are not over are never taken away. Packed, a row
    takes a fifth of the memory, and is unpacked when somebody asks for it.

    Args:
        row_type: of the rows, a pydantic model.
        tag: of a row, for `counts` and pages of one kind.
        is_over: whether a row does not change any more. It must stay so.
        kept: at most so many rows that are over.
        kept_bytes: at most so many bytes of them.

    Attributes:
        counts: how many rows there are of each tag.
        evicted: ids of rows that went since somebody took this list.
    """

    def __init__(
        self,
        row_type: type[RowT],
        tag: Callable[[RowT], str],
        is_over: Callable[[RowT], bool],
        kept: int,
        kept_bytes: int,
    ) -> None:
        super().__init__()
        self.counts = Counter[str]()
        self.evicted: list[str] = []
        self._as_json = TypeAdapter(row_type)
        self._tag_of = tag
        self._is_over = is_over
        self._kept = kept
        self._kept_bytes = kept_bytes
        self._over: dict[str, Packed] = {}
        self._bytes = 0
        self._floor = 0

    @property
    def active(self) -> dict[str, RowT]:
        """The rows that are not over, by id."""
        return self._rows

    @property
    def over(self) -> dict[str, Packed]:
        """The others, in the order in which they were over."""
        return self._over

    def get(self, row_id: str) -> RowT | None:
        """The row, or None."""
        if (packed := self._over.get(row_id)) is not None:
            return self._as_json.validate_json(packed.data)
        return self._rows.get(row_id)

    def put(self, row: RowT, seq: int = 0) -> None:
        """Add the row, or replace the one of its id; `seq` is that of the line that says so."""
        if self._is_over(row):
            data = self._as_json.dump_json(row, exclude_defaults=True)
            self.put_packed(row.id, Packed(self._tag_of(row), seq, data))
        else:
            self._uncount(row.id)
            self.counts[self._tag_of(row)] += 1
            super().put(row)

    def put_packed(self, row_id: str, packed: Packed) -> None:
        """Add a row that is over, or replace the one of its id, and let the oldest go."""
        if (old := self._over.get(row_id)) is not None:
            packed = packed._replace(seq=old.seq)  # it keeps its place among those that are over
        self._uncount(row_id)
        self._take_place(row_id)
        self._rows.pop(row_id, None)
        self._over[row_id] = packed
        self._bytes += len(packed.data)
        self.counts[packed.tag] += 1
        self._make_room()

    def fill(self, over: dict[str, Packed]) -> None:
        """Begin with these rows, which are over and within the bounds; `reorder` then says their places."""
        self._over = over
        self._bytes = sum(len(packed.data) for packed in over.values())
        self.counts.update(packed.tag for packed in over.values())

    def remove(self, row_id: str) -> None:
        """Take the row away, if there is one."""
        self._uncount(row_id)
        self._over.pop(row_id, None)
        super().remove(row_id)

    def evict_before(self, seq: int) -> None:
        """Let those go, now and later, that were over before the line `seq`: a rebuild does not have them."""
        self._floor = seq
        self._make_room()

    def _make_room(self) -> None:
        while self._over:
            oldest, packed = next(iter(self._over.items()))
            fits = len(self._over) <= self._kept and self._bytes <= self._kept_bytes
            if fits and packed.seq >= self._floor:
                return
            self.remove(oldest)
            self.evicted.append(oldest)

    def _tag(self, row_id: str) -> str:
        packed = self._over.get(row_id)
        return self._tag_of(self._rows[row_id]) if packed is None else packed.tag

    def _uncount(self, row_id: str) -> None:
        """Forget what is counted of the row as it was."""
        if (packed := self._over.get(row_id)) is not None:
            self.counts[packed.tag] -= 1
            self._bytes -= len(packed.data)
        elif (row := self._rows.get(row_id)) is not None:
            self.counts[self._tag_of(row)] -= 1
