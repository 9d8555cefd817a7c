"""The `demo` command: a theatre in a temporary folder, and what becomes of it."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

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
    --keep is given). Exit code 1 when a check fails.
    """
    if common.home is not None:
        detail = "the demo makes a home of its own in a temporary folder: leave --home out"
        raise failure(Exit.USAGE, "Usage", detail)
    folder = Path(tempfile.mkdtemp(prefix="understudy-demo-"))
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return trio.run(partial(_perform, folder, keep=keep, as_json=common.json))
    finally:
        signal.signal(signal.SIGTERM, before)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the shape of a handler
    """End as with Ctrl-C, so that the server and the folder do not stay behind."""
    raise KeyboardInterrupt


async def _perform(folder: Path, *, keep: bool, as_json: bool) -> int:
    """The whole evening; the server is ended whatever happens."""
    out = console(quiet=as_json)
    out.width = min(out.width, _WIDTH)
    programme = Programme(out)
    play = Play.of(folder, programme)
    began = time.monotonic()
    programme.title(str(folder))
    try:
        evidence = await play.perform()
        checks, seconds = check_all(evidence), time.monotonic() - began
        programme.evidence(evidence)
        programme.verdict(checks, seconds)
        if as_json:
            print_json(_answer(evidence, checks, seconds, play.stage.address if keep else None))
        if keep:
            programme.kept_running(play.stage.address, str(play.home.path))
            await _until_interrupted()
            programme.left_behind(str(folder))
    finally:
        with trio.CancelScope(shield=True):
            await play.stage.close()
    return Exit.OK if all(check.kept for check in checks) else Exit.FAILED


async def _until_interrupted() -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            return


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
