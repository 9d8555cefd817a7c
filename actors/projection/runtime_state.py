"""`state/runtime-state.json`: the read model's gist in one file, for `jq` and old habits (PJ-3).

Written from the read model and never read back. It is sealed like a journal's line: the checksum at its
end is wrong when somebody else has written to it, also long ago and under another process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from understudy.protocols.read_model import ScheduleRow, TaskRow
from understudy.supervision.journal.line import is_sealed, seal

if TYPE_CHECKING:
    from pathlib import Path

    from understudy.actors.projection.model import ReadModel
    from understudy.supervision.files import Files

MOST_ACTIVE = 1000
MOST_FINISHED = 100
MOST_SCHEDULES = 1000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Queues(_Part):
    """How many inputs (reminders too) and results the manager's runs have consumed."""

    inputs_cursor: int
    results_cursor: int


class RuntimeState(_Part):
    """The file, under the names of S1.

    Attributes:
        manager_running: whether a run is in flight.
        planner_session_id: the engine's session.
        task_counts: of each status, all counted.
        tasks: those that are not over, and the newest of the others; oldest first.
        cron_jobs: the newest schedules.
        worker_queue: ids of tasks that wait.
        running_controllers: ids of tasks that run.
    """

    manager_running: bool
    queues: Queues
    planner_session_id: str | None
    task_counts: dict[str, int]
    tasks: tuple[TaskRow, ...]
    cron_jobs: tuple[ScheduleRow, ...]
    worker_queue: tuple[str, ...]
    running_controllers: tuple[str, ...]


def encode(model: ReadModel) -> bytes:
    """The file's bytes; the same model gives the same."""
    active = list(model.tasks.active.values())[-MOST_ACTIVE:]
    shown = {row.id for row in active}
    finished = [row for row in model.tasks.newest(MOST_FINISHED) if row.id not in shown]
    manager = model.manager
    state = RuntimeState(
        manager_running=manager.run is not None,
        queues=Queues(inputs_cursor=manager.inputs_cursor, results_cursor=manager.results_cursor),
        planner_session_id=manager.session_id,
        task_counts={status: count for status, count in sorted(model.tasks.counts.items()) if count},
        tasks=(*finished, *active),
        cron_jobs=tuple(model.schedules.newest(MOST_SCHEDULES)),
        worker_queue=tuple(row.id for row in active if row.status == "pending"),
        running_controllers=tuple(row.id for row in active if row.status == "running"),
    )
    return seal(state.model_dump_json(by_alias=True).encode()[:-1])


class RuntimeStateFile:
    """Keeps the file level with the read model.

    Args:
        files: how it is written.
        path: where.
    """

    def __init__(self, files: Files, path: Path) -> None:
        self.path = path
        self._files = files
        self._ours: bytes | None = None

    def write(self, data: bytes) -> bool:
        """Put `data` there, unless it is there; durable when it returns. Blocks.

        Returns:
            whether somebody else had written to the file, which is overwritten.

        Raises:
            OSError.
        """
        try:
            there = self._files.read_all(self.path)
        except FileNotFoundError:
            there = b""
        foreign = there not in {b"", self._ours} and (self._ours is not None or not is_sealed(there))
        if there != data:
            self._files.publish(self.path, data)
        self._ours = data
        return foreign
