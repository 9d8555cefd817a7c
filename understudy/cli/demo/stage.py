"""The stage: a real `understudy serve` in a process of its own, to be killed by its pid."""

from __future__ import annotations

import os
import signal
import sys
from subprocess import PIPE
from typing import TYPE_CHECKING

import trio

from understudy.cli.exits import Exit, failure

if TYPE_CHECKING:
    from pathlib import Path

START_S = 20.0
STOP_S = 15.0
_ANNOUNCED = "listening on "
_QUOTED_BYTES = 2000


class Stage:
    """Runs the server of `home`, one life after the other.

    Attributes:
        address: where the present life listens; "" when none does.
        lives: how many were started.
    """

    def __init__(self, home: Path, errors: Path) -> None:
        self.address = ""
        self.lives = 0
        self._home = home
        self._errors = errors
        self._process: trio.Process | None = None

    @property
    def pid(self) -> int:
        """The present (or last) life's process; 0 before the first."""
        return 0 if self._process is None else self._process.pid

    async def open(self, port: int = 0) -> None:
        """Start a life and wait until it listens.

        The server gets a session of its own: Ctrl-C in the terminal is for us, and we decide what
        becomes of the server.

        Raises:
            CommandFailed: it ended, or did not listen within `START_S`; quotes what it said.
        """
        command = [
            sys.executable,
            "-m",
            "understudy",
            "serve",
            "--home",
            str(self._home),
            "--port",
            str(port),
        ]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("UNDERSTUDY_")
        }
        with self._errors.open("ab") as errors:
            self._process = await trio.lowlevel.open_process(
                command, stdout=PIPE, stderr=errors, env=environment, start_new_session=True
            )
        self.lives += 1
        with trio.move_on_after(START_S):
            self.address = await self._announced(self._process)
        if not self.address:
            await self.close()
            raise failure(Exit.FAILED, "The server did not start", f"it said: {self._said()}")

    async def _announced(self, process: trio.Process) -> str:
        """The address that the server prints; "" when it ends before."""
        said = ""
        assert process.stdout is not None
        while "\n" not in said:
            data = await process.stdout.receive_some()
            if not data:
                return ""
            said += data.decode(errors="replace")
        return said.partition(_ANNOUNCED)[2].split()[0] if _ANNOUNCED in said else ""

    def _said(self) -> str:
        return self._errors.read_bytes()[-_QUOTED_BYTES:].decode(errors="replace").strip() or "nothing"

    async def fall(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await self._forget()

    async def close(self) -> int:
        """End the present life in order (SIGTERM), by force when that takes too long; its exit code."""
        if self._process is None or self._process.returncode is not None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        with trio.move_on_after(STOP_S):
            await self._process.wait()
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
        await self._forget()
        return self._process.returncode or 0

    async def _forget(self) -> None:
        self.address = ""
        if self._process is not None and self._process.stdout is not None:
            await self._process.stdout.aclose()
