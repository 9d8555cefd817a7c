"""The server that is killed: `understudy serve` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import trio

LISTENING = "listening on "
START_S = 60.0
PAGE = 200
UNAVAILABLE = 503


class Server:
    """One home's server, started and killed many times; what it prints goes to a log beside the home.

    Attributes:
        address: where it listens; None while it does not.
        starts_s: how long each start took until it listened.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.address: str | None = None
        self.starts_s: list[float] = []
        self._process: trio.Process | None = None
        self._up = trio.Event()
        self._log = home.with_suffix(".log")

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            RuntimeError: it ended instead; quotes the log.
        """
        began = trio.current_time()
        await self.begin()
        with trio.fail_after(START_S):
            await self._listen()
        self.starts_s.append(trio.current_time() - began)

    async def begin(self) -> None:
        """Start it, without waiting for anything."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("UNDERSTUDY_")
        }
        with self._log.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "understudy", "serve", "--home", str(self.home), "--port", "0"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
            )

    async def kill(self) -> int:
        """SIGKILL, and wait until it is gone; returns its exit code, 0 when there was none."""
        return await self._finish(trio.Process.kill)

    async def stop(self) -> int:
        """SIGTERM, and wait until it has shut down in order; returns its exit code."""
        return await self._finish(trio.Process.terminate)

    async def wait_until_up(self) -> str:
        """Wait until it listens, and return where."""
        while self.address is None:
            await self._up.wait()
        return self.address

    def log_tail(self) -> str:
        """The last lines of its log."""
        return "its log ends with\n" + "\n".join(self._log.read_text().splitlines()[-40:])

    async def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        text = b""
        while LISTENING.encode() not in text or b"\n" not in text.partition(LISTENING.encode())[2]:
            chunk = await self._process.stdout.receive_some(4096)
            if not chunk:
                raise RuntimeError(f"the server ended before it listened: {self.log_tail()}")
            text += chunk
        self.address = text.decode().partition(LISTENING)[2].split()[0].rstrip("/")
        self._up.set()

    async def _finish(self, end: Callable[[trio.Process], None]) -> int:
        process, self._process = self._process, None
        self.address = None
        if self._up.is_set():  # else somebody may be waiting for it
            self._up = trio.Event()
        if process is None:
            return 0
        with trio.CancelScope(shield=True):
            with trio.fail_after(START_S):
                end(process)
                await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()
        return process.returncode or 0


async def fetch_all(address: str, what: str) -> list[Mapping[str, Any]]:
    """All of a list of the API, page by page, newest first; waits while it is not available."""
    found: list[Mapping[str, Any]] = []
    deadline = trio.current_time() + START_S
    async with httpx.AsyncClient(base_url=address, timeout=30.0) as http:
        cursor: str | None = None
        while True:
            wanted = {"limit": str(PAGE), **({"cursor": cursor} if cursor else {})}
            answer = await http.get(f"/api/{what}", params=wanted)
            if answer.status_code == UNAVAILABLE and trio.current_time() < deadline:
                await trio.sleep(0.1)
                continue
            answer.raise_for_status()
            page = answer.json()
            found += page[what]
            cursor = page.get("next")
            if not cursor:
                return found


async def until(condition: Callable[[], Awaitable[bool]], patience_s: float) -> bool:
    """Whether `condition` comes true in time."""
    with trio.move_on_after(patience_s):
        while not await condition():
            await trio.sleep(0.2)
        return True
    return False
