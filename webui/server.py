"""Serving: an HTTP/1.1 server in the system's own loop, on loopback. No connection ends more than itself."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from typing import TYPE_CHECKING

import trio

from understudy.actors.projection import wait_until_ready
from understudy.protocols.errors import UnderstudyError
from understudy.webui import limits
from understudy.webui.app import make_app
from understudy.webui.connection import Connection, farewell, refusal
from understudy.webui.guard import is_loopback
from understudy.webui.peers import admitting

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp

    from understudy.supervision.system import ActorSystem
    from understudy.webui.peers import Admit
    from understudy.webui.problems import Problem

log = logging.getLogger(__name__)

GRACE_S = 3.0
"""Time that open requests have to end when the server stops."""
READY_S = 30.0
"""Time that the read model has to be level before requests are taken; afterwards it says so itself."""
STUCK_MS = 10_000
"""The kernel cuts off a client that takes nothing for so long."""
BACKLOG = 128
"""Connections that may wait to be accepted."""


class NotLoopback(UnderstudyError):
    """The address could be reached from other machines, and the API runs commands."""

    code = "not_loopback"
    status = 400
    title = "Not a loopback address"


class AddressUnusable(UnderstudyError):
    """The address can't be served: another process has it, or it is not this machine's."""

    code = "address_unusable"
    title = "Address unusable"


async def serve_http(
    system: ActorSystem,
    host: str = "127.0.0.1",
    port: int = 0,
    users: Collection[int] | None = (),
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `system` until cancelled; then the event streams are ended and open requests get a moment.

    Args:
        system: with the cast in it.
        host: a loopback address, or `localhost`.
        port: 0 for one that is free.
        users: further users (by number) whose processes are answered, besides this process's own and root;
            None for all. On macOS, which does not tell whose a connection is, all are.
        task_status: is told the URL, such as `http://127.0.0.1:8000`, once requests are taken.

    Raises:
        NotLoopback: another address than loopback.
        AddressUnusable: the port is taken, or may not be used.
    """
    await wait_until_ready(system, READY_S)
    listening = trio.socket.from_stdlib_socket(_listening(host, port))
    stopping = trio.Event()
    with admitting(users) as admit:
        door = _Door(make_app(system, stopping), trio.SocketListener(listening), stopping, admit)
        await _run(door, _url(listening), stopping, task_status)


async def _run(door: _Door, url: str, stopping: trio.Event, task_status: trio.TaskStatus[str]) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(door.keep)
        task_status.started(url)
        try:
            await trio.sleep_forever()
        finally:
            stopping.set()


class _Door:
    """Accepts connections, each a task of its own, and ends them."""

    def __init__(
        self, app: ASGIApp, listener: trio.SocketListener, stopping: trio.Event, admit: Admit
    ) -> None:
        self._app = app
        self._listener = listener
        self._stopping = stopping
        self._admit = admit
        self._places = trio.Semaphore(limits.most_connections())
        self._open: dict[Connection, None] = {}
        self._failures = 0

    async def keep(self, task_status: trio.TaskStatus[None]) -> None:
        """Accept until the server stops; then what is being answered gets a moment."""
        with trio.CancelScope(shield=True) as serving:
            async with trio.open_nursery() as connections, self._listener:
                accepting = trio.CancelScope()
                connections.start_soon(self._accept_all, connections, accepting)
                task_status.started()
                await self._stopping.wait()
                accepting.cancel()
                for connection in self._open:
                    connection.waiting.cancel()
                serving.deadline = trio.current_time() + GRACE_S

    async def _accept_all(self, connections: trio.Nursery, accepting: trio.CancelScope) -> None:
        with accepting:
            while True:
                await self._take_place()
                stream = await self._accept()
                connections.start_soon(self._contain, stream)

    async def _take_place(self) -> None:
        """Have a place for one more; where there is none, who has waited longest without a request goes."""
        if self._places.value == 0:
            for connection in self._open:
                if connection.is_waiting:
                    connection.waiting.cancel()
                    break
        await self._places.acquire()

    async def _accept(self) -> trio.SocketStream:
        while True:
            try:
                stream = await self._listener.accept()
            except OSError as error:
                self._failures += 1
                if self._failures == 1:
                    log.warning("no connections are accepted for now: %s", error)
                await trio.sleep(limits.ACCEPT_PAUSE_S)
            else:
                if self._failures:
                    log.warning("connections are accepted again, after %d failures", self._failures)
                self._failures = 0
                return stream

    @trio.lowlevel.enable_ki_protection
    async def _contain(self, stream: trio.SocketStream) -> None:
        """Whatever one connection raises ends that connection. A real Ctrl-C goes to the main task."""
        try:
            await self._serve(stream)
        except trio.Cancelled:
            raise
        except BaseException as error:
            log.warning("a connection ended with %s", type(error).__name__, exc_info=error)
        finally:
            self._places.release()
            stream.socket.close()

    async def _serve(self, stream: trio.SocketStream) -> None:
        refused = self._admit(stream)
        if refused is not None:
            await self._turn_away(stream, refused)
            return
        try:
            connection = Connection(stream, self._app, self._stopping)
        except OSError:
            return  # it has gone already
        self._open[connection] = None
        try:
            await connection.run()
        finally:
            del self._open[connection]

    async def _turn_away(self, stream: trio.SocketStream, refused: Problem) -> None:
        with trio.move_on_after(limits.SEND_S), contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(refusal(refused))
            await farewell(stream)


def _url(listening: trio.socket.SocketType) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
        found.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        found.close()
        reason = "it is in use: choose another port, or 0 for a free one"
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise AddressUnusable(f"can't serve {address}:{port}: {reason if taken else error}") from error
    return found
