"""The notifier: tells each session how its tasks ended."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pydantic import BaseModel, Field

from understudy.protocols.conversation import WakeTaskDone
from understudy.protocols.notifications import TaskDone, TaskDoneSent
from understudy.supervision.persistent import PersistentActor

log = logging.getLogger("understudy.notifier")

REMEMBERED = 10_000
"""So many told tasks are remembered, to know one that comes twice."""


class NotifierState(BaseModel):
    """`told`: task ids, oldest first, with the attempt that was told; `count` of all there ever were."""

    told: dict[str, int] = Field(default_factory=dict)
    count: int = 0


class NotifierActor(PersistentActor[NotifierState]):
    """Passes each `TaskDone` on to the actor that keeps the owning session, exactly once (NT-1).

    The send is in the same journal line as the record of it, and is repeated until it is durable at the
    receiver (rules D): a receiver that is down, halted or being rebuilt gets it when it is back.

    Args:
        sessions: which actor keeps which session; all others are the manager's.
        manager: the manager's name.
    """

    def __init__(self, *, sessions: Mapping[str, str] | None = None, manager: str = "manager") -> None:
        super().__init__()
        self._sessions = dict(sessions or {})
        self._manager = manager

    def task_done(self, message: TaskDone) -> None:
        result = message.result
        if result.task in self.state.told:
            log.warning("%s was told before", result.task, extra={"action": "task_done_again"})
            return
        receiver = self._sessions.get(result.session, self._manager)
        self.emit(
            TaskDoneSent(
                task=result.task,
                attempt=result.attempt,
                status=result.status,
                session=result.session,
                receiver=receiver,
            )
        )
        self.send(receiver, WakeTaskDone(result=result))

    def task_done_sent(self, event: TaskDoneSent) -> None:
        told = self.state.told
        told[event.task] = event.attempt
        self.state.count += 1
        if len(told) > REMEMBERED:
            del told[next(iter(told))]
