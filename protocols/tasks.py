"""Tasks: what the worker pool is asked, what it answers, and the facts of a task's life."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from understudy.protocols.base import Event, Frozen, Message

MAIN_SESSION = "main"
"""The session that owns what names no other."""

RECORD_BYTES = 64 * 1024
"""So much of an attempt's output is kept in its record (the end of it)."""

FILE_BYTES = 64 * 1024 * 1024
"""So much of an attempt's output is kept in a file of its own (the start of it)."""

EXCERPT_BYTES = 4 * 1024
"""So much of it travels with the result to the session that owns the task."""

TaskStatus = Literal["pending", "running", "succeeded", "failed", "canceled"]
FINAL: frozenset[TaskStatus] = frozenset({"succeeded", "failed", "canceled"})

Word = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""Text without a NUL, which no process takes as an argument."""


class TaskSpec(Frozen):
    """What to do, and within which bounds.

    Attributes:
        command: program and arguments for `shell`; whatever the executor takes for others.
        executor: name of an executor that the pool has.
        priority: a higher one starts first; equal ones in the order of creation.
        timeout_s: bound of one attempt in seconds; None for no bound.
        retries: how many more attempts a failed or timed-out one is followed by.
        retry_delay_s: seconds before the first of them, doubled each time, at most 300.
        session: who is told how it ended.
        origin: the input that asked for it, when one did.
        schedule: the schedule that fired it, when one did; `nominal_at` is when it was due (epoch seconds).
    """

    title: str = Field(min_length=1, max_length=500)
    command: tuple[Word, ...] = ()
    executor: str = "shell"
    priority: int = Field(default=0, ge=-1000, le=1000)
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    retries: int = Field(default=0, ge=0, le=100)
    retry_delay_s: float = Field(default=1.0, ge=0, le=3600, allow_inf_nan=False)
    session: str = MAIN_SESSION
    origin: str | None = None
    schedule: str | None = None
    nominal_at: float | None = None

    @model_validator(mode="after")
    def _has_a_program(self) -> TaskSpec:
        if self.executor == "shell" and not (self.command and self.command[0].strip()):
            msg = 'expected a command such as ["echo", "hello"], got an empty one'
            raise ValueError(msg)
        return self


class Output(Frozen):
    """What an attempt wrote (standard output and error, merged), bounded.

    Attributes:
        text: the last `RECORD_BYTES` at most.
        total_bytes: how many it wrote in all.
        cut: whether `text` lacks something at its start.
        file: path of the file with more of it, relative to the home; None when `text` is all.
        file_cut: whether that file lacks something at its end (`FILE_BYTES`, or the disk was full).
    """

    text: str = ""
    total_bytes: int = 0
    cut: bool = False
    file: str | None = None
    file_cut: bool = False


class TaskResult(Frozen):
    """How a task ended, as its session is told. `output` is an excerpt of at most `EXCERPT_BYTES`."""

    task: str
    title: str
    status: TaskStatus
    attempt: int
    reason: str
    source: str
    exit_code: int | None = None
    output: str = ""
    output_bytes: int = 0
    output_cut: bool = False
    session: str = MAIN_SESSION
    origin: str | None = None
    schedule: str | None = None


class TaskView(Frozen):
    """A task as the pool knows it: without its output, which the read model has."""

    id: str
    title: str
    status: TaskStatus
    attempts: int
    command: tuple[str, ...] = ()
    reason: str = ""
    origin: str | None = None
    session: str = MAIN_SESSION
    schedule: str | None = None


class TaskAccepted(Frozen):
    """The task is durable; it starts when a place is free."""

    id: str


class CreateTask(Message[TaskAccepted]):
    """Make a task. `id` is one from `ReserveTaskId`, or None for the next free one.

    Raises (to who asks): `Refused` for an executor that the pool does not have, or an `id` that is
    not reserved or is in use.
    """

    spec: TaskSpec
    id: str | None = None


class ReserveTaskId(Message[TaskAccepted]):
    """Take an id for a task that is only proposed yet (rule E1). Never given to another one."""


class CancelAccepted(Frozen):
    """`status` is `canceled`, or `running` while the attempt is being ended."""

    id: str
    status: TaskStatus


class CancelTask(Message[CancelAccepted]):
    """End a task: a pending one at once, a running one by signal, grace period and kill.

    Raises (to who asks): `NotFound`; `Refused` when it has already succeeded or failed.
    """

    id: str
    source: str = "api"
    reason: str = Field(default="canceled by request", max_length=500)


class GetTask(Message[TaskView]):
    """Reads one. Raises (to who asks): `NotFound`."""

    id: str


class TaskList(Frozen):
    """Tasks, newest first; `pending` and `running` count all of the pool's."""

    tasks: tuple[TaskView, ...]
    pending: int
    running: int


class ListTasks(Message[TaskList]):
    """All tasks that are not over, and the newest of the others, `limit` in all."""

    limit: int = Field(default=50, ge=1, le=1000)


class TaskIdReserved(Event):
    """The id is taken by a proposal."""

    id: str


class TaskCreated(Event):
    """The task is `pending`."""

    id: str
    spec: TaskSpec


class TaskStarted(Event):
    """The task is `running`. Attempts count from 1; with the task they make the token (rule E3)."""

    id: str
    attempt: int


class TaskRequeued(Event):
    """The runtime went down under the attempt: `pending` again, without using up a retry."""

    id: str
    attempt: int
    reruns: int
    reason: str


class TaskRetried(Event):
    """The attempt failed or timed out: `pending` again until `retry_at` (epoch seconds)."""

    id: str
    attempt: int
    failures: int
    reason: str
    retry_at: float
    exit_code: int | None = None
    output: Output = Output()


class TaskCancelRequested(Event):
    """A running task is to end; it stays `running` until its attempt has."""

    id: str
    attempt: int
    source: str
    reason: str


class TaskFinished(Event):
    """The task is in a final state: `succeeded`, `failed` or `canceled`; nothing follows.

    Attributes:
        attempt: the last one; 0 when it never started.
        source: who decided: `worker` for an outcome, `runtime` for a limit, or who canceled.
    """

    id: str
    attempt: int
    status: TaskStatus
    reason: str
    source: str
    exit_code: int | None = None
    output: Output = Output()
