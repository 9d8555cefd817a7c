"""The read model in memory: what the journals say, folded into tables."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from understudy.actors.projection.table import Table
from understudy.protocols.read_model import (
    Cursor,
    ManagerRow,
    MessageRow,
    ScheduleRow,
    TaskDetail,
    TaskRow,
)
from understudy.protocols.tasks import Output, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 2
OUTPUT_BUDGET_BYTES = 32 << 20


class ModelDump(BaseModel):
    """The read model as a file holds it. `format` changes when a fold does: another one is built anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    cursors: tuple[Cursor, ...]
    tasks: tuple[TaskRow, ...]
    outputs: tuple[tuple[str, Output], ...]
    messages: tuple[MessageRow, ...]
    schedules: tuple[ScheduleRow, ...]
    manager: ManagerRow
    manager_wakes: tuple[str, ...]


class ReadModel:
    """Tables, and the cursor of each journal that they were folded from."""

    def __init__(self) -> None:
        self.cursors: dict[str, Cursor] = {}
        self.tasks = Table[TaskRow]()
        self.active: dict[str, None] = {}
        self.counts = Counter[TaskStatus]()
        self.messages = Table[MessageRow]()
        self.schedules = Table[ScheduleRow]()
        self.manager = ManagerRow()
        self.manager_wakes: dict[str, None] = {}
        self._outputs: dict[str, Output] = {}
        self._output_bytes = 0

    def cursor(self, journal: str) -> Cursor:
        """How far `journal` was read; seq 0 when not at all."""
        return self.cursors.get(journal) or Cursor(journal=journal, incarnation=1, seq=0)

    def rows(self) -> int:
        """How many rows there are: what writing the model costs."""
        return len(self.tasks) + len(self.messages) + len(self.schedules)

    def put_task(self, row: TaskRow) -> None:
        """Add or replace a task; keeps the counts and the set of those that are not over."""
        old = self.tasks.get(row.id)
        if old is not None:
            self.counts[old.status] -= 1
        self.counts[row.status] += 1
        if row.status in ("pending", "running"):
            self.active[row.id] = None
        else:
            self.active.pop(row.id, None)
        self.tasks.put(row)

    def put_output(self, task: str, output: Output) -> None:
        """Keep a task's output, as long as all that are kept fit the budget; the oldest go first."""
        self._drop_output(task)
        self._outputs[task] = output
        self._output_bytes += len(output.text)
        while self._output_bytes > OUTPUT_BUDGET_BYTES:
            self._drop_output(next(iter(self._outputs)))

    def _drop_output(self, task: str) -> None:
        if (old := self._outputs.pop(task, None)) is not None:
            self._output_bytes -= len(old.text)

    def task_detail(self, task: str) -> TaskDetail | None:
        """A task with its output; None when there is no such task."""
        row = self.tasks.get(task)
        if row is None:
            return None
        return TaskDetail.model_construct(**dict(row), output=self._outputs.get(task))

    def dump(self) -> ModelDump:
        """The model as it stands; cheap, since rows are immutable: only references are copied."""
        return ModelDump.model_construct(
            format=FORMAT,
            cursors=tuple(sorted(self.cursors.values(), key=lambda cursor: cursor.journal)),
            tasks=tuple(self.tasks),
            outputs=tuple(self._outputs.items()),
            messages=tuple(self.messages),
            schedules=tuple(self.schedules),
            manager=self.manager,
            manager_wakes=tuple(self.manager_wakes),
        )

    @classmethod
    def load(cls, dump: ModelDump) -> ReadModel:
        """The model that `dump` was made of."""
        model = cls()
        model.cursors = {cursor.journal: cursor for cursor in dump.cursors}
        for task in dump.tasks:
            model.put_task(task)
        for name, output in dump.outputs:
            model.put_output(name, output)
        _fill(model.messages, dump.messages)
        _fill(model.schedules, dump.schedules)
        model.manager = dump.manager
        model.manager_wakes = dict.fromkeys(dump.manager_wakes)
        return model


def _fill(table: Table[MessageRow] | Table[ScheduleRow], rows: Iterable[MessageRow | ScheduleRow]) -> None:
    for row in rows:
        table.put(row)  # pyright: ignore[reportArgumentType] -- each table is filled from its own rows
