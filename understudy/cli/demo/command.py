"""The `demo` command: a theatre in a temporary folder, and what becomes of it."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import trio
from cyclopts import Parameter
from pydantic import BaseModel

from understudy.cli.demo.checks import Check, Evidence, check_all
from understudy.cli.demo.ledger import TaskStory
from understudy.cli.demo.play import Play
from understudy.cli.demo.show import Programme
from understudy.cli.exits import Exit, failure
from understudy.cli.output import console, print_json
from understudy.cli.settings import COMMON, Common

_WIDTH = 120


class DemoAnswer(BaseModel):
    """What `demo --json` prints.

    Attributes:
        kept: whether every check found its promise kept.
        inputs: each accepted input with its number of final replies.
        tasks: each task with its attempts and ends.
        reruns: times that a command began anew, as seen from outside of the journals.
    """

    kept: bool
    seconds: float
    address: str | None
    checks: list[Check]
    inputs: dict[str, int]
    tasks: dict[str, TaskStory]
    reruns: int


def demo(
    *,
    keep: Annotated[bool, Parameter(negative="", help="Leave it running until Ctrl-C.")] = False,
    common: Common = COMMON,
) -> int:
    """Show the main job with a real kill -9 in the middle, and prove from the journals what became of it.

    Runs in a temporary folder with a server of its own, which ends with it (the folder too, unless
    --keep is given). With --home the home is that folder, new or empty, and stays. Exit code 1 when
    a check fails.
    """
    home = None if common.home is None else _unused(common.home)
    folder = Path(tempfile.mkdtemp(prefix="understudy-demo-"))
    try:
        return trio.run(_Evening(folder, home, keep=keep, as_json=common.json).run)
    finally:
        if not keep or home is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _unused(home: Path) -> Path:
    """The folder that was named: what the demo counts there must be its own."""
    home = home.expanduser().absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        found = any(home.iterdir())
    except OSError as error:
        detail = f"{home} can't be used as a home: {error}"
        raise failure(Exit.HOME_UNUSABLE, "Home not writable", detail) from error
    if found:
        detail = f"expected a new or an empty folder for the demo, got {home}: it counts what is there"
        raise failure(Exit.REFUSED, "Not empty", detail)
    return home


class _Evening:
    """One performance, from the doors' opening to their closing."""

    def __init__(self, folder: Path, home: Path | None, *, keep: bool, as_json: bool) -> None:
        out = console(quiet=as_json)
        out.width = min(out.width, _WIDTH)
        self._folder = home or folder
        self._keep = keep
        self._as_json = as_json
        self._programme = Programme(out)
        self._stays = keep or home is not None
        self._play = Play.of(home or folder / "home", folder / "server-errors.txt", self._programme)

    async def run(self) -> int:
        """The whole evening; the server is ended whatever happens.

        Signals cancel, instead of raising KeyboardInterrupt wherever the program stands: the closing
        must not be broken off.
        """
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                until_signal = trio.CancelScope()
                nursery.start_soon(_cancel_at, signals, until_signal)
                code = Exit.INTERRUPTED
                try:
                    with until_signal:
                        code = await self._perform()
                        if self._keep:
                            await self._go_on()
                finally:
                    with trio.CancelScope(shield=True):
                        await self._play.stage.close()
                nursery.cancel_scope.cancel()
        if self._stays:
            self._programme.left_behind(str(self._folder))
        return code

    async def _perform(self) -> Exit:
        began = time.monotonic()
        self._programme.title(str(self._folder))
        evidence = await self._play.perform()
        checks, seconds = check_all(evidence), time.monotonic() - began
        self._programme.evidence(evidence)
        self._programme.verdict(checks, seconds)
        if self._as_json:
            address = self._play.stage.address if self._keep else None
            print_json(_answer(evidence, checks, seconds, address))
        return Exit.OK if all(check.kept for check in checks) else Exit.FAILED

    async def _go_on(self) -> None:
        self._programme.kept_running(self._play.stage.address, str(self._play.home.path))
        await trio.sleep_forever()


async def _cancel_at(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


def _answer(evidence: Evidence, checks: list[Check], seconds: float, address: str | None) -> DemoAnswer:
    return DemoAnswer(
        kept=all(check.kept for check in checks),
        seconds=round(seconds, 1),
        address=address,
        checks=checks,
        inputs={name: len(evidence.ledger.replies.get(name, [])) for name in evidence.accepted},
        tasks=evidence.ledger.tasks,
        reruns=evidence.reruns,
    )
