"""Tasks."""

from __future__ import annotations

from codecs import utf_8_decode
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from understudy.actors.workers import read_output
from understudy.protocols.errors import NotFound, UnderstudyError
from understudy.protocols.read_model import TaskDetail, TaskRow
from understudy.protocols.tasks import (
    MAIN_SESSION,
    CancelAccepted,
    CancelTask,
    CreateTask,
    GetTask,
    Name,
    RetryTask,
    TaskSpec,
    TaskStatus,
)
from understudy.webui.context import (
    PAGE_ROWS,
    Accepted,
    Context,
    Ctx,
    Key,
    Keyed,
    Limit,
    PageCursor,
    as_json,
    checked,
)
from understudy.webui.work import NewWork

router = APIRouter(tags=["tasks"])
OUTPUT_MAX_BYTES = 1 << 20
WHY_TIMEOUT_S = 2.0
SCANNED_PAGES, SCANNED_ROWS = 25, 200
TaskId = Annotated[str, Path(max_length=200, examples=["task-1"])]


class NewTask(NewWork):
    """A task to be made."""

    title: str = Field(min_length=1, max_length=500, examples=["say hello"])
    start_at: float | None = Field(default=None, ge=0, description="not before (epoch seconds)")
    fingerprint: Name | None = Field(default=None, description="one active task of these at a time")
    replace_key: Name | None = Field(default=None, description="cancels the active task of the same key")
    debounce_s: float = Field(default=0.0, ge=0, le=86_400, description="wait for newer ones of the key")
    session: str = Field(
        default=MAIN_SESSION, min_length=1, max_length=200, description="who is told how it ended"
    )
    key: Key | None = None


class Tasks(BaseModel):
    """A page of tasks, newest first."""

    tasks: list[TaskRow]
    next: str | None = Field(description="the cursor of the next page; null when there is none")


class Cancel(Keyed):
    """Why a task is canceled."""

    reason: str = Field(default="canceled by request", min_length=1, max_length=500)


@router.post("/api/tasks", status_code=202)
async def create_task(context: Ctx, body: NewTask, response: Response) -> Accepted:
    """Make a task. It is durable when this answers, and starts when a worker is free."""
    spec = checked(TaskSpec, body.fields())
    accepted = await context.ask("workers", CreateTask(spec=spec), body.key)
    response.headers["Location"] = f"/api/tasks/{accepted.id}"
    return Accepted(id=accepted.id)


@router.get("/api/tasks", response_model=Tasks)
async def list_tasks(
    context: Ctx,
    limit: Limit = PAGE_ROWS,
    cursor: PageCursor = None,
    status: Annotated[list[TaskStatus] | None, Query(description="only these; may be repeated")] = None,
    queue: Annotated[str | None, Query(max_length=200, description="only of this queue")] = None,
    session: Annotated[str | None, Query(max_length=200, description="only of this session")] = None,
    schedule: Annotated[str | None, Query(max_length=200, description="only fired by this one")] = None,
) -> Response:
    """The tasks, newest first.

    With `queue`, `session` or `schedule` a page can have fewer tasks than `limit`, and yet a `next`: a
    request looks at a bounded number of tasks.
    """
    wanted = {"queue": queue, "session": session, "schedule": schedule}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    table = context.feed.model.tasks
    if not wanted:
        rows, following = table.page(limit, cursor, status)
        return as_json(Tasks.model_construct(tasks=rows, next=following))
    found: list[TaskRow] = []
    for _ in range(SCANNED_PAGES):
        rows, following = table.page(SCANNED_ROWS, cursor, status)
        for row in rows:
            if all(getattr(row, name) == value for name, value in wanted.items()):
                found.append(row)
                if len(found) == limit:
                    return as_json(Tasks.model_construct(tasks=found, next=row.id))
        cursor = following
        if cursor is None:
            break
    return as_json(Tasks.model_construct(tasks=found, next=cursor))


@router.get("/api/tasks/{task_id}")
async def show_task(context: Ctx, task_id: TaskId) -> TaskDetail:
    """One task, with its output; one that waits says why as of now, one that runs how far it is."""
    detail = _detail(context, task_id)
    if detail.status != "pending":
        return detail
    try:
        view = await context.system.get("workers").ask_async(GetTask(id=task_id), timeout_s=WHY_TIMEOUT_S)
    except UnderstudyError:  # what the journal said is there also while the pool is not
        return detail
    return detail.model_copy(update={"why": view.reason}) if view.reason else detail


@router.get("/api/tasks/{task_id}/output", response_class=PlainTextResponse)
async def show_output(
    context: Ctx,
    task_id: TaskId,
    offset: Annotated[int, Query(ge=0, description="bytes to leave out")] = 0,
    limit: Annotated[int, Query(ge=1, le=OUTPUT_MAX_BYTES, description="bytes at most")] = OUTPUT_MAX_BYTES,
) -> Response:
    """What its last attempt has written, as text: also while it runs, and more than the task's record keeps.

    `X-Attempt` says of which attempt, `X-Offset` the byte that the text begins with (a later one than was
    asked for, where those before are not at hand), `X-Output-Bytes` how much it wrote in all, and
    `X-Next-Offset` where to go on: it is missing when nothing follows any more.
    """
    detail = _detail(context, task_id)
    home = context.system.home
    assert home is not None, "the API serves a home"
    kept = await context.system.run_blocking(read_output, home, task_id, detail.attempts, offset, limit)
    part = _part_at_hand(detail, offset, limit) if kept is None else Part(offset, *kept)
    total = max(part.end, detail.output_bytes if detail.live is None else detail.live.output_bytes)
    goes_on = part.first + len(part.data) < part.end or detail.status in {"pending", "running"}
    text, used = utf_8_decode(part.data, "replace", not goes_on or len(part.data) == limit == 1)
    headers = {"X-Attempt": str(detail.attempts), "X-Offset": str(part.first), "X-Output-Bytes": str(total)}
    if goes_on:
        headers["X-Next-Offset"] = str(part.first + used)
    return PlainTextResponse(text, headers=headers)


class Part(NamedTuple):
    """Bytes of an output: the `first` of them, and where what is kept ends."""

    first: int
    data: bytes
    end: int


def _part_at_hand(detail: TaskDetail, offset: int, limit: int) -> Part:
    """A part of the end of an output that is short, or that has no file yet."""
    if detail.live is not None:
        data, end = detail.live.output.encode(), detail.live.output_bytes
    elif detail.output is not None:
        data, end = detail.output.text.encode(), detail.output.total_bytes
    else:
        data, end = b"", 0
    first = max(0, end - len(data))
    begin = max(offset, first)
    return Part(begin, data[begin - first :][:limit], end)


def _detail(context: Context, task_id: str) -> TaskDetail:
    feed = context.feed
    detail = feed.model.task_detail(task_id)
    if detail is None:
        raise NotFound(f"expected the id of a task, got {task_id!r}: `understudy tasks list` shows them")
    live = next((row for row in feed.live.shown() if row.id == task_id), None)
    return detail if live is None else detail.model_copy(update={"live": live})


@router.post("/api/tasks/{task_id}/cancel", status_code=202)
async def cancel_task(context: Ctx, task_id: TaskId, body: Cancel | None = None) -> CancelAccepted:
    """End a task: a pending one at once; a running one is `running` until its process has ended."""
    asked = body or Cancel()
    return await context.ask("workers", CancelTask(id=task_id, reason=asked.reason), asked.key)


@router.post("/api/tasks/{task_id}/retry", status_code=202)
async def retry_task(context: Ctx, task_id: TaskId, body: Keyed | None = None) -> Accepted:
    """Do the work of a failed or canceled task once more, as a new task. It is durable when this answers."""
    accepted = await context.ask("workers", RetryTask(id=task_id), None if body is None else body.key)
    return Accepted(id=accepted.id)
