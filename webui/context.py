"""What every route has: the system, how to ask its actors, and how long that may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from understudy.actors.projection import Unavailable, feed_of, wait_until_shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from understudy.actors.projection import Feed
    from understudy.protocols import Message
    from understudy.supervision.system import ActorSystem

R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)

ASK_TIMEOUT_S = 30.0
SHOWN_TIMEOUT_S = 2.0
PAGE_ROWS = 50
PAGE_MAX_ROWS = 500

Key = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""An idempotency key: the same key gets the same answer, also after a restart (JR-4)."""

Limit = Annotated[int, Query(ge=1, le=PAGE_MAX_ROWS, description="rows in a page")]
PageCursor = Annotated[str | None, Query(max_length=200, description="the `next` of the page before")]


class Body(BaseModel):
    """A request's body: unknown fields are refused, so that a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Keyed(Body):
    """A change that may be repeated under its key."""

    key: Key | None = None


class Accepted(BaseModel):
    """The request is durable: a crash does not lose it."""

    id: str


def checked(kind: type[M], body: Body | Mapping[str, object]) -> M:
    """The message's part that `body` (without its key) stands for, checked by that part's own rules.

    Raises:
        RequestValidationError: it breaks one of them.
    """
    try:
        return kind.model_validate(body.model_dump(exclude={"key"}) if isinstance(body, Body) else body)
    except ValidationError as error:
        errors = [{**entry, "loc": ("body", *entry["loc"])} for entry in error.errors(include_url=False)]
        raise RequestValidationError(errors) from None


def as_json(answer: BaseModel) -> Response:
    """The answer as it is: FastAPI would validate each row once more, which takes most of the time."""
    return Response(answer.model_dump_json(), media_type="application/json")


class Context:
    """The system behind the API."""

    def __init__(self, system: ActorSystem) -> None:
        self.system = system

    @property
    def feed(self) -> Feed:
        """The read model.

        Raises:
            Unavailable: the projection is not running.
        """
        return feed_of(self.system)

    @property
    def feed_if_ready(self) -> Feed | None:
        """The read model, or None where it is not available."""
        try:
            return feed_of(self.system)
        except Unavailable:
            return None

    async def ask(self, actor: str, message: Message[R], key: str | None = None) -> R:
        """The actor's durable answer; the read model shows what it did, unless that is far behind.

        Raises:
            UnderstudyError: what the actor, or the way to it, says.
        """
        answer = await self.system.get(actor).ask_async(message, timeout_s=ASK_TIMEOUT_S, key=key)
        await wait_until_shown(self.system, actor, SHOWN_TIMEOUT_S)
        return answer


def context_of(request: Request) -> Context:
    """The app's context."""
    context = request.app.state.context
    if not isinstance(context, Context):
        raise TypeError(f"expected a Context, got {context!r}")
    return context


Ctx = Annotated[Context, Depends(context_of)]
