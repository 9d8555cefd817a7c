"""An answer's actions, data so far, become proposals at the desk; or problems, for the engine to correct."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from understudy.protocols.base import encodable
from understudy.protocols.engine import ActionProblem
from understudy.protocols.errors import Refused
from understudy.protocols.proposals import (
    PROPOSAL,
    ProposeCancel,
    ProposeRemoval,
    ProposeSchedule,
    ProposeSummary,
    ProposeTask,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.actors.engines import Desk
    from understudy.protocols.proposals import Proposal

SHOWN_CHARACTERS = 200


async def propose(actions: Sequence[object], desk: Desk) -> tuple[ActionProblem, ...]:
    """Propose each of `actions` at `desk`, in order. Returns what is wrong with those that can't be done.

    When one has the wrong form, none is proposed: an id that is given is never given again.
    """
    proposals: list[Proposal] = []
    problems: list[ActionProblem] = []
    for index, action in enumerate(actions):
        try:
            proposals.append(PROPOSAL.validate_python(action))
        except ValidationError as error:
            problems.append(_problem(index, action, _errors(error)))
    if not problems:
        for index, proposal in enumerate(proposals):
            try:
                await _carry(proposal, desk)
            except Refused as error:
                problems.append(_problem(index, actions[index], str(error)))
    return tuple(problems)


async def _carry(proposal: Proposal, desk: Desk) -> None:
    match proposal:
        case ProposeTask(spec=spec):
            await desk.create_task(spec)
        case ProposeCancel():
            await desk.cancel_task(proposal.task, proposal.reason)
        case ProposeSummary():
            await desk.summarize_task(proposal.task, proposal.text)
        case ProposeSchedule(spec=spec):
            await desk.add_schedule(spec)
        case ProposeRemoval():
            await desk.remove_schedule(proposal.schedule)


def _problem(index: int, action: object, error: str) -> ActionProblem:
    try:
        shown = json.dumps(action, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        shown = f"something that is no JSON ({type(action).__name__})"
    if len(shown) > SHOWN_CHARACTERS:
        shown = shown[:SHOWN_CHARACTERS] + "…"
    return ActionProblem(index=index, action=encodable(shown), error=encodable(error))


def _errors(error: ValidationError) -> str:
    """`field: what is wrong`, for each."""
    found = [
        (".".join(str(part) for part in one["loc"]), one["msg"])
        for one in error.errors(include_url=False, include_context=False)
    ]
    return "; ".join(f"{place}: {text}" if place else text for place, text in found)
