"""What running attempts say of themselves: the newest word of each, passed on at a bounded rate (WK-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from understudy.protocols.read_model import LIVE_CHARACTERS, Change, LiveRow, TaskRow

if TYPE_CHECKING:
    from understudy.actors.projection.model import ReadModel

LIVE_PAUSE_S = 0.1
"""Between two words of a task that viewers see."""


class LiveRows:
    """Rows by task, of attempts that run. Beside the read model: no journal has them."""

    def __init__(self) -> None:
        self._shown: dict[str, LiveRow] = {}
        self._said: dict[str, LiveRow] = {}
        self._something = trio.Event()

    def shown(self) -> tuple[LiveRow, ...]:
        """What viewers have."""
        return tuple(self._shown.values())

    def say(self, row: LiveRow) -> None:
        """The attempt's newest word, to be passed on with the next `take`."""
        if len(row.output) > LIVE_CHARACTERS:
            row = row.model_copy(update={"output": row.output[-LIVE_CHARACTERS:]})
        self._said[row.id] = row
        self._something.set()

    async def said(self) -> None:
        """Wait until there is something to take."""
        await self._something.wait()

    def take(self, model: ReadModel) -> list[Change]:
        """What was said since the last time, of attempts that run by what the model knows.

        A word that came before the line which says that its attempt has started waits for that.
        """
        said, self._said, self._something = self._said, {}, trio.Event()
        changes: list[Change] = []
        for name, row in said.items():
            task = model.tasks.active.get(name)
            if task is not None and task.status == "running" and task.attempts == row.attempt:
                self._shown[name] = row
                changes.append(Change.model_construct(table="live", id=name, row=row))
            elif name not in model.tasks or (task is not None and task.attempts < row.attempt):
                self._said[name] = row
        return changes

    def after(self, change: Change) -> Change | None:
        """What follows from a task's change: a row of an attempt that has ended is gone."""
        task = change.row
        running = isinstance(task, TaskRow) and task.status == "running"
        if (said := self._said.get(change.id)) is not None:
            if running:
                self._something.set()  # it may have waited for this
            elif not isinstance(task, TaskRow) or said.attempt <= task.attempts:
                del self._said[change.id]
        if running or self._shown.pop(change.id, None) is None:
            return None
        return Change.model_construct(table="live", id=change.id, row=None)
