"""`send`: one input, and with `--wait` its final reply, also across a restart of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import trio
from cyclopts import Parameter
from cyclopts.types import PositiveFloat
from pydantic import BaseModel

from understudy.cli.answers import IdAnswer, MessagePage
from understudy.cli.client import Client
from understudy.cli.exits import Exit, failure
from understudy.cli.output import Text, console, print_json
from understudy.cli.returning import StreamEnded, persistently
from understudy.cli.server import address_of, require_server
from understudy.cli.settings import COMMON, Common, home_path
from understudy.protocols.read_model import MessageRow

if TYPE_CHECKING:
    from pathlib import Path

_PAGE = 100


class InputBody(BaseModel):
    """The body of `POST /api/input`."""

    text: str
    key: str


class Sent(BaseModel):
    """What `send --json` prints."""

    id: str
    key: str
    reply: MessageRow | None = None


def send(
    text: Annotated[str, Parameter(help="What to say, `/run COMMAND` and the like too.")],
    /,
    *,
    wait: Annotated[bool, Parameter(negative="", help="Wait for the final reply and print it.")] = False,
    timeout: Annotated[PositiveFloat, Parameter(help="Seconds to wait for the reply.")] = 600.0,
    key: Annotated[str | None, Parameter(help="Idempotency key: the same one counts once.")] = None,
    common: Common = COMMON,
) -> int:
    """Say something to the manager. Durable when this returns. Needs a running server.

    With --wait a restart of the server meanwhile does no harm, if it is back within 30 seconds.
    """
    home = home_path(common)
    sent = trio.run(send_input, home, text, key)
    if wait:
        if not common.json:
            console(error=True).print(Text(f"{sent.id} is accepted, waiting for its reply", style="dim"))
        sent.reply = trio.run(wait_for_reply, home, sent.id, timeout)
    if common.json:
        print_json(sent)
    else:
        said = sent.id if sent.reply is None else sent.reply.text.rstrip("\n")
        console().print(Text(said), soft_wrap=True)
    return Exit.OK


async def send_input(home: Path, text: str, key: str | None) -> Sent:
    """Submit an input; durable when this returns.

    A connection that breaks leaves it unknown whether the server took the input, so it is sent again
    with the same idempotency key: it counts once.

    Raises:
        CommandFailed: no server (3), refused (6), or the server did not come back (3).
    """
    require_server(home, "send")
    body = InputBody(text=text, key=key or uuid4().hex)

    async def submit(client: Client) -> IdAnswer:
        return await client.post("/api/input", IdAnswer, body)

    answer = await persistently(home, submit)
    return Sent(id=answer.id, key=body.key)


async def wait_for_reply(home: Path, input_id: str, timeout_s: float) -> MessageRow:
    """The final reply to an input, as soon as the server has it.

    Waits on the event stream, so an idle wait costs nothing.

    Raises:
        CommandFailed: not in time (9), or the server went away and did not come back (3).
    """

    async def follow(client: Client) -> MessageRow:
        return await _follow(client, input_id)

    with trio.move_on_after(timeout_s):
        return await persistently(home, follow)
    page = address_of(home) or "the server's address"
    detail = (
        f"no final reply to {input_id} within {timeout_s:g} s. It is not lost: the reply will be on the "
        f"page at {page}; --timeout sets a longer wait"
    )
    raise failure(Exit.TIMED_OUT, "No reply in time", detail, id=input_id)


async def _follow(client: Client, input_id: str) -> MessageRow:
    """Look once behind the open stream (so that nothing falls in between), then at each hint.

    An event is only a hint: one that names the input makes us look; what it holds is not read.
    """
    async with client.events() as events:
        if (reply := await find_reply(client, input_id)) is not None:
            return reply
        async for event in events:
            if event.event != "snapshot" and f'"{input_id}"' in event.data:
                reply = await find_reply(client, input_id)
                if reply is not None:
                    return reply
    raise StreamEnded


async def find_reply(client: Client, input_id: str) -> MessageRow | None:
    """The input's final reply, None while it is outstanding.

    Lists are newest first, so the reply comes before the input, and the search ends there.
    """
    cursor: str | None = None
    while True:
        parameters: dict[str, str | int] = {"limit": _PAGE}
        if cursor is not None:
            parameters["cursor"] = cursor
        page = await client.get("/api/messages", MessagePage, parameters)
        for message in page.messages:
            if input_id in message.in_reply_to:
                return message
        if page.next is None or any(message.id == input_id for message in page.messages):
            return None
        cursor = page.next
