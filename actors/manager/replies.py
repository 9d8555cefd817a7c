"""Which replies leave a run: pure functions that keep "exactly one final reply for each input" (rule E2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.actors.engines.results import describe_due, describe_result
from understudy.actors.manager import texts
from understudy.protocols.engine import (
    DoneTask,
    DueSchedule,
    Reply,
    TaskToCreate,
    TaskToSummarize,
    UserInput,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from understudy.actors.manager.state import OpenInput
    from understudy.protocols.engine import Action, Wake


def settle(
    replies: Iterable[Reply],
    actions: Sequence[Action],
    batch: Sequence[Wake],
    inputs: Mapping[str, OpenInput],
) -> list[Reply]:
    """The replies of a run that succeeded: the engine's, and one for each input that it left without.

    An input is answered by the first reply that names it. One that asked for tasks stays open until
    the last of them has ended; when that is in this batch and the engine says nothing, its summary
    of the result is the reply, or the outcome itself. Nobody misses how a task ended that an input
    asked for, or that did not succeed: where the engine says nothing, a message of the system's does.
    """
    settled: list[Reply] = []
    answered: set[str] = set()
    for reply in replies:
        fresh = tuple(
            name for name in dict.fromkeys(reply.in_reply_to) if name in inputs and name not in answered
        )
        answered.update(fresh)
        settled.append(reply.model_copy(update={"in_reply_to": fresh}))
    pending = pending_tasks(actions, batch, inputs)
    told = {reply.task for reply in settled}
    summaries = {
        action.message.id: action.message.text for action in actions if isinstance(action, TaskToSummarize)
    }
    last = {wake.result.origin: wake.id for wake in batch if isinstance(wake, DoneTask)}
    for wake in batch:
        missing: Reply | None = None
        if isinstance(wake, UserInput):
            if wake.id not in answered and not pending.get(wake.id):
                missing = Reply(text=texts.NO_ANSWER, in_reply_to=(wake.id,), role="system")
        elif isinstance(wake, DoneTask):
            origin = wake.result.origin
            ends = origin is not None and pending.get(origin) == () and wake.id == last[origin]
            missing = _outstanding(wake, answered, told, summaries.get(wake.id), ends=ends)
        if missing is not None:
            answered.update(missing.in_reply_to)
            settled.append(missing)
    return settled


def fall_back(batch: Sequence[Wake], inputs: Mapping[str, OpenInput], error: str) -> list[Reply]:
    """The replies of a run that is given up: one for each wake event, without an engine (MG-2)."""
    pending = pending_tasks((), batch, inputs)
    last = {wake.result.origin: wake.id for wake in batch if isinstance(wake, DoneTask)}
    replies: list[Reply] = []
    for wake in batch:
        match wake:
            case UserInput():
                text = texts.not_handled(error)
                replies.append(Reply(text=text, in_reply_to=(wake.id,), role="system"))
            case DoneTask():
                origin = wake.result.origin
                ends = origin is not None and pending.get(origin) == () and wake.id == last[origin]
                replies.append(_outcome(wake, (origin,) if origin is not None and ends else ()))
            case DueSchedule():
                replies.append(Reply(text=describe_due(wake), role="system"))
    return replies


def pending_tasks(
    actions: Iterable[Action], batch: Iterable[Wake], inputs: Mapping[str, OpenInput]
) -> dict[str, tuple[str, ...]]:
    """For each open input the tasks that it still waits for, after this run."""
    pending = {name: list(one.tasks) for name, one in inputs.items()}
    for wake in batch:
        if isinstance(wake, DoneTask) and wake.result.task in (
            tasks := pending.get(wake.result.origin or "", [])
        ):
            tasks.remove(wake.result.task)
    for action in actions:
        if isinstance(action, TaskToCreate) and (origin := action.message.spec.origin) in pending:
            pending[origin].append(action.message.id or "")
    return {name: tuple(tasks) for name, tasks in pending.items()}


def session_of(wake: Wake) -> str:
    """The session of the conversation that a wake event belongs to."""
    return wake.result.session if isinstance(wake, DoneTask) else wake.session


def _outstanding(
    wake: DoneTask, answered: set[str], told: set[str | None], summary: str | None, *, ends: bool
) -> Reply | None:
    """What is to be said about a task that has ended and the engine has not said; None when nothing is.

    `ends`: it is the last that its input waits for.
    """
    origin = wake.result.origin
    if origin is not None and ends and origin not in answered:
        if summary is not None:
            return Reply(text=summary, in_reply_to=(origin,), task=wake.id)
        return _outcome(wake, (origin,))
    if wake.id in told or origin in answered or summary is not None:
        return None
    return _outcome(wake, ()) if origin is not None or wake.result.status != "succeeded" else None


def _outcome(wake: DoneTask, in_reply_to: tuple[str, ...]) -> Reply:
    return Reply(
        text=describe_result(wake.result), in_reply_to=in_reply_to, task=wake.result.task, role="system"
    )
