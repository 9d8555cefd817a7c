"""Attempts under way: carried out in the background, and ended."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import trio

from understudy.actors.workers.process_pool import MARK
from understudy.actors.workers.state import AttemptEnded
from understudy.protocols.base import text_of
from understudy.protocols.errors import ActorStopped, CommandNotStarted, OutOfResources, TaskRefused
from understudy.supervision.boundary import contained_unless_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.actors.workers.executor import Attempt, Executor
    from understudy.protocols.tasks import TaskSpec
    from understudy.supervision.processes import Processes
    from understudy.supervision.reference import ActorRef

log = logging.getLogger("understudy.workers")

IDLE_RUNNERS = 8
"""So many runners are kept for the next attempts."""


class Runners:
    """The trio tasks that carry attempts out, each one attempt after the other.

    An attempt that ends without ever waiting costs no task and no tick of the scheduler: the runner
    goes on with the next one. Whenever a runner begins an attempt while others wait, another runner is
    woken first: it takes over if the attempt does wait.

    Args:
        pool: who is told how attempts end.
        start: starts a further runner.
        monotonic: the clock that deadlines are read on.
    """

    def __init__(
        self,
        pool: ActorRef[Any],
        start: Callable[[Callable[[], Any]], object],
        monotonic: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._start = start
        self._monotonic = monotonic
        self._queue: deque[tuple[Attempt, Executor]] = deque()
        self._idle: list[trio.lowlevel.Task] = []
        self._coming = 0

    def begin(self, attempt: Attempt, executor: Executor) -> None:
        """Carry the attempt out. Its time runs from now."""
        if attempt.spec.timeout_s is not None:
            attempt.deadline = self._monotonic() + attempt.spec.timeout_s
        self._queue.append((attempt, executor))
        self._wake()

    def _wake(self) -> None:
        """Have one runner look at the queue, unless one is on its way."""
        if self._coming:
            return
        self._coming += 1
        if self._idle:
            trio.lowlevel.reschedule(self._idle.pop())
        else:
            self._start(self._run)

    async def _run(self) -> None:
        while True:
            self._coming -= 1
            while self._queue:
                attempt, executor = self._queue.popleft()
                if self._queue:
                    self._wake()
                await carry_out(self._pool, attempt, executor, self._monotonic)
            if len(self._idle) >= IDLE_RUNNERS:
                return
            task = trio.lowlevel.current_task()
            self._idle.append(task)
            await trio.lowlevel.wait_task_rescheduled(self._abort_of(task))

    def _abort_of(self, task: trio.lowlevel.Task) -> Callable[[object], trio.lowlevel.Abort]:
        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            if task in self._idle:
                self._idle.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        return abort


async def carry_out(
    pool: ActorRef[Any], attempt: Attempt, executor: Executor, monotonic: Callable[[], float]
) -> None:
    """Run the attempt, and tell the pool how it ended; its token says which attempt it was (rule E3).

    Whether it was in time is decided here, once: by when its outcome is seen. A tick of its timer that
    comes before or behind the outcome changes nothing of that.
    """
    exit_code, reason, hopeless, want = None, "ended before it was done", False, ""
    attempt.begun = True
    try:
        with attempt.scope:
            if not attempt.canceled:
                exit_code = checked(await executor.run(attempt))
    except BaseException as raised:  # noqa: BLE001 - whatever an executor raises is a failed attempt
        error = contained_unless_cancelled(raised)
        reason = text_of(error) or type(error).__name__
        want = error.want if isinstance(error, OutOfResources) else ""
        hopeless = isinstance(error, CommandNotStarted | TaskRefused)
    ended = AttemptEnded(
        task=attempt.task,
        attempt=attempt.number,
        exit_code=exit_code,
        reason=reason,
        hopeless=hopeless,
        want=want,
        value=attempt.value,
        output=await attempt.capture.close(),
    )
    attempt.report, attempt.ended = ended, True
    if attempt.deadline is not None and monotonic() >= attempt.deadline:
        attempt.overdue = True
    if attempt.gone is not None:
        attempt.gone.set()
    try:
        await pool.tell_async(ended)
    except ActorStopped:
        log.debug("%s ended after the pool", attempt.mark, extra={"action": "outcome_late"})


def checked(exit_code: object) -> int:
    """What an executor has returned, which may be anything.

    Raises:
        TypeError: it is no exit code.
    """
    if not isinstance(exit_code, int):
        msg = f"expected an exit code (int) of the executor, got {type(exit_code).__name__}"
        raise TypeError(msg)
    return int(exit_code)


async def end_earlier(processes: Processes, grace_s: float) -> None:
    """End what runs of earlier attempts: of a crash, and of an incarnation that is still ending (rule H1)."""
    async with trio.open_nursery() as nursery:
        for child in processes.living:
            if child.mark.startswith(("task-", MARK)):
                nursery.start_soon(child.end, grace_s)
    await processes.end_leftovers()


def reason_of(spec: TaskSpec, attempt: Attempt, ended: AttemptEnded) -> str:
    """How an attempt ended, in words."""
    if attempt.overdue and spec.timeout_s is not None:
        return f"timed out after {spec.timeout_s:g} s{thread_left(attempt)}"
    if ended.exit_code is None:
        return ended.reason
    if spec.function and ended.exit_code == 0:
        return "returned"
    if ended.exit_code < 0:
        return f"ended by signal {-ended.exit_code}"
    return f"exit code {ended.exit_code}"


def thread_left(attempt: Attempt) -> str:
    """What is to be said of a thread that could not be ended."""
    return "; its thread can't be ended and runs on by itself" if attempt.abandoned else ""
