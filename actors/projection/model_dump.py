"""The read model as lines of a file: what it holds at one moment, and the way back.

    {"format":8,"kept":{…},"cursors":[…],"manager":{…},"manager_wakes":[…],"crc":"…"}
    ["tasks",[0,2],[17,21],["succeeded","failed"],["task-1","task-3"]]
    {"id":"task-1","title":…}
    {"id":"task-3","title":…}

After the head come blocks of rows: a line that says their table, their places among its rows (the order in
which they came), the seqs of the lines that ended them (null in blocks of rows that are not over), their tags
and their ids; then each row on a line, without what has its default. Rows that are over are in the order in
which they were. They are read without being parsed: as JSON and as models, 100,000 would take ten times as
long.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json, to_json

from understudy.actors.projection.model import Kept, QueueName, ReadModel
from understudy.actors.projection.table import BoundedTable, Packed, Table
from understudy.protocols.read_model import (
    Cursor,
    ManagerRow,
    MessageRow,
    ScheduleRow,
    SkippedFirings,
    TaskRow,
)
from understudy.supervision.journal.line import TAIL_BYTES, is_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FORMAT = 8
"""Another one is built anew: it changes when a fold or a row does."""
_BLOCK_ROWS = 1000


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    kept: Kept
    cursors: tuple[Cursor, ...]
    manager: ManagerRow
    manager_wakes: tuple[tuple[str, QueueName], ...]


class _Line(NamedTuple):
    place: int
    seq: int | None
    tag: str
    row_id: str
    data: bytes


class TableDump(NamedTuple):
    """A table's rows at one moment: ids in order, rows that are over, rows that are not."""

    name: str
    order: tuple[str, ...]
    over: tuple[tuple[str, Packed], ...]
    active: tuple[BaseModel, ...]


class ModelDump(NamedTuple):
    """The read model at one moment. Cheap to make, since only references are copied."""

    head: _Head
    tables: tuple[TableDump, ...]
    outputs: tuple[tuple[str, bytes], ...]

    @property
    def cursors(self) -> tuple[Cursor, ...]:
        """How far each journal was read."""
        return self.head.cursors

    def lines(self) -> Iterator[bytes]:
        """The file's lines, without their ends; the same model gives the same ones."""
        yield seal(self.head.model_dump_json().encode()[:-1])[:-1]
        for table in self.tables:
            yield from _table_lines(table)
        yield from _blocks("outputs", [_Line(0, None, "", task, output) for task, output in self.outputs])


def dump_of(model: ReadModel) -> ModelDump:
    """The model as it stands."""
    head = _Head(
        format=FORMAT,
        kept=model.kept,
        cursors=tuple(sorted(model.cursors.values(), key=lambda cursor: cursor.journal)),
        manager=model.manager,
        manager_wakes=tuple(model.manager_wakes.items()),
    )
    tables = (
        _bounded("tasks", model.tasks),
        _bounded("messages", model.messages),
        TableDump("schedules", tuple(model.schedules.names()), (), tuple(model.schedules)),
        TableDump("skipped", tuple(model.skipped.names()), (), tuple(model.skipped)),
    )
    return ModelDump(head, tables, tuple(model.outputs.items()))


def load(lines: Iterable[bytes], kept: Kept) -> ReadModel:
    """The model that the lines (without their ends) are of.

    Raises:
        ValueError: they are of another format, or of a model that kept another amount.
    """
    rest = iter(lines)
    # The format first: the head of another one may have other fields.
    first = next(rest, b"{}") + b"\n"
    found: Any = json.loads(first)
    if not isinstance(found, dict) or cast("dict[str, Any]", found).get("format") != FORMAT:
        raise ValueError(f"expected format {FORMAT}, got {first[:40]!r}")
    head = _head_of(first)
    if head.kept != kept:
        raise ValueError(f"expected a model that keeps {kept}, got {head.kept}")
    model = ReadModel(kept)
    model.cursors = {cursor.journal: cursor for cursor in head.cursors}
    model.manager = head.manager
    model.manager_wakes = dict(head.manager_wakes)
    _load_rows(model, rest)
    return model


def cursors_of(first: bytes) -> tuple[Cursor, ...]:
    """The cursors in a file's first line, which proves itself; none where that is not of this format."""
    try:
        return _head_of(first + b"\n").cursors
    except ValueError:
        return ()


def _head_of(first: bytes) -> _Head:
    if not is_sealed(first):
        raise ValueError("the head's checksum is wrong")
    return _Head.model_validate_json(first[:-TAIL_BYTES] + b"}")


def _load_rows(model: ReadModel, lines: Iterator[bytes]) -> None:
    places: dict[str, list[tuple[int, str]]] = {"tasks": [], "messages": [], "schedules": [], "skipped": []}
    over: dict[str, dict[str, Packed]] = {"tasks": {}, "messages": {}}
    types = {"tasks": TaskRow, "messages": MessageRow, "schedules": ScheduleRow, "skipped": SkippedFirings}
    tables: dict[str, Table[Any]] = {
        "tasks": model.tasks,
        "messages": model.messages,
        "schedules": model.schedules,
        "skipped": model.skipped,
    }
    for block in lines:
        name, block_places, seqs, tags, ids = from_json(block)
        rows = tuple(islice(lines, len(ids)))
        if name == "outputs":
            for task, output in zip(ids, rows, strict=True):
                model.put_packed_output(task, output)
            continue
        places[name].extend(zip(block_places, ids, strict=True))
        if None not in seqs:
            over[name].update(zip(ids, map(Packed._make, zip(tags, seqs, rows, strict=True)), strict=True))
        else:
            for row in rows:
                tables[name].put(types[name].model_validate_json(row))
    model.tasks.fill(over["tasks"])
    model.messages.fill(over["messages"])
    for name, found in places.items():
        tables[name].reorder([row_id for _, row_id in sorted(found)])


def _bounded(name: str, table: BoundedTable[Any]) -> TableDump:
    return TableDump(name, tuple(table.names()), tuple(table.over.items()), tuple(table.active.values()))


def _table_lines(table: TableDump) -> Iterator[bytes]:
    places = {row_id: place for place, row_id in enumerate(table.order)}
    over = [
        _Line(places[row_id], packed.seq, packed.tag, row_id, packed.data) for row_id, packed in table.over
    ]
    yield from _blocks(table.name, over)
    active: list[_Line] = []
    for row in table.active:
        row_id: str = getattr(row, "id")  # noqa: B009 - each row has one
        data = row.model_dump_json(exclude_defaults=True).encode()
        active.append(_Line(places[row_id], None, "", row_id, data))
    yield from _blocks(table.name, active)


def _blocks(table: str, rows: Sequence[_Line]) -> Iterator[bytes]:
    """Those that are over and those that are not are never in one block."""
    for start in range(0, len(rows), _BLOCK_ROWS):
        places, seqs, tags, ids, data = zip(*rows[start : start + _BLOCK_ROWS], strict=True)
        yield to_json((table, places, seqs, tags, ids))
        yield from data
