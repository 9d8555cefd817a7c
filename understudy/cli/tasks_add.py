"""`tasks add`."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import Annotated

import httpx
import trio
from cyclopts import Parameter
from pydantic import BaseModel

from understudy.cli.answers import IdAnswer
from understudy.cli.client import Client, lost
from understudy.cli.exits import CommandFailed, Exit, failure
from understudy.cli.output import Text, console, print_json
from understudy.cli.server import require_server
from understudy.cli.settings import COMMON, Common, home_path
from understudy.protocols.tasks import DEFAULT_QUEUE, MAIN_SESSION

_TITLE_CHARACTERS = 80


class _NewTask(BaseModel):
    """The body of POST /api/tasks, whose rules the server has; None is left out."""

    title: str
    command: tuple[str, ...]
    executor: str
    function: str | None
    arguments: dict[str, object] | None
    queue: str
    priority: int
    timeout_s: float | None
    retries: int
    retry_delay_s: float
    start_at: float | None
    fingerprint: str | None
    replace_key: str | None
    debounce_s: float
    workspace: str | None
    env: dict[str, str]
    session: str
    key: str | None


def add(  # noqa: PLR0913 -- a task has so many facets; each is an option of its own
    *command: Annotated[
        str, Parameter(help="Program and arguments; behind `--` when one begins with a dash.")
    ],
    title: Annotated[str | None, Parameter(help="Its name in lists; the command by default.")] = None,
    queue: Annotated[str, Parameter(help="Its tasks share a limit, if it has one.")] = DEFAULT_QUEUE,
    priority: Annotated[int, Parameter(help="A higher one starts first.")] = 0,
    timeout: Annotated[float | None, Parameter(help="Bound of one attempt, in seconds.")] = None,
    retries: Annotated[int, Parameter(help="Attempts after a failed one.")] = 0,
    retry_delay: Annotated[float, Parameter(help="Seconds before the first of them; it doubles.")] = 1.0,
    at: Annotated[
        datetime | None, Parameter(help="Not before this time; this machine's zone unless it names one.")
    ] = None,
    fingerprint: Annotated[
        str | None, Parameter(help="Refused while a task with the same is active.")
    ] = None,
    replace_key: Annotated[str | None, Parameter(help="Cancels the active task of the same key.")] = None,
    debounce: Annotated[float, Parameter(help="Seconds to wait for newer ones of the key.")] = 0.0,
    workspace: Annotated[str | None, Parameter(help="Folder to run in, below HOME/work.")] = None,
    env: Annotated[
        list[str] | None, Parameter(help="NAME=VALUE for its environment; may be repeated.")
    ] = None,
    executor: Annotated[str, Parameter(help="`shell`, `python`, or a profile.")] = "shell",
    function: Annotated[str | None, Parameter(help="The callable that `python` calls.")] = None,
    arguments: Annotated[str | None, Parameter(help="Its arguments, a JSON object.")] = None,
    session: Annotated[str, Parameter(help="Who is told how it ended.")] = MAIN_SESSION,
    key: Annotated[str | None, Parameter(help="Idempotency key: the same key makes one task.")] = None,
    common: Common = COMMON,
) -> int:
    """Make a task. Durable when this returns; it starts when a worker is free. Needs a server."""
    if not command and executor == "shell":
        raise failure(Exit.USAGE, "Usage", "expected a COMMAND to run, got none")
    body = _NewTask(
        title=title or (" ".join(command) or function or executor)[:_TITLE_CHARACTERS],
        command=command,
        executor=executor,
        function=function,
        arguments=None if arguments is None else _object(arguments),
        queue=queue,
        priority=priority,
        timeout_s=timeout,
        retries=retries,
        retry_delay_s=retry_delay,
        start_at=None if at is None else at.timestamp(),
        fingerprint=fingerprint,
        replace_key=replace_key,
        debounce_s=debounce,
        workspace=workspace,
        env=dict(_pair(text) for text in env or ()),
        session=session,
        key=key,
    )
    answer = trio.run(partial(_post, require_server(home_path(common), "tasks add"), body))
    if common.json:
        print_json(answer)
    else:
        console().print(Text(answer.id))
    return Exit.OK


def _object(text: str) -> dict[str, object]:
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise _usage(f"expected --arguments as a JSON object, got {text!r}: {error}") from None
    if not isinstance(found, dict):
        raise _usage(f"expected --arguments as a JSON object, got {text!r}")
    return {str(name): value for name, value in found.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- JSON's


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise _usage(f"expected --env NAME=VALUE, got {text!r}")
    return name, value


def _usage(detail: str) -> CommandFailed:
    return failure(Exit.USAGE, "Usage", detail)


async def _post(address: str, body: _NewTask) -> IdAnswer:
    try:
        async with Client(address) as client:
            return await client.post("/api/tasks", IdAnswer, body)
    except httpx.TransportError as error:
        raise lost(address, error) from error
