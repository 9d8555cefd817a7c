"""Which replies leave a run: pure functions that keep "exactly one final reply for each input" (rule E2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.actors.engines.results import describe_due, describe_result
from understudy.protocols.engine import DoneTask, DueSchedule, Reply, TaskToCreate, UserInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from understudy.actors.manager.state import OpenInput
    from understudy.protocols.engine import Action, Wake

NO_ANSWER = "The engine gave no answer to this input."


def settle(
    replies: Iterable[Reply],
    actions: Sequence[Action],
    batch: Sequence[Wake],
    inputs: Mapping[str, OpenInput],
) -> list[Reply]:
    """The replies of a run that succeeded: the engine's, and one for each input that it left without.

    An input is answered by the first reply that names it. One that asked for tasks stays open until
    the last of them has ended; when that is in this batch and the engine says nothing, the outcome
    itself is the reply.
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
    for wake in batch:
        if (missing := _missing(wake, pending, answered)) is not None:
            answered.update(missing.in_reply_to)
            settled.append(missing)
    return settled


def fall_back(batch: Sequence[Wake], inputs: Mapping[str, OpenInput], error: str) -> list[Reply]:
    """The replies of a run that is given up: one for each wake event, without an engine (MG-2)."""
    pending = pending_tasks((), batch, inputs)
    replies: list[Reply] = []
    for wake in batch:
        match wake:
            case UserInput():
                text = f"This input could not be handled: {error}. It is not tried again; send it anew."
                replies.append(Reply(text=text, in_reply_to=(wake.id,), role="system"))
            case DoneTask():
                origin = wake.result.origin
                ends = origin is not None and pending.get(origin) == ()
                if ends:
                    pending = {name: tasks for name, tasks in pending.items() if name != origin}
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


def _missing(wake: Wake, pending: Mapping[str, tuple[str, ...]], answered: set[str]) -> Reply | None:
    """The reply that the engine owes for `wake`, if it does."""
    if isinstance(wake, UserInput):
        if wake.id in answered or pending.get(wake.id):
            return None
        return Reply(text=NO_ANSWER, in_reply_to=(wake.id,), role="system")
    if isinstance(wake, DoneTask) and (origin := wake.result.origin) is not None:
        if origin in answered or pending.get(origin) != ():
            return None
        return _outcome(wake, (origin,))
    return None


def _outcome(wake: DoneTask, in_reply_to: tuple[str, ...]) -> Reply:
    return Reply(
        text=describe_result(wake.result), in_reply_to=in_reply_to, task=wake.result.task, role="system"
    )
