"""Work with a home's server that may go away meanwhile and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import httpx
import trio

from understudy.cli.client import Client, lost
from understudy.cli.exits import Exit, failure
from understudy.cli.server import address_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

T = TypeVar("T")

RETURN_S = 30.0
"""So long a server may be away before a command gives up."""

_FIRST_LOOK_S = 0.1
_LAST_LOOK_S = 1.0


class StreamEnded(Exception):
    """The server ended its event stream: it stops."""


async def persistently(home: Path, work: Callable[[Client], Awaitable[T]]) -> T:
    """Do `work` with the home's server; when that goes away, again with the one that comes back.

    A server that the lock names but that refuses connections (it stops, or hangs) is given up after
    `RETURN_S` too; an attempt that got somewhere begins that time anew.
    """
    give_up_at = trio.current_time() + RETURN_S
    while True:
        address = await _server(home)
        began = trio.current_time()
        try:
            async with Client(address) as client:
                return await work(client)
        except (httpx.TransportError, StreamEnded) as error:
            now = trio.current_time()
            if now - began > _LAST_LOOK_S:
                give_up_at = now + RETURN_S
            if now > give_up_at:
                raise lost(address, error) from error
            await trio.sleep(_FIRST_LOOK_S)


async def _server(home: Path) -> str:
    """The address of the home's server, waiting up to `RETURN_S` for one."""
    pause_s = _FIRST_LOOK_S
    with trio.move_on_after(RETURN_S):
        while True:
            address = address_of(home)
            if address is not None:
                return address
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_LOOK_S)
    detail = (
        f"the server of {home} went away and did not come back within {RETURN_S:.0f} s. What it "
        f"acknowledged is kept: start it again with `understudy serve --home {home}`"
    )
    raise failure(Exit.NO_SERVER, "No server", detail)
