"""The conversation: inputs, replies, and the runs of the manager in between."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from understudy.protocols.base import Event, Frozen, Message
from understudy.protocols.engine import Action, DueSchedule, UserInput
from understudy.protocols.tasks import MAIN_SESSION, TaskResult

INPUT_CHARACTERS = 200_000
"""The longest input."""


class ConversationMessage(Frozen):
    """A message as people see it. The inputs themselves are `InputReceived` events (role `user`).

    Attributes:
        id: `msg-N`.
        in_reply_to: the inputs that this is the final reply to; each input is in exactly one.
        task: the task that it is about, when it is about one.
    """

    id: str
    role: Literal["assistant", "system"]
    text: str
    in_reply_to: tuple[str, ...] = ()
    task: str | None = None
    session: str = MAIN_SESSION


class InputAccepted(Frozen):
    """The input is durable, and will get one final reply."""

    id: str


class SubmitInput(Message[InputAccepted]):
    """What a person says to the manager; wakes it."""

    text: str = Field(min_length=1, max_length=INPUT_CHARACTERS)
    session: str = MAIN_SESSION

    @field_validator("text")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if not text.strip():
            msg = "expected some text, got only spaces"
            raise ValueError(msg)
        return text


class WakeTaskDone(Message[None]):
    """From the notifier: a task of this session has ended."""

    result: TaskResult


class WakeCronDue(Message[None]):
    """From cron: a reminder is due."""

    due: DueSchedule


class ManagerStatus(Frozen):
    """What the manager is at: the run in flight (None when idle), and how much waits."""

    run: str | None
    attempt: int
    waiting: int
    open_inputs: int


class GetManagerStatus(Message[ManagerStatus]):
    """Reads only."""


class InputReceived(Event):
    """Wake source `user_input`; also the message with role `user`."""

    input: UserInput


class TaskDoneReceived(Event):
    """Wake source `task_done`."""

    result: TaskResult


class CronDueReceived(Event):
    """Wake source `cron_due`."""

    due: DueSchedule


class RunStarted(Event):
    """The one run in flight; `batch` names its wake events (an input, a task or a firing each)."""

    run: str
    attempt: int
    batch: tuple[str, ...]
    engine: str


class RunFailed(Event):
    """The attempt failed; the same batch is tried again at `retry_at` (epoch seconds)."""

    run: str
    attempt: int
    error: str
    retry_at: float


class RunSucceeded(Event):
    """The run's replies and actions, and the consumption of its batch: one fact (rule E1)."""

    run: str
    attempt: int
    batch: tuple[str, ...]
    messages: tuple[ConversationMessage, ...]
    actions: tuple[Action, ...]
    session_id: str | None = None


class RunGivenUp(Event):
    """No attempt succeeded: the batch is consumed by fallback replies (MG-2)."""

    run: str
    attempt: int
    batch: tuple[str, ...]
    messages: tuple[ConversationMessage, ...]
    error: str
