"""Actions as an engine writes them: data, before they are checked against what there is (MG-4).

`PROPOSAL.json_schema()` is their JSON schema, for engines that show one to a model.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from understudy.protocols.base import Frozen
from understudy.protocols.schedules import ScheduleSpec
from understudy.protocols.tasks import SUMMARY_CHARACTERS, TaskSpec


class ProposeTask(Frozen):
    """Make a task."""

    action: Literal["create_task"]
    spec: TaskSpec


class ProposeCancel(Frozen):
    """End a task that is not over."""

    action: Literal["cancel_task"]
    task: str
    reason: str = Field(default="canceled by the manager", max_length=500)


class ProposeSummary(Frozen):
    """Keep a summary of its result with a task that is over."""

    action: Literal["summarize_task"]
    task: str
    text: str = Field(min_length=1, max_length=SUMMARY_CHARACTERS)


class ProposeSchedule(Frozen):
    """Make a schedule."""

    action: Literal["add_schedule"]
    spec: ScheduleSpec


class ProposeRemoval(Frozen):
    """Take a schedule away."""

    action: Literal["remove_schedule"]
    schedule: str


Proposal = Annotated[
    ProposeTask | ProposeCancel | ProposeSummary | ProposeSchedule | ProposeRemoval,
    Field(discriminator="action"),
]

PROPOSAL: TypeAdapter[Proposal] = TypeAdapter(Proposal)
