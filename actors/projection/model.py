"""The read model in memory: what the journals say, folded into tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from understudy.actors.projection.table import BoundedTable, Table
from understudy.protocols.read_model import (
    EXCERPT_CHARACTERS,
    Change,
    Cursor,
    ManagerRow,
    MessageRow,
    ScheduleRow,
    SkippedFirings,
    TaskDetail,
    TaskRow,
)
from understudy.protocols.tasks import FINAL, Output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from understudy.protocols.read_model import TableName

OUTPUT_BUDGET_BYTES = 32 << 20

QueueName = Literal["inputs", "results"]
"""Of the manager's two queues of wake events."""


class Kept(BaseModel):
    """How much of what is over a read model keeps; the oldest goes first.

    Attributes:
        tasks: finished tasks; their bytes are those of their rows, without the outputs.
        messages: messages other than inputs that still wait for a reply.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: int = Field(default=100_000, ge=1)
    task_bytes: int = Field(default=128 << 20, ge=1)
    messages: int = Field(default=20_000, ge=1)
    message_bytes: int = Field(default=64 << 20, ge=1)


class ReadModel:
    """Tables, and the cursor of each journal that they were folded from.

    Args:
        kept: bounds what is over.
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self.kept = kept or Kept()
        self.cursors: dict[str, Cursor] = {}
        self.tasks = BoundedTable(
            TaskRow,
            lambda row: row.status,
            lambda row: row.status in FINAL,
            self.kept.tasks,
            self.kept.task_bytes,
        )
        self.messages = BoundedTable(
            MessageRow,
            lambda row: row.role,
            lambda row: row.role != "user" or row.reply is not None,
            self.kept.messages,
            self.kept.message_bytes,
        )
        self.schedules = Table[ScheduleRow]()
        self.skipped = Table[SkippedFirings]()
        self.manager = ManagerRow()
        self.manager_wakes: dict[str, QueueName] = {}
        self.outputs: dict[str, bytes] = {}
        self._output_bytes = 0

    def cursor(self, journal: str) -> Cursor:
        """How far `journal` was read; seq 0 when not at all."""
        return self.cursors.get(journal) or Cursor(journal=journal, incarnation=1, seq=0)

    def rows(self) -> int:
        """How many rows there are: what writing the model costs."""
        return len(self.tasks) + len(self.messages) + len(self.schedules) + len(self.skipped)

    def put_task(self, row: TaskRow) -> None:
        """Add or replace a task."""
        self.tasks.put(row, self.cursor("workers").seq)

    def put_message(self, row: MessageRow) -> None:
        """Add or replace a message."""
        self.messages.put(row, self.cursor("manager").seq)

    def put_output(self, task: str, output: Output) -> None:
        """Keep a task's output, as long as all that are kept fit the budget; the oldest go first.

        One that its row's excerpt has in full is not kept twice.
        """
        if _is_all(output.text[-EXCERPT_CHARACTERS:], output.total_bytes):
            self._drop_output(task)
        else:
            self.put_packed_output(task, output.model_dump_json(exclude_defaults=True).encode())

    def put_packed_output(self, task: str, output: bytes) -> None:
        """The same, of an output that is packed."""
        self._drop_output(task)
        self.outputs[task] = output
        self._output_bytes += len(output)
        while self._output_bytes > OUTPUT_BUDGET_BYTES:
            self._drop_output(next(iter(self.outputs)))

    def _drop_output(self, task: str) -> None:
        if (old := self.outputs.pop(task, None)) is not None:
            self._output_bytes -= len(old)

    def forget(self, journal: str, seq: int) -> list[Change]:
        """Let the rows go that were over with the line `seq` of `journal`: the journal begins behind it."""
        if journal == "workers":
            self.tasks.evict_before(seq + 1)
        elif journal == "manager":
            self.messages.evict_before(seq + 1)
        return self.take_evicted()

    def take_evicted(self) -> list[Change]:
        """The rows that went to make room since this was called last."""
        if not (self.tasks.evicted or self.messages.evicted):
            return []
        for task in self.tasks.evicted:
            self._drop_output(task)
        changes = [*_gone("tasks", self.tasks.evicted), *_gone("messages", self.messages.evicted)]
        self.tasks.evicted.clear()
        self.messages.evicted.clear()
        return changes

    def task_detail(self, task: str) -> TaskDetail | None:
        """A task with its output; None when there is no such task."""
        row = self.tasks.get(task)
        if row is None:
            return None
        output = None
        if (packed := self.outputs.get(task)) is not None:
            output = Output.model_validate_json(packed)
        elif row.output_bytes and _is_all(row.excerpt, row.output_bytes):
            output = Output(text=row.excerpt, total_bytes=row.output_bytes)
        return TaskDetail.model_construct(**dict(row), output=output)


def _is_all(excerpt: str, total_bytes: int) -> bool:
    """Whether nothing was written but the excerpt. What was no text takes more bytes as text than it had."""
    return len(excerpt.encode()) == total_bytes


def _gone(table: TableName, ids: Iterable[str]) -> list[Change]:
    return [Change.model_construct(table=table, id=name, row=None) for name in ids]
