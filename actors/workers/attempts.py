"""Attempts under way: carried out in the background, and ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import trio

from understudy.actors.workers.state import AttemptEnded
from understudy.protocols.base import text_of
from understudy.protocols.errors import ActorStopped

if TYPE_CHECKING:
    from understudy.actors.workers.executor import Attempt, Executor
    from understudy.protocols.tasks import TaskSpec
    from understudy.supervision.processes import Processes
    from understudy.supervision.reference import ActorRef

log = logging.getLogger("understudy.workers")


async def carry_out(pool: ActorRef[Any], attempt: Attempt, executor: Executor) -> None:
    """Run the attempt, and tell the pool how it ended; its token says which attempt it was (rule E3)."""
    exit_code, reason = None, "ended before it was done"
    attempt.begun = True
    try:
        with attempt.scope:
            exit_code = await executor.run(attempt)
    except Exception as error:  # noqa: BLE001 - whatever an executor raises is a failed attempt
        reason = text_of(error) or type(error).__name__
    finally:
        attempt.ended.set()
    output = await attempt.capture.close()
    ended = AttemptEnded(
        task=attempt.task, attempt=attempt.number, exit_code=exit_code, reason=reason, output=output
    )
    try:
        await pool.tell_async(ended)
    except ActorStopped:
        log.debug("%s ended after the pool", attempt.mark, extra={"action": "outcome_late"})


async def end_soon(attempt: Attempt) -> None:
    """Cancel an attempt; a task of its own, since such a one begins when its turn is durable (rule T4)."""
    attempt.scope.cancel()


async def end_earlier(processes: Processes, grace_s: float) -> None:
    """End what runs of earlier attempts: of a crash, and of an incarnation that is still ending (rule H1)."""
    async with trio.open_nursery() as nursery:
        for child in processes.living:
            if child.mark.startswith("task-"):
                nursery.start_soon(child.end, grace_s)
    await processes.end_leftovers()


def reason_of(spec: TaskSpec, attempt: Attempt, ended: AttemptEnded) -> str:
    """How an attempt ended, in words."""
    if attempt.overdue and spec.timeout_s is not None:
        return f"timed out after {spec.timeout_s:g} s"
    if ended.exit_code is None:
        return ended.reason
    if ended.exit_code < 0:
        return f"ended by signal {-ended.exit_code}"
    return f"exit code {ended.exit_code}"
