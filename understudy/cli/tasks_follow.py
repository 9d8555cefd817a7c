"""`tasks logs`, `tasks wait` and `tasks retry`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import trio
from cyclopts import Parameter
from cyclopts.types import PositiveFloat
from pydantic import RootModel

from understudy.cli.answers import IdAnswer
from understudy.cli.client import Client, Keyed, ask
from understudy.cli.exits import Exit, failure
from understudy.cli.offline import look_at, report_damage
from understudy.cli.one_task import TaskId, found_in, path_of
from understudy.cli.output import Text, console, print_json, styled
from understudy.cli.returning import StreamEnded, persistently
from understudy.cli.server import address_of, require_home, require_server
from understudy.cli.settings import COMMON, Common, KeyOption, home_path
from understudy.protocols.read_model import TaskDetail
from understudy.protocols.tasks import FINAL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

Details = RootModel[list[TaskDetail]]
Timeout = Annotated[PositiveFloat | None, Parameter(help="Seconds to wait at most; without it, for ever.")]


def logs(
    task_id: TaskId,
    /,
    *,
    follow: Annotated[
        bool,
        Parameter(alias="-f", negative="", help="Go on until the task has ended; its end is the exit code."),
    ] = False,
    common: Common = COMMON,
) -> int:
    """Print what a task's last attempt has written, as far as it is kept: 64 MiB, from its start."""
    home = home_path(common)
    output = _Output(task_id)
    address = address_of(home)
    if follow:
        require_server(home, "tasks logs -f")
        return _code_of([trio.run(persistently, home, output.follow)])
    if address is not None:
        ask(address, output.print_what_is_new)
        return Exit.OK
    look = look_at(require_home(home))
    code = report_damage(look, as_json=common.json)
    _print_text(_kept(home, found_in(look, home, task_id)))
    return code


def _kept(home: Path, detail: TaskDetail) -> str:
    """The output in the home's files: all of a file's, else what the record has."""
    if detail.output is None:
        return detail.excerpt
    if detail.output.file is not None:
        try:
            return (home / detail.output.file).read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return detail.output.text
    return detail.output.text


def wait(
    task_ids: Annotated[tuple[str, ...], Parameter(help="Their ids, such as task-7.")],
    /,
    *,
    timeout: Timeout = None,
    common: Common = COMMON,
) -> int:
    """Wait until tasks have ended. Needs a server, which may restart meanwhile.

    The exit code is 0 when all have succeeded, 1 when one has not, 9 when the time is up.
    """
    if not task_ids:
        raise failure(Exit.USAGE, "Usage", "expected the id of a task, such as task-7, got none")
    home = home_path(common)
    require_server(home, "tasks wait")
    ended = trio.run(_wait_for_all, home, task_ids, timeout)
    if common.json:
        print_json(Details(ended))
    else:
        for task in ended:
            console().print(Text.assemble(f"{task.id}: ", styled(task.status), f" {task.why}".rstrip()))
    return _code_of(ended)


async def _wait_for_all(home: Path, task_ids: tuple[str, ...], timeout_s: float | None) -> list[TaskDetail]:
    ended: list[TaskDetail] = []
    with trio.move_on_after(float("inf") if timeout_s is None else timeout_s):
        for task_id in task_ids:
            ended.append(await persistently(home, lambda client, of=task_id: _follow(client, of)))  # noqa: PERF401
    if len(ended) < len(task_ids):
        detail = f"{task_ids[len(ended)]} has not ended within {timeout_s:g} s; it goes on"
        raise failure(Exit.TIMED_OUT, "Not in time", detail, id=task_ids[len(ended)])
    return ended


async def _nothing(_client: Client) -> None:
    """Nobody reads its output."""


async def _follow(
    client: Client, task_id: str, look: Callable[[Client], Awaitable[None]] = _nothing
) -> TaskDetail:
    """The task when it has ended; `look` is called at first, and after each change of it.

    An event is only a hint that something has changed: what it holds is not read.
    """
    async with client.events() as events:
        if (task := await _ended(client, task_id, look)) is not None:
            return task
        async for event in events:
            if event.event != "snapshot" and f'"{task_id}"' in event.data:
                task = await _ended(client, task_id, look)
                if task is not None:
                    return task
    raise StreamEnded


async def _ended(
    client: Client, task_id: str, look: Callable[[Client], Awaitable[None]]
) -> TaskDetail | None:
    """The task, once it has ended: asked for before the output is looked at, which is whole then."""
    task = await client.get(path_of(task_id), TaskDetail)
    await look(client)
    return task if task.status in FINAL else None


def retry(task_id: TaskId, /, *, key: KeyOption = None, common: Common = COMMON) -> int:
    """Do the work of a task that failed or was canceled once more, as a new task. Needs a server.

    Durable when this returns. The old task keeps its record.
    """
    address = require_server(home_path(common), "tasks retry")
    answer = ask(address, lambda client: client.post(f"{path_of(task_id)}/retry", IdAnswer, Keyed(key=key)))
    if common.json:
        print_json(answer)
    else:
        console().print(Text(answer.id))
    return Exit.OK


@dataclass
class _Output:
    """How much of a task's output was printed, and of which attempt."""

    task_id: str
    attempt: int = 0
    offset: int = 0

    async def follow(self, client: Client) -> TaskDetail:
        """Print it until the task has ended."""
        return await _follow(client, self.task_id, self.print_what_is_new)

    async def print_what_is_new(self, client: Client) -> None:
        """Print from where the last look ended; a new attempt begins at its start."""
        while True:
            part = await client.get_text(f"{path_of(self.task_id)}/output", {"offset": self.offset})
            attempt, first = int(part.headers["X-Attempt"]), int(part.headers["X-Offset"])
            if attempt != self.attempt:
                again = self.attempt > 0
                self.attempt, before, self.offset = attempt, self.offset, 0
                if again:
                    _remark(f"attempt {attempt}:")
                if before:
                    continue
            if first > self.offset:
                _remark(f"{first - self.offset} bytes are not at hand")
            _print_text(part.text)
            following = part.headers.get("X-Next-Offset")
            if following is None or (not part.text and int(following) == self.offset):
                return
            self.offset = int(following)


def _print_text(text: str) -> None:
    if text:
        console().print(Text(text), end="", soft_wrap=True)


def _remark(text: str) -> None:
    """About the output, so not among it."""
    console(error=True).print(Text(text, style="dim"))


def _code_of(ended: list[TaskDetail]) -> Exit:
    return Exit.OK if all(task.status == "succeeded" for task in ended) else Exit.FAILED
