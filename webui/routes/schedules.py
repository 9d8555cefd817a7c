"""Schedules."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from understudy.protocols.read_model import ScheduleRow
from understudy.protocols.schedules import (
    AddSchedule,
    DisableSchedule,
    EnableSchedule,
    RemoveSchedule,
    ScheduleAccepted,
    ScheduleKind,
    ScheduleSpec,
)
from understudy.protocols.tasks import MAIN_SESSION, Word
from understudy.webui.context import PAGE_ROWS, Body, Ctx, Key, Limit, PageCursor, as_json, checked

router = APIRouter(tags=["schedules"])
ScheduleId = Annotated[str, Path(max_length=200, examples=["sched-1"])]
Verb = Literal["enable", "disable", "remove"]
_VERBS: Final = {"enable": EnableSchedule, "disable": DisableSchedule, "remove": RemoveSchedule}


class NewSchedule(Body):
    """A schedule to be made: `cron` or `at`, and the command of the task that each firing makes."""

    title: str = Field(min_length=1, max_length=500, examples=["say hello each hour"])
    cron: str | None = Field(default=None, max_length=200, examples=["0 * * * *"])
    at: datetime | None = Field(default=None, description="a single time; without a zone, in `timezone`")
    timezone: str | None = Field(default=None, max_length=100, examples=["Europe/Zurich"])
    command: tuple[Word, ...] = Field(default=(), max_length=10_000, examples=[["echo", "hello"]])
    kind: ScheduleKind = "background"
    text: str = Field(default="", max_length=10_000, description="what a reminder says")
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    retries: int = Field(default=0, ge=0, le=100)
    session: str = Field(default=MAIN_SESSION, min_length=1, max_length=200)
    key: Key | None = None


class Schedules(BaseModel):
    """A page of schedules, newest first."""

    schedules: list[ScheduleRow]
    next: str | None = Field(description="the cursor of the next page; null when there is none")


@router.get("/api/schedules", response_model=Schedules)
async def list_schedules(context: Ctx, limit: Limit = PAGE_ROWS, cursor: PageCursor = None) -> Response:
    """The schedules, newest first."""
    rows, following = context.feed.model.schedules.page(limit, cursor)
    return as_json(Schedules.model_construct(schedules=rows, next=following))


@router.post("/api/schedules", status_code=202)
async def add_schedule(context: Ctx, body: NewSchedule) -> ScheduleAccepted:
    """Make a schedule. It is durable when this answers."""
    spec = checked(ScheduleSpec, body)
    return await context.ask("cron", AddSchedule(spec=spec), body.key)


@router.post("/api/schedules/{schedule_id}/{verb}", status_code=202)
async def change_schedule(context: Ctx, schedule_id: ScheduleId, verb: Verb) -> ScheduleAccepted:
    """Let a schedule fire, keep it from firing, or take it away."""
    return await context.ask("cron", _VERBS[verb](id=schedule_id))
