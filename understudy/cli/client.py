"""The HTTP client of the commands: typed answers in, problems out."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import httpx
import trio
from pydantic import BaseModel, ValidationError

from understudy.cli.answers import Page
from understudy.cli.exits import CommandFailed, Exit, failure, problem_of_answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
    from types import TracebackType

T = TypeVar("T")
AnswerT = TypeVar("AnswerT", bound=BaseModel)
PageT = TypeVar("PageT", bound=Page)

TIMEOUT_S = 40.0
SILENCE_S = 60.0
PAGE_ROWS = 200


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """A server-sent event."""

    event: str
    id: str
    data: str


class Keyed(BaseModel):
    """The body of a change that says no more than its idempotency key."""

    key: str | None = None


class Client:
    """Talks to one server. Environment proxies are left aside: the server is on this machine.

    Raises (from its methods):
        CommandFailed: the server said no; the problem is its own.
        httpx.TransportError: the connection failed or was lost; whether a POST was taken is unknown.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._http.__aexit__(exc_type, exc, tb)

    async def get(
        self, path: str, answer: type[AnswerT], parameters: Mapping[str, str | int] | None = None
    ) -> AnswerT:
        """GET `path`, decoded as `answer`."""
        return _decoded(await self._http.get(path, params=parameters), answer)

    async def get_text(self, path: str, parameters: Mapping[str, str | int]) -> httpx.Response:
        """GET `path`, whose answer is text with headers of its own."""
        response = await self._http.get(path, params=parameters)
        if response.is_error:
            raise CommandFailed(problem_of_answer(response.status_code, response.content))
        return response

    async def read_list(
        self,
        path: str,
        page: type[PageT],
        rows: Callable[[PageT], list[T]],
        limit: int,
        parameters: Mapping[str, str | int] | None = None,
    ) -> tuple[list[T], PageT]:
        """The first `limit` rows of a list, of as many pages as that takes, and the last of these pages."""
        found: list[T] = []
        wanted = dict(parameters or {})
        while True:
            wanted["limit"] = min(limit - len(found), PAGE_ROWS)
            last = await self.get(path, page, wanted)
            found += rows(last)
            if last.next is None or len(found) >= limit:
                return found, last
            wanted["cursor"] = last.next

    async def post(self, path: str, answer: type[AnswerT], body: BaseModel | None = None) -> AnswerT:
        """POST `body` (or `{}`) to `path`, decoded as `answer`."""
        content = b"{}" if body is None else body.model_dump_json(exclude_none=True).encode()
        response = await self._http.post(path, content=content, headers={"Content-Type": "application/json"})
        return _decoded(response, answer)

    @asynccontextmanager
    async def events(self) -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        """The event stream from now on; open when the block begins."""
        timeout = httpx.Timeout(TIMEOUT_S, read=SILENCE_S)
        async with self._http.stream("GET", "/api/events", timeout=timeout) as response:
            if response.is_error:
                raise CommandFailed(problem_of_answer(response.status_code, await response.aread()))
            yield read_events(response.aiter_lines())


async def read_events(lines: AsyncIterator[str]) -> AsyncIterator[ServerEvent]:
    """The events in the lines of a stream; comments, and fields that we do not know, are passed over."""
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if "data" in fields:
                yield ServerEvent(fields.get("event", "message"), fields.get("id", ""), fields["data"])
            fields = {}
        elif name == "data" and "data" in fields:
            fields["data"] += "\n" + value
        elif name:
            fields[name] = value


def _decoded(response: httpx.Response, answer: type[AnswerT]) -> AnswerT:
    if response.is_error:
        raise CommandFailed(problem_of_answer(response.status_code, response.content))
    try:
        return answer.model_validate_json(response.content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        detail = (
            f"{response.request.url} answered something else than expected "
            f"({where or 'the body'}: {first['msg']}). Is the server of another version?"
        )
        raise failure(Exit.FAILED, "Unexpected answer", detail) from error


def ask(address: str, work: Callable[[Client], Awaitable[T]]) -> T:
    """What `work` gets from the server at `address`. Blocks, in a loop of its own.

    Raises:
        CommandFailed: the server said no, or went away (exit code 3).
    """

    async def run() -> T:
        try:
            async with Client(address) as client:
                return await work(client)
        except httpx.TransportError as error:
            raise lost(address, error) from error

    return trio.run(run)


def lost(address: str, error: Exception) -> CommandFailed:
    """The failure for a server that went away while it was asked."""
    reason = str(error) or type(error).__name__
    detail = f"the server at {address} does not answer ({reason}): `understudy status` tells whether it runs"
    return failure(Exit.NO_SERVER, "No answer", detail)
