"""The conversation: inputs, replies, and the runs of the manager in between."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from understudy.protocols.base import Event, Frozen, Message
from understudy.protocols.engine import (
    Action,
    ActionProblem,
    DueSchedule,
    HistoryMessage,
    Persona,
    UserInput,
)
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


class TakePersona(Message[None]):
    """From the evolver: what the next runs are given. Wakes nobody."""

    persona: Persona


class ManagerStatus(Frozen):
    """What the manager is at, and how much waits.

    Attributes:
        run: the run in flight, None when idle; `attempt` and `engine` are its.
        waiting: wake events that are not in the batch of the run in flight.
        open_inputs: inputs without a final reply.
        error: why its last attempt failed, when the next one is due at `retry_at` (epoch seconds).
        answering: the engine that answered last.
        inputs_cursor, inputs_total: of the inputs (and reminders) that came since that queue was last
            compacted, how many are consumed, and how many there were; for the results of tasks the
            other two.
    """

    run: str | None
    attempt: int
    waiting: int
    open_inputs: int
    engine: str | None = None
    error: str = ""
    retry_at: float | None = None
    answering: str | None = None
    inputs_cursor: int = 0
    inputs_total: int = 0
    results_cursor: int = 0
    results_total: int = 0


class GetManagerStatus(Message[ManagerStatus]):
    """Reads only."""


class RecentMessages(Frozen):
    """Oldest first; what is long is cut."""

    messages: tuple[HistoryMessage, ...]
    persona: Persona | None = None


class GetRecentMessages(Message[RecentMessages]):
    """The end of the conversation, as runs are shown it. Reads only."""


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
    """The attempt failed.

    Attributes:
        engine: whose it was.
        retry_at: when the same batch is tried again (epoch seconds), all engines having failed; None
            when the next engine of the chain is called at once.
        messages: what people are told about it.
    """

    run: str
    attempt: int
    error: str
    retry_at: float | None
    engine: str = ""
    messages: tuple[ConversationMessage, ...] = ()


class RunPaused(Event):
    """The runtime was stopped in order under the attempt: it is begun again, and that is no crash."""

    run: str
    attempt: int


class RunSucceeded(Event):
    """The run's replies and actions, and the consumption of its batch: one fact (rule E1).

    Attributes:
        engine: who answered; its session is `session_id`.
        problems: the actions that were dropped, since they could not be done and were not corrected.
    """

    run: str
    attempt: int
    batch: tuple[str, ...]
    messages: tuple[ConversationMessage, ...]
    actions: tuple[Action, ...]
    session_id: str | None = None
    engine: str = ""
    problems: tuple[ActionProblem, ...] = ()


class RunGivenUp(Event):
    """No attempt succeeded: the batch is consumed by fallback replies (MG-2)."""

    run: str
    attempt: int
    batch: tuple[str, ...]
    messages: tuple[ConversationMessage, ...]
    error: str


class SessionRebuilt(Event):
    """The engine's session `old` could not be gone on with: it is `new` from now on (MG-3).

    What the conversation's sessions own (tasks, their results) is the new one's: a task records its
    session of the conversation, never the engine's.
    """

    engine: str
    old: str
    new: str | None
    reason: str


class QueueCompacted(Event):
    """All `records` of the queue are consumed: its cursor begins anew, at 0. Ids go on (JR-5)."""

    queue: Literal["inputs", "results"]
    records: int


class NoticePosted(Event):
    """Messages of the system's outside of a run; they answer nothing."""

    messages: tuple[ConversationMessage, ...]


class PersonaTaken(Event):
    """Runs are given this from now on."""

    persona: Persona
