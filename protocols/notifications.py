"""Notifications: how the end of a task finds its way back to the session that owns it."""

from __future__ import annotations

from understudy.protocols.base import Event, Message
from understudy.protocols.tasks import TaskResult, TaskStatus


class TaskDone(Message[None]):
    """From the pool to the notifier, durably, for each task that reaches a final state."""

    result: TaskResult


class TaskDoneSent(Event):
    """The notifier's journal: the result is on its way to `receiver`, the actor that keeps the session.

    The send is part of the same line, so it arrives there exactly once.
    """

    task: str
    attempt: int
    status: TaskStatus
    session: str
    receiver: str
