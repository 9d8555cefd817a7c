"""The worker pool: the state machine of tasks, and what runs now."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Mapping
from itertools import islice

import trio

from understudy.actors.ids import is_given, number_of
from understudy.actors.workers.attempts import carry_out, end_earlier, end_soon, reason_of
from understudy.actors.workers.executor import Attempt, Executor
from understudy.actors.workers.output import Capture, excerpt
from understudy.actors.workers.shell import ShellExecutor
from understudy.actors.workers.state import (
    ActiveTask,
    AttemptEnded,
    AttemptOverdue,
    AttemptStuck,
    CancelRequest,
    OverTask,
    PoolState,
    RetryDue,
)
from understudy.protocols.errors import NotFound, Refused
from understudy.protocols.notifications import TaskDone
from understudy.protocols.tasks import (
    CancelAccepted,
    CancelTask,
    CreateTask,
    GetTask,
    ListTasks,
    Output,
    ReserveTaskId,
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
    TaskView,
)
from understudy.supervision.persistent import PersistentActor

log = logging.getLogger("understudy.workers")

RETRY_CAP_S = 300.0
STUCK_S = 10.0
"""How long after its grace period an attempt that does not end is waited for."""


class WorkerPoolActor(PersistentActor[PoolState]):
    """Owns every task from its creation to its final state (WK-1, WK-2, WK-5).

    At most `limit` attempts run at once; the others wait in order of priority, then of creation. What
    an attempt reports is taken only with the token of the running attempt (rule E3). Each task that
    reaches a final state is told to `notify`, in the same turn.

    Args:
        limit: attempts at once.
        executors: further executors by name, besides `shell`.
        notify: name of the notifier; None tells nobody.
        reruns: how often a task is run again because the runtime went down under it.
        grace_s: how long a canceled or overdue attempt has between the polite signal and the kill.
    """

    def __init__(
        self,
        *,
        limit: int = 4,
        executors: Mapping[str, Executor] | None = None,
        notify: str | None = "notifier",
        reruns: int = 5,
        grace_s: float = 5.0,
    ) -> None:
        super().__init__()
        home = self.system.home
        assert home is not None, "a persistent actor's system has a home"
        self._home = home.path
        if limit < 1:
            raise ValueError(f"expected a limit of at least 1 attempt at once, got {limit}")
        self._limit = limit
        self._executors = dict(executors or {})
        self._notify = notify
        self._reruns = reruns
        self._grace_s = grace_s
        self._running: dict[str, Attempt] = {}
        self._ready: list[tuple[int, int, str]] = []

    async def on_start(self) -> None:
        """End what is left of earlier attempts, then put their tasks back: never two at once (H1)."""
        if "shell" not in self._executors:
            folder = self._home / "work"
            folder.mkdir(exist_ok=True)
            self._executors["shell"] = ShellExecutor(self.system.processes, folder)
        await end_earlier(self.system.processes, self._grace_s)
        for task in tuple(self.state.active.values()):
            if task.status == "running":
                self._recover(task)
        for task in self.state.active.values():
            if task.retry_at is None:
                self._ready.append(task.place())
            else:
                self.start_timer(f"retry/{task.id}", RetryDue(task=task.id), at_s=task.retry_at)
        heapq.heapify(self._ready)
        self._dispatch()

    async def on_stop(self) -> None:
        """End the running attempts; their tasks go on after the next start."""
        running = [attempt for attempt in self._running.values() if attempt.begun]
        for attempt in running:
            attempt.scope.cancel()
        with trio.move_on_after(self._grace_s + STUCK_S):
            for attempt in running:
                await attempt.ended.wait()

    # -- commands

    def create_task(self, message: CreateTask) -> TaskAccepted:
        spec = message.spec
        known = spec.executor in self._executors
        if message.id is None:
            if not known:
                raise Refused(self._unknown_executor(spec.executor))
            task_id = f"task-{self.state.next_task}"
        else:
            task_id = self._reserved(message.id)
        self.emit(TaskCreated(id=task_id, spec=spec))
        task = self.state.active[task_id]
        if known:
            heapq.heappush(self._ready, task.place())
            self._dispatch()
        else:
            # An id was promised for it, and whoever waits for its end is to hear of one.
            self._finish(task, "failed", self._unknown_executor(spec.executor), "runtime")
        return TaskAccepted(id=task_id)

    def reserve_task_id(self, _message: ReserveTaskId) -> TaskAccepted:
        task_id = f"task-{self.state.next_task}"
        self.emit(TaskIdReserved(id=task_id))
        return TaskAccepted(id=task_id)

    def cancel_task(self, message: CancelTask) -> CancelAccepted:
        task = self.state.active.get(message.id)
        if task is None:
            return self._cancel_again(message.id)
        if task.status == "pending":
            self.cancel_timer(f"retry/{task.id}")
            self._finish(task, "canceled", message.reason, message.source)
            return CancelAccepted(id=task.id, status="canceled")
        if task.cancel is None:
            self.emit(
                TaskCancelRequested(
                    id=task.id, attempt=task.attempts, source=message.source, reason=message.reason
                )
            )
            self.start_task(end_soon, self._running[task.id], name=f"cancel {task.id}")
            self._watch_end(task)
        return CancelAccepted(id=task.id, status="running")

    def get_task(self, message: GetTask) -> TaskView:
        if (task := self.state.active.get(message.id)) is not None:
            return task.view()
        if (over := self.state.over.get(message.id)) is not None:
            return over.view(message.id)
        raise NotFound(f"expected the id of a task, got {message.id!r}")

    def list_tasks(self, message: ListTasks) -> TaskList:
        active = [task.view() for task in self.state.active.values()]
        room = max(0, message.limit - len(active))
        over = [self.state.over[task_id].view(task_id) for task_id in islice(reversed(self.state.over), room)]
        newest_first = sorted(active + over, key=lambda view: number_of(view.id), reverse=True)
        running = sum(task.status == "running" for task in self.state.active.values())
        return TaskList(tasks=tuple(newest_first), pending=len(active) - running, running=running)

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
        attempt = self._running.pop(task.id)
        self.cancel_timer(f"overdue/{task.id}")
        self.cancel_timer(f"stuck/{task.id}")
        reason = reason_of(task.spec, attempt, message)
        if task.cancel is not None:
            self._finish(task, "canceled", task.cancel.reason, task.cancel.source, message)
        elif message.exit_code == 0 and not attempt.overdue:
            self._finish(task, "succeeded", reason, "worker", message)
        elif task.failures < task.spec.retries:
            self._retry(task, reason, message)
        else:
            source = "runtime" if attempt.overdue else "worker"
            self._finish(task, "failed", reason, source, message)
        self._dispatch()

    def attempt_overdue(self, message: AttemptOverdue) -> None:
        if (task := self._holder(message.task, message.attempt)) is None or task.cancel is not None:
            return
        attempt = self._running[task.id]
        attempt.overdue = True
        attempt.scope.cancel()
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

    def retry_due(self, message: RetryDue) -> None:
        task = self.state.active.get(message.task)
        if task is not None and task.status == "pending":
            heapq.heappush(self._ready, task.place())
            self._dispatch()

    # -- events

    def task_id_reserved(self, event: TaskIdReserved) -> None:
        self.state.next_task = number_of(event.id) + 1

    def task_created(self, event: TaskCreated) -> None:
        self.state.active[event.id] = ActiveTask(id=event.id, spec=event.spec)
        self.state.next_task = max(self.state.next_task, number_of(event.id) + 1)

    def task_started(self, event: TaskStarted) -> None:
        task = self.state.active[event.id]
        task.status, task.attempts, task.retry_at = "running", event.attempt, None

    def task_requeued(self, event: TaskRequeued) -> None:
        task = self.state.active[event.id]
        task.status, task.reruns = "pending", event.reruns

    def task_retried(self, event: TaskRetried) -> None:
        task = self.state.active[event.id]
        task.status, task.failures, task.retry_at = "pending", event.failures, event.retry_at

    def task_cancel_requested(self, event: TaskCancelRequested) -> None:
        self.state.active[event.id].cancel = CancelRequest(event.source, event.reason)

    def task_finished(self, event: TaskFinished) -> None:
        task = self.state.active.pop(event.id)
        self.state.over[event.id] = OverTask(event.status, event.attempt, task.spec.title, event.reason)

    # -- transitions

    def _dispatch(self) -> None:
        """Start what may start: a place is free and its turn has come."""
        while self._ready and len(self._running) < self._limit:
            task = self.state.active.get(heapq.heappop(self._ready)[2])
            if task is None or task.status != "pending":
                continue
            self.emit(TaskStarted(id=task.id, attempt=task.attempts + 1))
            attempt = Attempt(
                task=task.id,
                number=task.attempts,
                command=task.spec.command,
                grace_s=self._grace_s,
                capture=Capture(
                    self._home,
                    f"state/output/{task.id}-{task.attempts}.log",
                    run_blocking=self.system.run_blocking,
                ),
            )
            self._running[task.id] = attempt
            executor = self._executors[task.spec.executor]
            self.start_task(carry_out, self.ref, attempt, executor, name=attempt.mark)
            if task.spec.timeout_s is not None:
                overdue = AttemptOverdue(task=task.id, attempt=task.attempts)
                self.start_timer(f"overdue/{task.id}", overdue, delay_s=task.spec.timeout_s)

    def _recover(self, task: ActiveTask) -> None:
        if task.cancel is not None:
            self._finish(task, "canceled", task.cancel.reason, task.cancel.source)
        elif task.reruns >= self._reruns:
            reason = f"the runtime went down under it {task.reruns + 1} times"
            self._finish(task, "failed", reason, "runtime")
        else:
            self.emit(
                TaskRequeued(
                    id=task.id,
                    attempt=task.attempts,
                    reruns=task.reruns + 1,
                    reason="the runtime went down under the attempt",
                )
            )

    def _retry(self, task: ActiveTask, reason: str, ended: AttemptEnded) -> None:
        delay_s = min(RETRY_CAP_S, task.spec.retry_delay_s * 2**task.failures)
        event = TaskRetried(
            id=task.id,
            attempt=task.attempts,
            failures=task.failures + 1,
            reason=reason,
            retry_at=self.clock.time() + delay_s,
            exit_code=ended.exit_code,
            output=ended.output,
        )
        self.emit(event)
        self.start_timer(f"retry/{task.id}", RetryDue(task=task.id), at_s=event.retry_at)

    def _finish(
        self,
        task: ActiveTask,
        status: TaskStatus,
        reason: str,
        source: str,
        ended: AttemptEnded | None = None,
    ) -> None:
        event = TaskFinished(
            id=task.id,
            attempt=task.attempts,
            status=status,
            reason=reason,
            source=source,
            exit_code=ended.exit_code if ended else None,
            output=ended.output if ended else Output(),
        )
        self.emit(event)
        if self._notify is not None:
            self.send(self._notify, TaskDone(result=task.result(event, excerpt(event.output))))

    def _watch_end(self, task: ActiveTask) -> None:
        stuck = AttemptStuck(task=task.id, attempt=task.attempts)
        self.start_timer(f"stuck/{task.id}", stuck, delay_s=self._grace_s + STUCK_S)

    # -- small questions

    def _holder(self, task_id: str, attempt: int) -> ActiveTask | None:
        """The task whose running attempt has this token; None when the token is stale (rule E3)."""
        task = self.state.active.get(task_id)
        if task is None or task.status != "running" or task.attempts != attempt:
            return None
        return task

    def _reserved(self, task_id: str) -> str:
        free = task_id not in self.state.active and task_id not in self.state.over
        if not (free and is_given(task_id, "task", self.state.next_task)):
            raise Refused(f"expected an id from ReserveTaskId that is not in use, got {task_id!r}")
        return task_id

    def _cancel_again(self, task_id: str) -> CancelAccepted:
        over = self.state.over.get(task_id)
        if over is None:
            raise NotFound(f"expected the id of a task, got {task_id!r}")
        if over.status != "canceled":
            raise Refused(f"{task_id} has already {over.status}; final states stay as they are")
        return CancelAccepted(id=task_id, status="canceled")

    def _unknown_executor(self, name: str) -> str:
        known = ", ".join(sorted(self._executors))
        return f"expected an executor that the pool has ({known}), got {name!r}"
