"""Inputs and messages."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from understudy.protocols.conversation import INPUT_CHARACTERS, SubmitInput
from understudy.protocols.read_model import MessageRow
from understudy.protocols.tasks import MAIN_SESSION
from understudy.webui.context import PAGE_ROWS, Accepted, Body, Ctx, Key, Limit, PageCursor, as_json, checked

router = APIRouter(tags=["conversation"])


class NewInput(Body):
    """What a person says to the manager."""

    text: str = Field(min_length=1, max_length=INPUT_CHARACTERS, examples=["/run echo hello"])
    session: str = Field(default=MAIN_SESSION, min_length=1, max_length=200)
    key: Key | None = None


class Messages(BaseModel):
    """A page of messages, newest first."""

    messages: list[MessageRow]
    next: str | None = Field(description="the cursor of the next page; null when there is none")


@router.post("/api/input", status_code=202)
async def submit_input(context: Ctx, body: NewInput) -> Accepted:
    """Say something to the manager. It is durable when this answers, and gets one final reply."""
    message = checked(SubmitInput, body)
    accepted = await context.ask("manager", message, body.key)
    return Accepted(id=accepted.id)


@router.get("/api/messages", response_model=Messages)
async def list_messages(context: Ctx, limit: Limit = PAGE_ROWS, cursor: PageCursor = None) -> Response:
    """The conversation, newest first."""
    rows, following = context.feed.model.messages.page(limit, cursor)
    return as_json(Messages.model_construct(messages=rows, next=following))
