"""Serving: hypercorn's trio worker in the system's own loop, on loopback."""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, cast

import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio import serve  # pyright: ignore[reportUnknownVariableType] -- its WSGI half is untyped

from understudy.actors.projection import wait_until_ready
from understudy.protocols.errors import UnderstudyError
from understudy.webui.app import make_app
from understudy.webui.guard import is_loopback

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

    from understudy.supervision.system import ActorSystem

log = logging.getLogger(__name__)

GRACE_S = 3.0
"""Time that open requests have to end when the server stops."""
READY_S = 30.0
"""Time that the read model has to be level before requests are taken; afterwards it says so itself."""
STUCK_MS = 10_000
"""A client that takes nothing for so long is cut off: hypercorn does not let its writes be cancelled."""


class NotLoopback(UnderstudyError):
    """The address could be reached from other machines, and the API runs commands."""

    code = "not_loopback"
    status = 400
    title = "Not a loopback address"


class AddressUnusable(UnderstudyError):
    """The address can't be served: another process has it, or it is not this machine's."""

    code = "address_unusable"
    title = "Address unusable"


class _Config(Config):
    """hypercorn's settings, with sockets that are bound already."""

    bound: Sockets

    def create_sockets(self) -> Sockets:
        """See the class."""
        return self.bound


async def serve_http(
    system: ActorSystem,
    host: str = "127.0.0.1",
    port: int = 0,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `system` until cancelled; then the event streams are ended and open requests get a moment.

    Args:
        system: with the cast in it.
        host: a loopback address, or `localhost`.
        port: 0 for one that is free.
        task_status: is told the URL, such as `http://127.0.0.1:8000`, once requests are taken.

    Raises:
        NotLoopback: another address than loopback.
        AddressUnusable: the port is taken, or may not be used.
    """
    config = _Config()
    config.bound = Sockets([], [_listening(host, port)], [])
    config.errorlog = log.getChild("hypercorn")
    config.include_server_header = False
    config.graceful_timeout = GRACE_S
    stopping = trio.Event()
    app = make_app(system, stopping)
    serving = trio.CancelScope(shield=True)

    async def run(task_status: trio.TaskStatus[list[str]]) -> None:
        with serving:
            await serve(
                cast("ASGIFramework", app),
                config,
                shutdown_trigger=stopping.wait,
                mode="asgi",
                task_status=task_status,
            )

    await wait_until_ready(system, READY_S)
    async with trio.open_nursery() as nursery:
        urls: list[str] = await nursery.start(run)
        task_status.started(urls[0])
        try:
            await trio.sleep_forever()
        finally:
            stopping.set()


def _listening(host: str, port: int) -> socket.socket:
    """A bound socket that no child process inherits."""
    if not is_loopback(host):
        raise NotLoopback(
            f"expected a loopback address such as 127.0.0.1 or localhost, got {host!r}: whoever reaches "
            "this API can run commands. Use an SSH tunnel to reach it from elsewhere"
        )
    bare = host.strip("[]")
    address = "127.0.0.1" if bare.lower() == "localhost" else bare
    found = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)
        found.bind((address, port))
        found.setblocking(False)  # noqa: FBT003 - the socket module's signature
    except (OSError, OverflowError) as error:
        found.close()
        reason = "it is in use: choose another port, or 0 for a free one"
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise AddressUnusable(f"can't serve {address}:{port}: {reason if taken else error}") from error
    return found
