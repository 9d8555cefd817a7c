"""Schedules."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from understudy.actors.projection import detail_of
from understudy.protocols.errors import NotFound
from understudy.protocols.read_model import ScheduleDetail
from understudy.protocols.schedules import (
    AddSchedule,
    DisableSchedule,
    EnableSchedule,
    Misfire,
    Overlap,
    RemoveSchedule,
    RunSchedule,
    ScheduleAccepted,
    ScheduleKind,
    ScheduleSpec,
    Waking,
)
from understudy.protocols.tasks import MAIN_SESSION, CheckTask
from understudy.webui.context import PAGE_ROWS, Ctx, Key, Keyed, Limit, PageCursor, as_json, checked
from understudy.webui.work import NewWork

router = APIRouter(tags=["schedules"])
ScheduleId = Annotated[str, Path(max_length=200, examples=["sched-1"])]
Runs = Annotated[int, Query(ge=0, le=20, description="how many of the next nominal times")]
Verb = Literal["enable", "disable", "remove", "run"]
_VERBS: Final = {
    "enable": EnableSchedule,
    "disable": DisableSchedule,
    "remove": RemoveSchedule,
    "run": RunSchedule,
}


class NewSchedule(NewWork):
    """A schedule to be made: `cron` or `at`, and what the task does that each firing makes."""

    title: str = Field(min_length=1, max_length=500, examples=["say hello each hour"])
    cron: str | None = Field(default=None, max_length=200, examples=["0 * * * *"])
    at: datetime | None = Field(default=None, description="a single time; without a zone, in `timezone`")
    timezone: str | None = Field(default=None, max_length=100, examples=["Europe/Zurich"])
    kind: ScheduleKind = "background"
    wake: Waking = Field(default="done", description="`always`: wake the manager at once too")
    text: str = Field(default="", max_length=10_000, description="what a reminder says")
    misfire: Misfire = Field(default="once", description="of times that nobody could fire, which do fire")
    misfire_limit: int = Field(default=10, ge=1, le=1000, description="how many, with `all`")
    misfire_grace_s: float = Field(default=60.0, ge=1, le=31_536_000, description="less late is no misfire")
    overlap: Overlap = Field(default="allow", description="while a task of an earlier firing is not over")
    jitter_s: float = Field(default=0.0, ge=0, le=86_400, description="each firing up to so much later")
    session: str = Field(default=MAIN_SESSION, min_length=1, max_length=200)
    key: Key | None = None


class Schedules(BaseModel):
    """A page of schedules, newest first."""

    schedules: list[ScheduleDetail]
    next: str | None = Field(description="the cursor of the next page; null when there is none")


@router.get("/api/schedules", response_model=Schedules)
async def list_schedules(
    context: Ctx, limit: Limit = PAGE_ROWS, cursor: PageCursor = None, runs: Runs = 3
) -> Response:
    """The schedules, newest first."""
    model = context.feed.model
    rows, following = model.schedules.page(limit, cursor)
    details = [detail_of(model, row, runs) for row in rows]
    return as_json(Schedules.model_construct(schedules=details, next=following))


@router.get("/api/schedules/{schedule_id}", response_model=ScheduleDetail)
async def show_schedule(context: Ctx, schedule_id: ScheduleId, runs: Runs = 3) -> Response:
    """One schedule."""
    model = context.feed.model
    row = model.schedules.get(schedule_id)
    if row is None:
        msg = f"expected the id of a schedule, got {schedule_id!r}: `understudy cron list` shows them"
        raise NotFound(msg)
    return as_json(detail_of(model, row, runs))


@router.post("/api/schedules", status_code=202)
async def add_schedule(context: Ctx, body: NewSchedule) -> ScheduleAccepted:
    """Make a schedule whose tasks the pool would take. It is durable when this answers."""
    spec = checked(ScheduleSpec, body.fields())
    if spec.makes_tasks:
        await context.ask("workers", CheckTask(spec=spec.task("", 0.0)))
    return await context.ask("cron", AddSchedule(spec=spec), body.key)


@router.post("/api/schedules/{schedule_id}/{verb}", status_code=202)
async def change_schedule(
    context: Ctx, schedule_id: ScheduleId, verb: Verb, body: Keyed | None = None
) -> ScheduleAccepted:
    """Let a schedule fire, keep it from firing, take it away, or fire it once now."""
    asked = body or Keyed()
    return await context.ask("cron", _VERBS[verb](id=schedule_id), asked.key)
