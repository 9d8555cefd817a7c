"""A real Chromium and a real server, for the tests of the page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

import pytest
import trio
from playwright.sync_api import Browser, Page, sync_playwright

from tests.web_kit import serving
from understudy.actors.projection import feed_of
from understudy.protocols.read_model import Change
from understudy.supervision.testing.files import FaultyFiles

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 10_000
WITHOUT = "UNDERSTUDY_WITHOUT_BROWSER"


class Server:
    """`understudy serve` as a process of its own, which can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, port: str = "0") -> None:
        """Start it; returns when it listens."""
        command = [sys.executable, "-m", "understudy", "serve", "--home", str(self._home), "--port", port]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("listening on "), line
        self.url = line.removeprefix("listening on ").strip()

    def kill(self) -> None:
        """SIGKILL: nothing of it gets a chance to say goodbye."""
        assert self._process is not None
        self._process.kill()
        self._end()

    def start_again(self) -> None:
        """On the same port, as somebody would who wants the page to find it."""
        self.start(self.url.rpartition(":")[2])

    def stop(self) -> None:
        """SIGTERM, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._end()

    def _end(self) -> None:
        assert self._process is not None
        self._process.wait(timeout=PATIENCE_MS / 1000)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of a fresh home."""
    found = Server(tmp_path / "home")
    found.start()
    yield found
    found.stop()


class FaultyServer(NamedTuple):
    """A server in a thread of this process, on a disk that can be made to fail.

    Attributes:
        publish: has the event stream tell of changes that nobody made.
    """

    url: str
    files: FaultyFiles
    publish: Callable[[list[Change]], None]


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[FaultyServer]:
    """A server of a fresh home whose disk is ours to break."""
    files = FaultyFiles(tmp_path)
    found: Queue[FaultyServer] = Queue()
    ends: Queue[Callable[[], None]] = Queue()

    async def main() -> None:
        done, token = trio.Event(), trio.lowlevel.current_trio_token()
        async with serving(tmp_path / "home", files) as server:
            ends.put(lambda: token.run_sync_soon(done.set))
            feed = feed_of(server.system)
            found.put(FaultyServer(server.url, files, partial(token.run_sync_soon, feed.publish)))
            await done.wait()

    thread = Thread(target=trio.run, args=(main,))
    thread.start()
    yield found.get(timeout=PATIENCE_MS / 1000)
    files.heal()
    ends.get(timeout=1)()
    thread.join(timeout=PATIENCE_MS / 1000)
    assert not thread.is_alive()


@pytest.fixture(scope="module")  # playwright keeps an asyncio loop running in this thread while it is open
def chromium() -> Iterator[Browser]:
    """A Chromium. Where there is none the tests fail, unless it was said that they are to be left out."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and os.environ.get(WITHOUT):
        pytest.skip(f"{WITHOUT} is set, and there is no Chromium")
    if path is None:
        pytest.fail(
            "expected a Chromium on the PATH (on Debian or Ubuntu, as root: apt-get install chromium); "
            f"set {WITHOUT}=1 to leave the browser's tests out"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end no script may have failed and nothing may have been blocked."""
    troubles: list[str] = []
    contexts: list[Page] = []

    def visit(url: str, width: int = 1280, height: int = 800, **options: str) -> Page:
        page = chromium.new_page(viewport={"width": width, "height": height}, **options)  # pyright: ignore[reportArgumentType]
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console", lambda message: troubles.append(message.text) if "Security" in message.text else None
        )
        page.goto(url)
        page.wait_for_selector("#connection[data-state=connected]")
        contexts.append(page)
        return page

    yield visit
    for page in contexts:
        page.close()
    assert troubles == []
