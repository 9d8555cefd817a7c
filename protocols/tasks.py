"""Tasks: what the worker pool is asked, what it answers, and the facts of a task's life."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from understudy.protocols.base import Event, Frozen, Message

MAIN_SESSION = "main"
"""The session that owns what names no other."""

RECORD_BYTES = 64 * 1024
"""So much of an attempt's output is kept in its record (the end of it)."""

FILE_BYTES = 64 * 1024 * 1024
"""So much of an attempt's output is kept in a file of its own (the start of it)."""

EXCERPT_BYTES = 4 * 1024
"""So much of it travels with the result to the session that owns the task."""

RESULT_BYTES = 4 * 1024
"""So much JSON a callable may return: it is kept with its task, in memory and in each list."""

DEBOUNCE_ROUNDS = 10
"""A task that is debounced starts at the latest so many windows after the first one of its key came."""

DEFAULT_QUEUE = "default"

SUMMARY_CHARACTERS = 10_000
"""The longest summary of a task's result."""

TaskStatus = Literal["pending", "running", "succeeded", "failed", "canceled"]
FINAL: frozenset[TaskStatus] = frozenset({"succeeded", "failed", "canceled"})

Word = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""Text without a NUL, which no process takes as an argument."""


Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]

Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]
"""The name of an environment variable."""


def _object_text(value: object) -> object:
    """The JSON text of a mapping, or of what is JSON text already, if it stands for an object.

    Raises:
        ValueError: it does not.
    """
    if value == "{}":
        return value
    try:
        found: Any = json.loads(value) if isinstance(value, str) else value
        if isinstance(found, dict):
            return json.dumps(found, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        msg = f"expected named arguments that JSON can hold, got what it can't: {error}"
        raise ValueError(msg) from None
    msg = f'expected a JSON object such as {{"width": 3}}, got {type(found).__name__}'
    raise ValueError(msg)


JsonObject = Annotated[str, BeforeValidator(_object_text)]
"""The text of a JSON object, since messages hold nothing that can be changed; a mapping is taken for it."""


class Work(Frozen):
    """What to do, and within which bounds: of a task, and of the tasks that a schedule makes.

    Attributes:
        command: program and arguments for `shell`; whatever the executor takes for others.
        executor: `shell`, `python` (a registered callable), a profile (`deferred`, `standard`,
            `specialist`), or another name of an executor that the pool has.
        function: the registered callable that `python` calls; `arguments` are its, by name, as JSON.
        queue: tasks of a queue share its limit, where the configuration has one.
        priority: a higher one starts first; equal ones in the order of creation.
        timeout_s: bound of one attempt in seconds; None for the configuration's.
        retries: how many more attempts a failed or timed-out one is followed by.
        retry_delay_s: seconds before the first of them, doubled each time, within a fifth more or less.
        workspace: folder to work in: below the home's `work/`, or an absolute path in an allowed root.
        env: further environment variables, as pairs.
    """

    command: tuple[Word, ...] = ()
    executor: Name = "shell"
    function: str = Field(default="", max_length=200)
    arguments: JsonObject = "{}"
    queue: Name = DEFAULT_QUEUE
    priority: int = Field(default=0, ge=-1000, le=1000)
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    retries: int = Field(default=0, ge=0, le=100)
    retry_delay_s: float = Field(default=1.0, ge=0, le=3600, allow_inf_nan=False)
    workspace: Word | None = Field(default=None, min_length=1, max_length=4000)
    env: tuple[tuple[Variable, Word], ...] = ()

    def check_program(self) -> None:
        """Raise a `ValueError` when its executor would have nothing to carry out."""
        if self.executor == "shell" and not (self.command and self.command[0].strip()):
            msg = 'expected a command such as ["echo", "hello"], got an empty one'
            raise ValueError(msg)
        if self.executor == "python" and not self.function:
            msg = "expected the name of a registered callable as `function`, got none"
            raise ValueError(msg)


class TaskSpec(Work):
    """A task: its work, when it may start, and who is told.

    Attributes:
        start_at: not before this time (epoch seconds).
        fingerprint: while a task with the same one is active, another one is refused.
        replace_key: a newer task with the same one cancels the older active one, then starts.
        debounce_s: the start is put off so long, and again by each newer task of the same `replace_key`.
        session: who is told how it ended.
        origin: the input that asked for it, when one did.
        schedule: the schedule that fired it, when one did; `nominal_at` is when it was due (epoch seconds).
    """

    title: str = Field(min_length=1, max_length=500)
    start_at: float | None = Field(default=None, ge=0, le=1e11, allow_inf_nan=False)
    fingerprint: Name | None = None
    replace_key: Name | None = None
    debounce_s: float = Field(default=0.0, ge=0, le=86_400, allow_inf_nan=False)
    session: str = MAIN_SESSION
    origin: str | None = None
    schedule: str | None = None
    nominal_at: float | None = None

    def model_post_init(self, _context: object) -> None:
        """Refuse what does not go together: once, where a validator would look again in each message."""
        self.check_program()
        if self.debounce_s and self.replace_key is None:
            msg = "expected a replace_key with debounce_s, got none: it names what is done once"
            raise ValueError(msg)


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
    """How a task ended, as its session is told.

    `output` is an excerpt of at most `EXCERPT_BYTES`, `value` what a callable returned, as JSON.
    """

    task: str
    title: str
    status: TaskStatus
    attempt: int
    reason: str
    source: str
    exit_code: int | None = None
    value: str | None = None
    output: str = ""
    output_bytes: int = 0
    output_cut: bool = False
    session: str = MAIN_SESSION
    origin: str | None = None
    schedule: str | None = None
    queue: str = DEFAULT_QUEUE


class TaskView(Frozen):
    """A task as the pool knows it. `GetTask` adds what the read model has: lists leave that out.

    Attributes:
        reason: why a pending one waits, and how a finished one ended.
        value: what its callable returned, as JSON.
        started_at: of its last attempt.
        canceling: whether it runs and was asked to end.
        progress, note: what a running attempt says of itself; `progress` is from 0 to 1.
        output: the end of what its last attempt has written, also while it runs; `output_bytes` is all of it.
        retry_at: when the next attempt starts, after a failed one.
        summary: what the manager's engine made of the result.
    """

    id: str
    title: str
    status: TaskStatus
    attempts: int
    command: tuple[str, ...] = ()
    reason: str = ""
    value: str | None = None
    queue: str = DEFAULT_QUEUE
    due_at: float | None = None
    origin: str | None = None
    session: str = MAIN_SESSION
    schedule: str | None = None
    executor: str = "shell"
    function: str = ""
    priority: int = 0
    timeout_s: float | None = None
    retries: int = 0
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    retry_at: float | None = None
    canceling: bool = False
    source: str | None = None
    exit_code: int | None = None
    progress: float | None = None
    note: str = ""
    output: str = ""
    output_bytes: int = 0
    summary: str = ""


class TaskAccepted(Frozen):
    """The task is durable; it starts when a place is free.

    `skipped`: it was a schedule's firing that a rule skips: there is no task, `id` is the one in the way.
    """

    id: str
    skipped: bool = False


class CreateTask(Message[TaskAccepted]):
    """Make a task. `id` is one from `ReserveTaskId`, or None for the next free one.

    A task that was promised (`id` is given) or that a schedule fires, and that can't be made, is made
    and has failed at once, so that who waits for its end hears of one. But a firing whose fingerprint
    is that of an active task is skipped: recorded as `FiringSkipped`, and nobody is woken.

    Raises (to who asks): `TaskRefused`, of which each rule has a subclass; `Refused` for an `id` that is
    not reserved or is in use.
    """

    spec: TaskSpec
    id: str | None = None


class CheckTask(Message[None]):
    """Whether such a task would be taken, as the pool is configured now; makes none.

    Raises (to who asks): `TaskRefused`, of which each rule has a subclass.
    """

    spec: TaskSpec


class ReserveTaskId(Message[TaskAccepted]):
    """Take an id for a task that is only proposed yet (rule E1). Never given to another one."""


class CancelAccepted(Frozen):
    """`status` is `canceled`, or `running` while the attempt is being ended."""

    id: str
    status: TaskStatus


class CancelTask(Message[CancelAccepted]):
    """End a task: a pending one at once, a running one by signal, grace period and kill.

    Raises (to who asks): `NotFound`, also when the task is so long over that the pool has forgotten it;
    `TaskOver` when it has already succeeded or failed.
    """

    id: str
    source: str = "api"
    reason: str = Field(default="canceled by request", max_length=500)


class RetryTask(Message[TaskAccepted]):
    """Do the work of a task that failed or was canceled once more, as a new task that may start at once.

    The old one keeps its state and its record: final states are final. The new one belongs to no schedule.

    Raises (to who asks): `NotFound`, also when the pool has forgotten the task; `Refused` when it is not over
    or succeeded; `TaskRefused`, of which each rule has a subclass.
    """

    id: str


class SummarizeTask(Message[TaskAccepted]):
    """Keep the manager's summary of the result with a task that is over; a later one replaces it.

    Raises (to who asks): `NotFound`; `Refused` when the task is not over.
    """

    id: str
    text: str = Field(min_length=1, max_length=SUMMARY_CHARACTERS)


class GetTask(Message[TaskView]):
    """Reads one. Raises (to who asks): `NotFound`."""

    id: str


class TaskList(Frozen):
    """Tasks, newest first; `pending` and `running` count all of the pool's.

    `abandoned` counts threads of callables that were given up and still run.
    """

    tasks: tuple[TaskView, ...]
    pending: int
    running: int
    abandoned: int = 0


class ListTasks(Message[TaskList]):
    """All tasks that are not over, and the newest of the others, `limit` in all."""

    limit: int = Field(default=50, ge=1, le=1000)


class TaskIdReserved(Event):
    """The id is taken by a proposal."""

    id: str


class TaskCreated(Event):
    """The task is `pending`.

    Attributes:
        spec: with the time limit that holds for it, where it named none.
        due_at: not before (epoch seconds): a delayed start, or the end of its debounce window.
        since: when the first task of the chain came that debouncing has replaced so far.
        why: why it does not start at once, in a sentence; empty when it does.
    """

    id: str
    spec: TaskSpec
    due_at: float | None = None
    since: float | None = None
    why: str = ""


class FiringSkipped(Event):
    """A schedule's firing made no task: `rule` refused it, because of `task`. Nobody is woken."""

    schedule: str
    nominal_at: float | None
    rule: str
    task: str | None


class TaskStarted(Event):
    """The task is `running`. Attempts count from 1; with the task they make the token (rule E3)."""

    id: str
    attempt: int
    source: str = "runtime"
    reason: str = "a place was free"


class TaskRequeued(Event):
    """The runtime went down under the attempt: `pending` again, without using up a retry.

    `reruns` is how often it went down without a word so far; an orderly stop does not count.
    """

    id: str
    attempt: int
    reruns: int
    reason: str
    source: str = "runtime"


class TaskRetried(Event):
    """The attempt failed or timed out: `pending` again until `retry_at` (epoch seconds); `why` says so.

    `want` is what the machine lacked (file descriptors, memory, threads, processes) when the attempt could
    not even begin: that uses up no retry.
    """

    id: str
    attempt: int
    failures: int
    reason: str
    retry_at: float
    why: str = ""
    source: str = "worker"
    exit_code: int | None = None
    output: Output = Output()
    want: str = ""


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
        source: who decided: `worker` for an outcome, `runtime` for a limit, `replace` for a newer task
            of the same key, or who canceled.
        value: what a callable returned, as JSON.
        forgets: tasks that are over and that the pool remembers no longer, since this one is one too many.
    """

    id: str
    attempt: int
    status: TaskStatus
    reason: str
    source: str
    exit_code: int | None = None
    value: str | None = None
    output: Output = Output()
    forgets: tuple[str, ...] = ()


class TaskSummarized(Event):
    """The manager's summary of the task's result."""

    id: str
    text: str
