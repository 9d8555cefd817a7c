"""The worker pool: the state machine of tasks, and what runs now."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import trio

from understudy.actors.cron.times import find_zone
from understudy.actors.ids import is_given, number_of
from understudy.actors.workers.admission import Admission
from understudy.actors.workers.attempts import Runners, end_earlier, reason_of, thread_left
from understudy.actors.workers.callables import PythonExecutor
from understudy.actors.workers.config import PoolConfig
from understudy.actors.workers.environment import child_environment
from understudy.actors.workers.executor import Attempt, Executor
from understudy.actors.workers.live import show, with_row
from understudy.actors.workers.output import NOTHING, Capture, excerpt
from understudy.actors.workers.output_files import name_of, remove, sweep
from understudy.actors.workers.process_pool import ProcessPool
from understudy.actors.workers.registration import Callables, Registered
from understudy.actors.workers.rules import Keys
from understudy.actors.workers.shell import ShellExecutor
from understudy.actors.workers.state import (
    ActiveTask,
    AttemptEnded,
    AttemptOverdue,
    AttemptStuck,
    CancelRequest,
    OverTask,
    PoolState,
    TaskDue,
)
from understudy.actors.workers.threads import threads_left
from understudy.actors.workers.waiting import Waiting
from understudy.actors.workers.why import lack_of, retry_of, why_waiting
from understudy.actors.workers.workspaces import Workspaces
from understudy.protocols.errors import DuplicateTask, NotConfigured, NotFound, Refused, TaskOver, TaskRefused
from understudy.protocols.notifications import TaskDone
from understudy.protocols.tasks import (
    CancelAccepted,
    CancelTask,
    CheckTask,
    CreateTask,
    FiringSkipped,
    GetTask,
    ListTasks,
    ReserveTaskId,
    RetryTask,
    SummarizeTask,
    TaskAccepted,
    TaskCancelRequested,
    TaskCreated,
    TaskFinished,
    TaskIdReserved,
    TaskList,
    TaskRequeued,
    TaskRetried,
    TaskStarted,
    TaskStatus,
    TaskSummarized,
    TaskView,
)
from understudy.supervision.backoff import Backoff
from understudy.supervision.persistent import PersistentActor

log = logging.getLogger("understudy.workers")

RETRY_CAP_S = 300.0
WANT_BACKOFF = Backoff(initial_s=0.25, cap_s=10.0)
"""Between the tries to begin an attempt for which the machine lacks something."""
FORGOTTEN_A_TURN = 100
"""Of more, as when fewer are to be kept than before, the rest goes with the next ends."""
RESERVED_KEPT = 10_000
"""Ids that were proposed and not used yet; the oldest of more are void."""
STUCK_S = 10.0
"""How long after its grace period an attempt that does not end is waited for."""


class WorkerPoolActor(PersistentActor[PoolState]):
    """Owns every task from its creation to its final state (WK-1, WK-2, WK-3, WK-5).

    At most `limit` attempts run at once, and of a queue at most its own limit; the others wait in
    order of priority, then of creation. What an attempt reports is taken only with the token of the
    running attempt (rule E3). Each task that reaches a final state is told to `notify`, in the same turn.

    Args:
        limit: attempts at once.
        executors: further executors by name, besides `shell` and `python`.
        callables: what `python` may call, by name; see `Callables`.
        notify: name of the notifier; None tells nobody.
        reruns: how often a task is run again because the runtime crashed under it.
        grace_s: how long a canceled or overdue attempt has between the polite signal and the kill.
        config: what it enforces, and for how long it remembers.
    """

    def __init__(
        self,
        *,
        limit: int = 4,
        executors: Mapping[str, Executor] | None = None,
        callables: Mapping[str, Callable[..., Any] | Registered] | None = None,
        notify: str | None = "notifier",
        reruns: int = 5,
        grace_s: float = 5.0,
        config: PoolConfig | None = None,
    ) -> None:
        super().__init__()
        home = self.system.home
        assert home is not None, "a persistent actor's system has a home"
        self._home = home.path
        self._files = home.files
        if limit < 1:
            raise ValueError(f"expected a limit of at least 1 attempt at once, got {limit}")
        config = config or PoolConfig()
        self._workspaces = Workspaces(self._home, config.workspaces)
        environment = partial(child_environment, config.environment)
        aside = (self.system.processes, self._workspaces, environment, self.system.run_blocking)
        self._processes = ProcessPool(*aside)
        table = callables if isinstance(callables, Callables) else Callables.of(callables or {})
        self._executors: dict[str, Executor] = {
            "shell": ShellExecutor(*aside),
            "python": PythonExecutor(
                table, self._processes, threads_left(self.system), inline=self.system.inline
            ),
            **(executors or {}),
        }
        self._admission = Admission(self._executors, self._workspaces, config)
        self._notify = notify
        self._reruns = reruns
        self._grace_s = grace_s
        self._tasks_kept = config.tasks_kept
        self._file_bytes = config.output_file_bytes
        self._zone = find_zone(config.timezone)
        self._keys = Keys()
        self._waiting = Waiting(limit, config.queue_limits)
        self._asleep: set[str] = set()
        self._running: dict[str, Attempt] = {}
        self._wants: dict[str, int] = {}  # how often in a row an attempt of the task could not begin
        self._show = partial(show, self.system)
        self._runners = Runners(self.ref, self.start_task, self.clock.monotonic)

    async def on_start(self) -> None:
        """End what is left of earlier attempts, then put their tasks back: never two at once (H1)."""
        await end_earlier(self.system.processes, self._grace_s)
        for task in self.state.active.values():
            self._keys.add(task)
        for task in tuple(self.state.active.values()):
            if task.status == "running":
                self._recover(task)
        for task in self.state.active.values():
            self._enqueue(task)
        self._dispatch()
        known = frozenset(self.state.active) | self.state.over.keys()
        self.start_task(sweep, self.system.run_blocking, self.system.home, known, self.state.next_task)

    async def on_stop(self) -> None:
        """End the running attempts; their tasks go on after the next start, which does not count."""
        self._processes.close()
        running = dict(self._running)
        for attempt in running.values():
            attempt.cancel()
            if attempt.begun and not attempt.ended:
                attempt.gone = trio.Event()
        with trio.move_on_after(self._grace_s + STUCK_S):
            for attempt in running.values():
                if attempt.gone is not None:
                    await attempt.gone.wait()
        for task_id, attempt in running.items():
            self._put_back(self.state.active[task_id], attempt)

    # -- commands

    def create_task(self, message: CreateTask) -> TaskAccepted:
        if message.id is not None:
            self._check_reserved(message.id)
        task_id = message.id or f"task-{self.state.next_task}"
        try:
            spec = self._admission.admit(message.spec)
            self._keys.check(spec)
        except TaskRefused as refusal:
            return self._refuse(message, task_id, refusal)
        now = self.clock.time()
        older = self._keys.holders(spec.replace_key)
        due_at, since = self._keys.start_of(spec, now)
        if due_at is None and not older:
            why = self._waiting.obstacle(spec.queue)
        else:
            coming = ActiveTask(id=task_id, spec=spec, due_at=due_at, since=since)
            why = why_waiting(coming, older, self._waiting.obstacle(spec.queue), now, self._zone)
        self.emit(TaskCreated(id=task_id, spec=spec, due_at=due_at, since=since, why=why))
        task = self.state.active[task_id]
        self._keys.add(task)
        self._enqueue(task)
        for other in older:
            self._cancel(other, "replace", f"replaced by {task_id}")
        self._dispatch()
        return TaskAccepted(id=task_id)

    def check_task(self, message: CheckTask) -> None:
        self._admission.admit(message.spec)

    def reserve_task_id(self, _message: ReserveTaskId) -> TaskAccepted:
        task_id = f"task-{self.state.next_task}"
        self.emit(TaskIdReserved(id=task_id))
        return TaskAccepted(id=task_id)

    def cancel_task(self, message: CancelTask) -> CancelAccepted:
        task = self.state.active.get(message.id)
        if task is None:
            return self._cancel_again(message.id)
        return CancelAccepted(id=task.id, status=self._cancel(task, message.source, message.reason))

    def retry_task(self, message: RetryTask) -> TaskAccepted:
        if (active := self.state.active.get(message.id)) is not None:
            raise Refused(f"expected a task that is over, got {message.id}, which is {active.status}")
        over = self.state.over.get(message.id)
        if over is None:
            raise self._not_found(message.id)
        if over.spec is None:
            raise Refused(
                f"expected a task that failed or was canceled, got {message.id}: it has {over.status}"
            )
        anew = {"start_at": None, "debounce_s": 0.0, "schedule": None, "nominal_at": None}
        return self.create_task(CreateTask(spec=over.spec.model_copy(update=anew)))

    def summarize_task(self, message: SummarizeTask) -> TaskAccepted:
        if message.id in self.state.active:
            raise Refused(f"expected a task that is over, got {message.id}: it has no result yet")
        if message.id not in self.state.over:
            raise self._not_found(message.id)
        self.emit(TaskSummarized(id=message.id, text=message.text))
        return TaskAccepted(id=message.id)

    def get_task(self, message: GetTask) -> TaskView:
        if (task := self.state.active.get(message.id)) is not None:
            return with_row(self.system, self._view(task))
        if (over := self.state.over.get(message.id)) is not None:
            return with_row(self.system, over.view(message.id))
        raise self._not_found(message.id)

    def list_tasks(self, message: ListTasks) -> TaskList:
        active = [self._view(task) for task in self.state.active.values()]
        room = max(0, message.limit - len(active))
        over = [self.state.over[task_id].view(task_id) for task_id in islice(reversed(self.state.over), room)]
        newest_first = sorted(active + over, key=lambda view: number_of(view.id), reverse=True)
        running = sum(task.status == "running" for task in self.state.active.values())
        return TaskList(
            tasks=tuple(newest_first),
            pending=len(active) - running,
            running=running,
            abandoned=len(threads_left(self.system)),
        )

    # -- what attempts and timers report

    def attempt_ended(self, message: AttemptEnded) -> None:
        task = self._holder(message.task, message.attempt)
        if task is None:
            log.info(
                "late outcome of %s/%d dropped",
                message.task,
                message.attempt,
                extra={"action": "outcome_stale"},
            )
            return
        self._settle(task, self._running.pop(task.id), message)
        self._dispatch()

    def attempt_overdue(self, message: AttemptOverdue) -> None:
        if (task := self._holder(message.task, message.attempt)) is None or task.cancel is not None:
            return
        attempt = self._running[task.id]
        if attempt.ended:
            return  # its outcome is on its way, and says whether it was in time
        attempt.overdue = True
        attempt.cancel()
        self._watch_end(task)

    def attempt_stuck(self, message: AttemptStuck) -> None:
        if (task := self._holder(message.task, message.attempt)) is None:
            return
        log.error("%s does not end", self._running[task.id].mark, extra={"action": "attempt_stuck"})
        self.attempt_ended(
            AttemptEnded(
                task=task.id, attempt=task.attempts, exit_code=None, reason="did not end when it was told to"
            )
        )

    def task_due(self, message: TaskDue) -> None:
        task = self.state.active.get(message.task)
        if task is not None and task.status == "pending" and task.id in self._asleep:
            self._asleep.discard(task.id)
            self._may_start(task)
            self._dispatch()

    # -- events

    def task_id_reserved(self, event: TaskIdReserved) -> None:
        self.state.next_task = number_of(event.id) + 1
        self.state.reserved[event.id] = None
        if len(self.state.reserved) > RESERVED_KEPT:
            del self.state.reserved[next(iter(self.state.reserved))]

    def task_created(self, event: TaskCreated) -> None:
        self.state.active[event.id] = ActiveTask(
            id=event.id,
            spec=event.spec,
            due_at=event.due_at,
            since=event.since,
            created_at=self.turn_time,
        )
        self.state.next_task = max(self.state.next_task, number_of(event.id) + 1)
        self.state.reserved.pop(event.id, None)

    def firing_skipped(self, event: FiringSkipped) -> None:
        """A fact for the journal and those who read it; the pool needs nothing of it."""

    def task_started(self, event: TaskStarted) -> None:
        task = self.state.active[event.id]
        task.status, task.attempts, task.due_at, task.started_at = (
            "running", event.attempt, None, self.turn_time,
        )  # fmt: skip
        task.want = ""

    def task_requeued(self, event: TaskRequeued) -> None:
        task = self.state.active[event.id]
        task.status, task.reruns = "pending", event.reruns

    def task_retried(self, event: TaskRetried) -> None:
        task = self.state.active[event.id]
        task.status, task.failures, task.due_at = "pending", event.failures, event.retry_at
        task.want = event.want
        if event.output.file is not None:
            task.files = (*task.files, event.attempt)

    def task_cancel_requested(self, event: TaskCancelRequested) -> None:
        self.state.active[event.id].cancel = CancelRequest(event.source, event.reason)

    def task_finished(self, event: TaskFinished) -> None:
        task = self.state.active.pop(event.id)
        spec = task.spec
        self.state.over[event.id] = OverTask(
            event.status,
            event.attempt,
            spec.title,
            event.reason,
            event.source,
            event.exit_code,
            spec.session,
            spec.origin,
            spec.schedule,
            task.created_at,
            task.started_at,
            self.turn_time,
            task.files if event.output.file is None else (*task.files, event.attempt),
            event.value,
            None if event.status == "succeeded" else spec,
        )
        for forgotten in event.forgets:
            self.state.over.pop(forgotten, None)

    def task_summarized(self, _event: TaskSummarized) -> None:
        """For people, who read it in the task's row: nothing is decided by it."""

    # -- transitions

    def _refuse(self, message: CreateTask, task_id: str, refusal: TaskRefused) -> TaskAccepted:
        """A task that can't be made: to who asks, who waits for its end, or to nobody (`CreateTask`)."""
        spec = message.spec
        if message.id is None:
            if spec.schedule is None:
                raise refusal
            if isinstance(refusal, DuplicateTask):
                self.emit(
                    FiringSkipped(
                        schedule=spec.schedule,
                        nominal_at=spec.nominal_at,
                        rule=refusal.rule,
                        task=refusal.task,
                    )
                )
                return TaskAccepted(id=refusal.task or "", skipped=True)
        self.emit(TaskCreated(id=task_id, spec=spec))
        task = self.state.active[task_id]
        self._keys.add(task)
        self._finish(task, "failed", str(refusal), "runtime")
        return TaskAccepted(id=task_id)

    def _enqueue(self, task: ActiveTask) -> None:
        """Let a pending task wait: for its time, then for what it replaces, then for a place."""
        if task.due_at is not None and task.due_at > self.clock.time():
            self._asleep.add(task.id)
            self.start_timer(f"due/{task.id}", TaskDue(task=task.id), at_s=task.due_at)
        else:
            self._may_start(task)

    def _may_start(self, task: ActiveTask) -> None:
        """Nothing but a free place is missing, unless what it replaces has not ended yet."""
        for other in self._keys.holders(task.spec.replace_key):
            if other is not task and other.status == "running":
                return  # its end lets this one go on
        self._waiting.push(task.place(), task.spec.queue)

    def _dispatch(self) -> None:
        """Start what may start: a place is free and its turn has come."""
        while (task_id := self._waiting.take()) is not None:
            task = self.state.active[task_id]
            try:
                executor = self._admission.executor_of(task.spec)
            except NotConfigured as error:  # it was there when the task was made
                self._waiting.give_back(task.spec.queue)
                self._finish(task, "failed", str(error), "runtime")
                continue
            self.emit(TaskStarted(id=task_id, attempt=task.attempts + 1))
            attempt = self._running[task_id] = Attempt(
                task=task_id,
                number=task.attempts,
                spec=task.spec,
                grace_s=self._grace_s,
                show=self._show,
                capture=Capture(
                    self._home,
                    name_of(task_id, task.attempts),
                    file_bytes=self._file_bytes,
                    run_blocking=self.system.run_blocking,
                    files=self._files,
                ),
            )
            self.then_run(partial(self._runners.begin, attempt, executor))
            if task.spec.timeout_s is not None:
                overdue = AttemptOverdue(task=task_id, attempt=task.attempts)
                self.start_timer(f"overdue/{task_id}", overdue, delay_s=task.spec.timeout_s)

    def _cancel(self, task: ActiveTask, source: str, reason: str) -> TaskStatus:
        """End a task; what it is then."""
        if task.status == "pending":
            self._finish(task, "canceled", reason, source)
            return "canceled"
        if task.cancel is None:
            self.emit(TaskCancelRequested(id=task.id, attempt=task.attempts, source=source, reason=reason))
            self.then_run(self._running[task.id].cancel)
            self._watch_end(task)
        return "running"

    def _settle(self, task: ActiveTask, attempt: Attempt, ended: AttemptEnded) -> None:
        """The attempt has ended: its place is free, and the task is over or tried again."""
        self._waiting.give_back(task.spec.queue)
        if task.spec.timeout_s is not None:
            self.cancel_timer(f"overdue/{task.id}")
        if attempt.overdue or task.cancel is not None:
            self.cancel_timer(f"stuck/{task.id}")
        reason = reason_of(task.spec, attempt, ended)
        if task.cancel is not None:
            reason = f"{task.cancel.reason}{thread_left(attempt)}"
            self._finish(task, "canceled", reason, task.cancel.source, ended)
        elif ended.exit_code == 0 and not attempt.overdue:
            self._finish(task, "succeeded", reason, "worker", ended)
        elif ended.want and not attempt.overdue:
            self._wait_for(ended.want, task, reason)
        else:
            source = "runtime" if attempt.overdue else "worker"
            if task.failures < task.spec.retries and not ended.hopeless:
                self._retry(task, reason, source, ended)
            else:
                self._finish(task, "failed", reason, source, ended)

    def _wait_for(self, want: str, task: ActiveTask, reason: str) -> None:
        """The attempt could not begin: the task waits, however often, and no retry is used up."""
        self._wants[task.id] = wants = self._wants.get(task.id, 0) + 1
        now = self.clock.time()
        retry_at = now + WANT_BACKOFF.delay_s(wants, self.random)
        self.emit(
            TaskRetried(
                id=task.id,
                attempt=task.attempts,
                failures=task.failures,
                reason=reason,
                retry_at=retry_at,
                why=lack_of(want, retry_at, now, self._zone),
                source="runtime",
                want=want,
            )
        )
        self._enqueue(task)

    def _recover(self, task: ActiveTask) -> None:
        """The runtime crashed under the attempt."""
        if task.cancel is not None:
            self._finish(task, "canceled", task.cancel.reason, task.cancel.source)
        elif task.reruns >= self._reruns:
            reason = f"the runtime went down under it {task.reruns + 1} times"
            self._finish(task, "failed", reason, "runtime")
        else:
            reason = "the runtime went down under the attempt"
            self.emit(TaskRequeued(id=task.id, attempt=task.attempts, reruns=task.reruns + 1, reason=reason))

    def _put_back(self, task: ActiveTask, attempt: Attempt) -> None:
        """The runtime stops: what has ended meanwhile has, the rest is for the next start."""
        ended = attempt.report
        if task.cancel is not None or (ended is not None and ended.exit_code == 0):
            empty = AttemptEnded(task=task.id, attempt=attempt.number, exit_code=None, reason="")
            self._settle(task, self._running.pop(task.id), ended or empty)
            return
        reason = "the runtime was stopped"
        self.emit(TaskRequeued(id=task.id, attempt=attempt.number, reruns=task.reruns, reason=reason))

    def _retry(self, task: ActiveTask, reason: str, source: str, ended: AttemptEnded) -> None:
        spec, now = task.spec, self.clock.time()
        backoff = Backoff(initial_s=spec.retry_delay_s, cap_s=max(RETRY_CAP_S, spec.retry_delay_s))
        failures = task.failures + 1
        self._wants.pop(task.id, None)
        retry_at = now + backoff.delay_s(failures, self.random)
        self.emit(
            TaskRetried(
                id=task.id,
                attempt=task.attempts,
                failures=failures,
                reason=reason,
                retry_at=retry_at,
                why=retry_of(failures, spec.retries, retry_at, now, self._zone),
                source=source,
                exit_code=ended.exit_code,
                output=ended.output,
            )
        )
        self._enqueue(task)

    def _finish(
        self,
        task: ActiveTask,
        status: TaskStatus,
        reason: str,
        source: str,
        ended: AttemptEnded | None = None,
    ) -> None:
        over = self.state.over
        excess = min(len(over) + 1 - self._tasks_kept, FORGOTTEN_A_TURN)
        oldest = tuple(islice(over.items(), max(0, excess)))
        event = TaskFinished(
            id=task.id,
            attempt=task.attempts,
            status=status,
            reason=reason,
            source=source,
            exit_code=ended.exit_code if ended else None,
            value=ended.value if ended and status == "succeeded" else None,
            output=ended.output if ended else NOTHING,
            forgets=tuple(name for name, _ in oldest),
        )
        self._wants.pop(task.id, None)
        was_pending = task.status == "pending"
        self.emit(event)
        for name, forgotten in oldest:
            if forgotten.files:
                self.start_task(remove, self.system.run_blocking, self.system.home, name, forgotten)
        if was_pending:
            self._waiting.drop(task.id)
            if task.id in self._asleep:
                self._asleep.discard(task.id)
                self.cancel_timer(f"due/{task.id}")
        self._keys.remove(task)
        for newer in self._keys.holders(task.spec.replace_key):
            if newer.status == "pending" and newer.id not in self._asleep:
                self._may_start(newer)
        if self._notify is not None:
            self.send(self._notify, TaskDone(result=task.result(event, excerpt(event.output))))

    def _watch_end(self, task: ActiveTask) -> None:
        stuck = AttemptStuck(task=task.id, attempt=task.attempts)
        self.start_timer(f"stuck/{task.id}", stuck, delay_s=self._grace_s + STUCK_S)

    # -- small questions

    def _view(self, task: ActiveTask) -> TaskView:
        if task.status == "running":
            return task.view()
        older = [other for other in self._keys.holders(task.spec.replace_key) if other is not task]
        obstacle = self._waiting.obstacle(task.spec.queue)
        return task.view(why_waiting(task, older, obstacle, self.clock.time(), self._zone))

    def _holder(self, task_id: str, attempt: int) -> ActiveTask | None:
        """The task whose running attempt has this token; None when the token is stale (rule E3)."""
        task = self.state.active.get(task_id)
        if task is None or task.status != "running" or task.attempts != attempt:
            return None
        return task

    def _check_reserved(self, task_id: str) -> None:
        if task_id not in self.state.reserved:
            raise Refused(f"expected an id from ReserveTaskId that is not in use, got {task_id!r}")

    def _cancel_again(self, task_id: str) -> CancelAccepted:
        over = self.state.over.get(task_id)
        if over is None:
            raise self._not_found(task_id)
        if over.status != "canceled":
            msg = f"{task_id} has already {over.status}; final states stay as they are"
            raise TaskOver(msg, task=task_id)
        return CancelAccepted(id=task_id, status="canceled")

    def _not_found(self, task_id: str) -> NotFound:
        if is_given(task_id, "task", self.state.next_task):
            return NotFound(
                f"expected a task that the pool knows, got {task_id!r}, which was never made, or is over and "
                f"forgotten: of those that are over the newest {self._tasks_kept:,} are known"
            )
        return NotFound(f"expected the id of a task, got {task_id!r}")
