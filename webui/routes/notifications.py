"""Deliveries of notifications to sinks: what waits, and what is a dead letter."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from understudy.actors.projection.table import BadCursor
from understudy.protocols.notifications import (
    DeliveriesAccepted,
    DeliveryStatus,
    DeliveryView,
    ListDeliveries,
    RetryDeliveries,
)
from understudy.webui.context import PAGE_ROWS, Body, Ctx, Key, Limit, PageCursor

router = APIRouter(tags=["notifications"])


class Deliveries(BaseModel):
    """A page of the deliveries that are not made, newest first."""

    deliveries: list[DeliveryView]
    queued: int = Field(description="how many there are that are queued or running")
    dead: int = Field(description="how many dead letters there are")
    next: str | None = Field(description="the cursor of the next page; null when there is none")


class Retry(Body):
    """Which deliveries are tried again now."""

    ids: tuple[Annotated[str, Field(max_length=200)], ...] | None = Field(
        default=None, max_length=1000, description="these; all dead letters when it is not given"
    )
    sink: str | None = Field(default=None, max_length=200, description="of all dead letters only this sink's")
    key: Key | None = None


@router.get("/api/notifications")
async def list_deliveries(
    context: Ctx,
    limit: Limit = PAGE_ROWS,
    cursor: PageCursor = None,
    status: Annotated[DeliveryStatus | None, Query(description="only these; `dead` for dead letters")] = None,
    sink: Annotated[str | None, Query(max_length=200, description="only this sink's")] = None,
) -> Deliveries:
    """The deliveries that are not made, newest first. Made ones are in the notifier's journal only."""
    before = None
    if cursor is not None:
        if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 18):  # noqa: PLR2004 - an int64's digits
            raise BadCursor(f"expected the `next` of a page, got {cursor!r}")
        before = int(cursor)
    found = await context.ask(
        "notifier", ListDeliveries(status=status, sink=sink, limit=limit, before=before)
    )
    following = None if found.next is None else str(found.next)
    return Deliveries(deliveries=list(found.deliveries), queued=found.queued, dead=found.dead, next=following)


@router.post("/api/notifications/retry", status_code=202)
async def retry_deliveries(context: Ctx, body: Retry | None = None) -> DeliveriesAccepted:
    """Try deliveries again now, each with as many attempts as a new one."""
    asked = body or Retry()
    return await context.ask("notifier", RetryDeliveries(ids=asked.ids, sink=asked.sink), asked.key)
