"""The event stream and the page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import FileResponse, Response

from understudy.webui.context import Ctx
from understudy.webui.sse import EventStream
from understudy.webui.static_files import STATIC

router = APIRouter()


@router.get(
    "/api/events",
    tags=["events"],
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events: `snapshot`, then a `change` each; id `epoch-offset`",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream_events(
    request: Request,
    context: Ctx,
    last_event_id: Annotated[str | None, Header()] = None,
    after: Annotated[str | None, Query(description="as `Last-Event-ID`")] = None,
) -> Response:
    """The read model, live: a snapshot (unless `Last-Event-ID` says where to go on), then every change."""
    stopping = request.app.state.stopping
    return EventStream(context.feed, last_event_id or after, stopping, context.system.clock.time)


@router.get("/", include_in_schema=False)
async def show_page() -> FileResponse:
    """The page."""
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})
