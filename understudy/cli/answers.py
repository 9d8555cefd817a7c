"""What the server answers, as far as the commands read it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from understudy.protocols.read_model import MessageRow, TaskRow
from understudy.protocols.tasks import TaskStatus


class Answer(BaseModel):
    """A JSON object; fields that this version does not know are left out."""

    model_config = ConfigDict(extra="ignore")


class IdAnswer(Answer):
    """A 202: durable under this id."""

    id: str


class TaskPage(Answer):
    """A page of tasks, newest first."""

    tasks: list[TaskRow]
    next: str | None = None


class MessagePage(Answer):
    """A page of the conversation, newest first."""

    messages: list[MessageRow]
    next: str | None = None


class CancelAnswer(Answer):
    """A cancel that was taken: `canceled`, or `running` while the attempt is being ended."""

    id: str
    status: TaskStatus
