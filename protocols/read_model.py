"""The read model: the rows that people see, and the changes that keep a viewer's copy up to date.

A row belongs to one journal: tasks to the pool's, messages and the manager's state to the manager's,
schedules to cron's (rule P1). Actors, incidents and the system's state belong to the running system and
are not kept. Times are seconds since the epoch.
"""

from __future__ import annotations

from typing import Literal

from understudy.protocols.base import Event, Frozen, Message
from understudy.protocols.lifecycle import ActorStatus, Halt, Problem
from understudy.protocols.schedules import Misfire, Missed, Overlap, ScheduleKind, ScheduleStatus, Waking
from understudy.protocols.tasks import DEFAULT_QUEUE, MAIN_SESSION, Output, TaskStatus

EXCERPT_CHARACTERS = 400
"""So much of a task's output (the end of it) is in its row; `TaskDetail` has all that is kept."""

TableName = Literal["tasks", "live", "messages", "schedules", "manager", "actors", "incidents", "system"]

LIVE_CHARACTERS = 4000
"""So much of what a running attempt has written (the end of it) is shown while it runs."""


class TaskRow(Frozen):
    """A task as lists show it.

    Attributes:
        status: `pending`, `running`, or one of the final states `succeeded`, `failed`, `canceled`.
        attempts: how many were started.
        why: why it waits or how it ended, in a sentence; empty while it runs.
        due_at: when a pending one may start at the earliest; `retry_at` is the same for one that failed.
        canceling: whether it runs and was asked to end.
        output_bytes: how much its last finished attempt wrote; `excerpt` is the end of that.
        value: what its callable returned, as JSON.
        summary: what the manager's engine made of the result; empty when it made nothing.
    """

    id: str
    title: str
    status: TaskStatus
    attempts: int = 0
    command: tuple[str, ...] = ()
    executor: str = "shell"
    function: str = ""
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    timeout_s: float | None = None
    retries: int = 0
    session: str = MAIN_SESSION
    origin: str | None = None
    schedule: str | None = None
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    due_at: float | None = None
    retry_at: float | None = None
    canceling: bool = False
    why: str = ""
    source: str | None = None
    exit_code: int | None = None
    value: str | None = None
    output_bytes: int = 0
    excerpt: str = ""
    summary: str = ""


class LiveRow(Frozen):
    """What a running attempt says of itself; gone when it has ended. Never journaled, so not in a rebuild.

    Attributes:
        id: the task's.
        attempt: which of its attempts says it.
        progress: from 0 to 1; None when it does not tell.
        note: what it is at, in a few words.
        output: the end of what it has written so far, at most `LIVE_CHARACTERS`.
        output_bytes: how much it has written.
    """

    id: str
    attempt: int
    progress: float | None = None
    note: str = ""
    output: str = ""
    output_bytes: int = 0


class TaskDetail(TaskRow):
    """A task with its output; `output` is None before it has some, and when it is too long ago.

    The outputs of the newest tasks are kept, 32 MiB in all; older ones are in the pool's journal.
    `live` is what a running attempt says of itself.
    """

    output: Output | None = None
    live: LiveRow | None = None


class MessageRow(Frozen):
    """A message of the conversation: an input (role `user`) or a reply.

    Attributes:
        in_reply_to: for a reply, the inputs that it is the final reply to.
        reply: for an input, the id of its final reply; None while that is outstanding.
        task: the task that a reply is about.
    """

    id: str
    role: Literal["user", "assistant", "system"]
    text: str
    at: float
    in_reply_to: tuple[str, ...] = ()
    reply: str | None = None
    task: str | None = None
    session: str = MAIN_SESSION


class ScheduleRow(Frozen):
    """A schedule as lists show it.

    Attributes:
        at: the time of one that has a single one.
        next_at: the nominal time that comes next; None when there is none, or it is disabled.
        last_at: the nominal time of the last firing; `firings` counts them.
        missed: how many times nobody could fire and did not fire; `last_missed` are the latest of them.
    """

    id: str
    title: str
    cron: str | None = None
    at: float | None = None
    timezone: str
    command: tuple[str, ...] = ()
    executor: str = "shell"
    function: str = ""
    arguments: str = "{}"
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    timeout_s: float | None = None
    retries: int = 0
    workspace: str | None = None
    kind: ScheduleKind = "background"
    text: str = ""
    wake: Waking = "done"
    misfire: Misfire = "once"
    misfire_limit: int = 10
    misfire_grace_s: float = 60.0
    overlap: Overlap = "allow"
    jitter_s: float = 0.0
    status: ScheduleStatus = "enabled"
    session: str = MAIN_SESSION
    origin: str | None = None
    created_at: float
    next_at: float | None = None
    last_at: float | None = None
    firings: int = 0
    missed: int = 0
    last_missed: Missed | None = None


class SkippedFirings(Frozen):
    """Firings of a schedule that made no task, since a rule of the pool refused it: the pool's journal.

    Attributes:
        id: the schedule's.
        nominal_at: of the latest of `count`, as are the `rule`, the `task` in the way, and `at`, when it was.
    """

    id: str
    count: int
    nominal_at: float | None
    rule: str
    task: str | None
    at: float


class ScheduleDetail(ScheduleRow):
    """A schedule with what is known beside its row: the next nominal times, and what the pool skipped.

    Attributes:
        problem: why it can't fire on this machine now; None when it can.
    """

    next_runs: tuple[float, ...] = ()
    problem: str | None = None
    skipped: SkippedFirings | None = None


class ManagerRow(Frozen):
    """What the manager is at.

    Attributes:
        run: the run in flight; None when idle. `attempt` and `engine` are its.
        waiting: wake events that no run has consumed yet, those of the run in flight included.
        error: why the last attempt failed; the next one is due at `retry_at`, or under way when that
            is None.
        answering: the engine that answered last; `session_id` is its session.
        sessions: the session of each engine, by its name.
        inputs_cursor, inputs_total: of the inputs (and reminders) that came since that queue was last
            compacted, how many are consumed, and how many there were; the other two for the results of tasks.
    """

    id: Literal["manager"] = "manager"
    run: str | None = None
    attempt: int = 0
    engine: str | None = None
    waiting: int = 0
    error: str | None = None
    retry_at: float | None = None
    answering: str | None = None
    session_id: str | None = None
    sessions: tuple[tuple[str, str], ...] = ()
    inputs_cursor: int = 0
    inputs_total: int = 0
    results_cursor: int = 0
    results_total: int = 0


class Incident(Frozen):
    """Something that went wrong with an actor or a message: a failure, a restart, a dead letter."""

    id: str
    at: float
    actor: str
    kind: str
    text: str


class SystemRow(Frozen):
    """The whole.

    Attributes:
        state: `halted` when the manager or the pool takes nothing, since a write failed or its journal
            is damaged; `degraded` when only others do.
        halted, blocked: which those are, why, and what to do.
        dead_letters: messages that nobody handled, since the start.
        problems: stored and configured items that can't be used now.
    """

    id: Literal["system"] = "system"
    state: Literal["ok", "degraded", "halted"] = "ok"
    home: str | None = None
    halted: tuple[Halt, ...] = ()
    blocked: tuple[Halt, ...] = ()
    dead_letters: int = 0
    problems: tuple[Problem, ...] = ()


class ActorRow(ActorStatus):
    """An actor; its id is its name."""

    id: str


Row = TaskRow | LiveRow | MessageRow | ScheduleRow | ManagerRow | ActorRow | Incident | SystemRow


class Change(Frozen):
    """The row `id` of `table` is now `row`, or gone when that is None."""

    table: TableName
    id: str
    row: Row | None


class Snapshot(Frozen):
    """What a viewer starts from; `change` events with higher offsets follow it.

    Attributes:
        epoch, offset: together the event id (rule P2); an epoch is one start of the projection.
        tasks: the newest, and all that are not over; oldest first, as all tables here.
        live: what running tasks say of themselves.
        counts: how many tasks there are of each status, the whole read model counted.
    """

    epoch: int
    offset: int
    time: float
    tasks: tuple[TaskRow, ...]
    live: tuple[LiveRow, ...]
    messages: tuple[MessageRow, ...]
    schedules: tuple[ScheduleRow, ...]
    manager: ManagerRow
    actors: tuple[ActorRow, ...]
    incidents: tuple[Incident, ...]
    system: SystemRow
    counts: tuple[tuple[TaskStatus, int], ...]


class Cursor(Frozen):
    """How far a journal was read: up to and with `seq`, of that incarnation of it (rule D4)."""

    journal: str
    incarnation: int
    seq: int


class Checkpoint(Message[None]):
    """From the projection's background task: `file` is written and synced."""

    file: str
    cursors: tuple[Cursor, ...]


class CheckpointTaken(Event):
    """The projection's journal: `file` (its name) holds the model of everything up to `cursors`."""

    file: str
    cursors: tuple[Cursor, ...]
