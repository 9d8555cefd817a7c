"""`serve`: a home with its cast and its HTTP API, until a signal ends it (RT-9)."""

from __future__ import annotations

import gc
import logging
import os
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
from cyclopts import Parameter
from cyclopts.types import NonNegativeInt
from pydantic import BaseModel

from understudy.actors.cast import start_cast
from understudy.cli import logs
from understudy.cli.actions import log_actions
from understudy.cli.config import HomeConfig, read_config
from understudy.cli.exits import Exit, failure
from understudy.cli.output import Text, console, print_json, print_nowhere
from understudy.cli.settings import COMMON, Common, environment, home_path
from understudy.cli.signals import StopSignals
from understudy.supervision.system import ActorSystem
from understudy.webui.guard import is_loopback
from understudy.webui.peers import CAN_TELL
from understudy.webui.server import serve_http

log = logging.getLogger("understudy.cli")

_HIGHEST_PORT = 65_535
_FAILED_S = 5.0
"""The time that a server of which a part has failed has to end in order."""

Host = Annotated[str | None, Parameter(help="Loopback address to listen on [default: 127.0.0.1].")]
Port = Annotated[NonNegativeInt | None, Parameter(help="Port; 0 picks a free one [default: 7433].")]


class Listening(BaseModel):
    """What `serve --json` prints when it takes requests."""

    listening: str
    home: str
    pid: int


def serve(*, host: Host = None, port: Port = None, common: Common = COMMON) -> int:
    """Run the home: its actors, the HTTP API and the viewer, until SIGINT, SIGTERM or SIGHUP.

    The first signal ends it in order; a second one at once. Either way nothing acknowledged is lost.
    """
    # A library in Rust that panics for want of memory can hang while it prints a backtrace. Set for this
    # process only: `os.environ`, which tasks get theirs from, stays as it is.
    os.putenv("RUST_BACKTRACE", "0")
    signals = StopSignals()
    with signals:
        known = environment()
        chosen = known.port if port is None else port
        if chosen > _HIGHEST_PORT:
            raise failure(Exit.USAGE, "Bad port", f"expected a port from 0 to {_HIGHEST_PORT}, got {chosen}")
        home = home_path(common)
        listen = _loopback(host or known.host)
        server = _Server(home, read_config(home), listen, chosen, signals, as_json=common.json)
        trio.run(server.run)
    return Exit.OK


def _loopback(host: str) -> str:
    """The address, which must be of this machine only; checked before a home is made or opened.

    Raises:
        CommandFailed: it can be reached from elsewhere (exit code 6).
    """
    if is_loopback(host):
        return host
    detail = (
        f"expected a loopback address such as 127.0.0.1, ::1 or localhost, got {host}: whoever reaches "
        "this API can run commands. To reach it from elsewhere, use a tunnel such as `ssh -L`"
    )
    raise failure(Exit.REFUSED, "Address refused", detail)


class _Server:
    """One run of `serve`."""

    def __init__(
        self, home: Path, config: HomeConfig, host: str, port: int, signals: StopSignals, *, as_json: bool
    ) -> None:
        self._home = home
        self._config = config
        self._host = host
        self._port = port
        self._signals = signals
        self._as_json = as_json
        self._open_log_file = logs.configure(home, environment().log_level, config.log)

    async def run(self) -> None:
        """Open the home, serve until the first signal, end in order: intake first, then the actors.

        A signal that comes while the home is still opening ends it as well.
        """
        async with trio.open_nursery() as nursery:
            until_signal = trio.CancelScope()
            nursery.start_soon(self._cancel_on_signal, until_signal)
            async with ActorSystem(self._home, settings=self._config.runtime) as system:
                self._open_log_file()
                log_actions(system)
                try:
                    with until_signal:
                        await self._serve(system)
                except BaseException:  # a part is gone: what is left may not be able to end in order
                    self._signals.end_within(_FAILED_S, int(Exit.FAILED))
                    raise
            nursery.cancel_scope.cancel()
        log.info("stopped", extra={"action": "stopped", "operator": "cli"})

    async def _cancel_on_signal(self, scope: trio.CancelScope) -> None:
        await self._signals.wait()
        name = self._signals.received.name if self._signals.received else ""
        log.info("stopping: no new requests", extra={"action": "stopping", "operator": "cli", "signal": name})
        scope.cancel()

    async def _serve(self, system: ActorSystem) -> None:
        users, strangers = self._config.http.uids()
        await start_cast(system, self._config.cast, problems=self._config.problems + strangers)
        if not CAN_TELL and users is not None:
            extra = {"action": "peers_unknown", "operator": "cli"}
            log.warning(
                "each user of this machine is answered: it does not tell whose a connection is", extra=extra
            )
        async with trio.open_nursery() as nursery:
            url: str = await nursery.start(partial(serve_http, system, self._host, self._port, users))
            assert system.owned is not None
            system.owned.announce(url)
            gc.freeze()  # what is here now stays: the collector need not look through it again
            try:
                self._tell(url, os.getpid())
            except BrokenPipeError:  # `serve | head -1`
                print_nowhere()

    def _tell(self, url: str, pid: int) -> None:
        zone = self._config.cast.timezone
        extra = {"action": "listening", "operator": "cli", "url": url, "timezone": zone}
        log.info("listening on %s; schedules without a zone are in %s", url, zone, extra=extra)
        if self._as_json:
            print_json(Listening(listening=url, home=str(self._home), pid=pid))
            return
        out = console()
        out.print(Text(f"listening on {url}"), soft_wrap=True)
        if out.is_terminal:
            out.print(
                Text(f"home {self._home}; time zone {zone}; Ctrl-C ends it", style="dim"), soft_wrap=True
            )
        out.file.flush()
