"""The system: its actors, its state, and how it goes on after a halt."""

from __future__ import annotations

from importlib.metadata import version
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from understudy.actors.projection import ReadModel
from understudy.actors.projection.live import problems_of, system_row
from understudy.actors.projection.table import Table
from understudy.actors.workers import threads_left
from understudy.protocols.errors import NotFound
from understudy.protocols.lifecycle import Halt, Problem
from understudy.protocols.read_model import ActorRow, Incident, ManagerRow
from understudy.webui.context import PAGE_ROWS, Body, Ctx, Limit, PageCursor

router = APIRouter(tags=["system"])
SHOWN_INCIDENTS = 50


class Actors(BaseModel):
    """A page of actors, newest first; `parent` makes them a tree."""

    actors: list[ActorRow]
    next: str | None = Field(description="the cursor of the next page; null when there is none")


class TaskCounts(BaseModel):
    """How many tasks there are of each status."""

    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0


class Status(BaseModel):
    """The system as it stands."""

    state: Literal["ok", "degraded", "halted"]
    version: str
    home: str | None
    halted: list[Halt] = Field(description="actors that a write error stopped, and what to do")
    blocked: list[Halt] = Field(description="actors whose journal is damaged, and what to do")
    problems: list[Problem] = Field(description="stored and configured items that can't be used now")
    dead_letters: int = Field(description="messages that nobody handled, since the start")
    actors: int
    read_model: Literal["ready", "away"] = Field(description="while it is away, what follows is empty")
    manager: ManagerRow
    tasks: TaskCounts
    abandoned_threads: list[str] = Field(description="attempts whose callable never returned and still runs")
    messages: int
    schedules: int
    incidents: list[Incident] = Field(description="what went wrong lately, newest first")


class Health(BaseModel):
    """Whether work is done. While something can't be written, the answer has status 503 and says why."""

    status: Literal["ok", "degraded", "halted"]
    reason: str | None = Field(default=None, description="which actors are halted, and by which error")


class Resume(Body):
    """Which actor goes on; all that are halted when it is not given."""

    actor: str | None = Field(default=None, max_length=200)


class Resumed(BaseModel):
    """The actors that go on."""

    resumed: list[str]


@router.get("/api/actors")
async def list_actors(context: Ctx, limit: Limit = PAGE_ROWS, cursor: PageCursor = None) -> Actors:
    """The actors as they stand: phase, mailbox, restarts, last failure."""
    table = Table[ActorRow]()
    for actor in context.system.status().actors:
        table.put(ActorRow.model_construct(id=actor.name, **dict(actor)))
    rows, following = table.page(limit, cursor)
    return Actors.model_construct(actors=rows, next=following)


@router.get("/api/status")
async def show_status(context: Ctx) -> Status:
    """The whole in one look, with what needs a person."""
    status = context.system.status()
    feed = context.feed_if_ready
    model = ReadModel() if feed is None else feed.model
    row = system_row(status)
    return Status(
        state=row.state,
        version=version("understudy"),
        home=row.home,
        halted=list(row.halted),
        blocked=list(row.blocked),
        problems=list(problems_of(context.system)),
        dead_letters=row.dead_letters,
        actors=len(status.actors),
        read_model="away" if feed is None else "ready",
        manager=model.manager,
        tasks=TaskCounts(**dict(model.tasks.counts)),
        abandoned_threads=list(threads_left(context.system)),
        messages=len(model.messages),
        schedules=len(model.schedules),
        incidents=[] if feed is None else list(feed.incidents)[: -SHOWN_INCIDENTS - 1 : -1],
    )


@router.get("/healthz", response_model_exclude_none=True, responses={503: {"model": Health}})
async def show_health(context: Ctx, response: Response) -> Health:
    """Whether work is done: 503 while an actor is halted, since what it takes can't be written."""
    status = context.system.status()
    health = Health(status=system_row(status).state)
    if status.halted:
        response.status_code = 503
        health.reason = "; ".join(f"{halt.actor}: {halt.error}" for halt in status.halted)
    return health


@router.post("/api/resume")
async def resume(context: Ctx, body: Resume | None = None) -> Resumed:
    """Let halted actors go on, after somebody has looked at the disk (JR-8)."""
    halted = [halt.actor for halt in context.system.status().halted]
    wanted = body.actor if body is not None else None
    if wanted is not None and wanted not in halted:
        raise NotFound(f"expected a halted actor, got {wanted!r}; halted are: {', '.join(halted) or 'none'}")
    names = halted if wanted is None else [wanted]
    for name in names:
        await context.system.resume(name)
    return Resumed(resumed=names)
