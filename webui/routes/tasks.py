"""Tasks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from understudy.protocols.errors import NotFound
from understudy.protocols.read_model import TaskDetail, TaskRow
from understudy.protocols.tasks import (
    DEFAULT_QUEUE,
    MAIN_SESSION,
    CancelAccepted,
    CancelTask,
    CreateTask,
    Name,
    TaskSpec,
    TaskStatus,
    Variable,
    Word,
)
from understudy.webui.context import PAGE_ROWS, Accepted, Body, Ctx, Key, Limit, PageCursor, as_json, checked

router = APIRouter(tags=["tasks"])
TaskId = Annotated[str, Path(max_length=200, examples=["task-1"])]


class NewTask(Body):
    """A task to be made: a command that runs without a shell in between."""

    title: str = Field(min_length=1, max_length=500, examples=["say hello"])
    command: tuple[Word, ...] = Field(default=(), max_length=10_000, examples=[["echo", "hello"]])
    executor: str = Field(default="shell", min_length=1, max_length=100)
    function: str = Field(default="", max_length=200, description="the callable that `python` calls")
    arguments: dict[str, object] = Field(default={}, description="its arguments by name")
    queue: Name = Field(default=DEFAULT_QUEUE, description="its tasks share a limit, if it has one")
    priority: int = Field(default=0, ge=-1000, le=1000, description="a higher one starts first")
    timeout_s: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="bound of one attempt"
    )
    retries: int = Field(default=0, ge=0, le=100, description="attempts after a failed one")
    retry_delay_s: float = Field(default=1.0, ge=0, le=3600, allow_inf_nan=False)
    start_at: float | None = Field(default=None, ge=0, description="not before (epoch seconds)")
    fingerprint: Name | None = Field(default=None, description="one active task of these at a time")
    replace_key: Name | None = Field(default=None, description="cancels the active task of the same key")
    debounce_s: float = Field(default=0.0, ge=0, le=86_400, description="wait for newer ones of the key")
    workspace: str | None = Field(default=None, min_length=1, max_length=4000, examples=["site"])
    env: dict[Variable, Word] = Field(default={}, description="further environment variables")
    session: str = Field(
        default=MAIN_SESSION, min_length=1, max_length=200, description="who is told how it ended"
    )
    key: Key | None = None

    def pairs(self) -> dict[str, object]:
        """The fields of a `TaskSpec`."""
        return {**self.model_dump(exclude={"key"}), "env": tuple(self.env.items())}


class Tasks(BaseModel):
    """A page of tasks, newest first."""

    tasks: list[TaskRow]
    next: str | None = Field(description="the cursor of the next page; null when there is none")


class Cancel(Body):
    """Why a task is canceled."""

    reason: str = Field(default="canceled by request", min_length=1, max_length=500)
    key: Key | None = None


@router.post("/api/tasks", status_code=202)
async def create_task(context: Ctx, body: NewTask, response: Response) -> Accepted:
    """Make a task. It is durable when this answers, and starts when a worker is free."""
    spec = checked(TaskSpec, body.pairs())
    accepted = await context.ask("workers", CreateTask(spec=spec), body.key)
    response.headers["Location"] = f"/api/tasks/{accepted.id}"
    return Accepted(id=accepted.id)


@router.get("/api/tasks", response_model=Tasks)
async def list_tasks(
    context: Ctx,
    limit: Limit = PAGE_ROWS,
    cursor: PageCursor = None,
    status: Annotated[list[TaskStatus] | None, Query(description="only these; may be repeated")] = None,
) -> Response:
    """The tasks, newest first."""
    rows, following = context.feed.model.tasks.page(limit, cursor, status)
    return as_json(Tasks.model_construct(tasks=rows, next=following))


@router.get("/api/tasks/{task_id}")
async def show_task(context: Ctx, task_id: TaskId) -> TaskDetail:
    """One task, with its output."""
    detail = context.feed.model.task_detail(task_id)
    if detail is None:
        raise NotFound(f"expected the id of a task, got {task_id!r}: `understudy tasks list` shows them")
    return detail


@router.post("/api/tasks/{task_id}/cancel", status_code=202)
async def cancel_task(context: Ctx, task_id: TaskId, body: Cancel | None = None) -> CancelAccepted:
    """End a task: a pending one at once; a running one is `running` until its process has ended."""
    asked = body or Cancel()
    return await context.ask("workers", CancelTask(id=task_id, reason=asked.reason), asked.key)
