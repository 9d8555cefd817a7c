"""The executors for Python callables: registered ones for tasks, and bare ones for programs and tests."""

from __future__ import annotations

import inspect
import logging
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio
from pydantic_core import PydanticSerializationError, to_json

from understudy.actors.workers.context import AttemptContext
from understudy.actors.workers.process_pool import CallFailed, ProcessPool, too_long
from understudy.actors.workers.registration import CONTEXT
from understudy.protocols.base import described
from understudy.protocols.errors import OutOfResources
from understudy.protocols.tasks import RESULT_BYTES
from understudy.supervision.boundary import contained_unless_cancelled
from understudy.supervision.wants import wants_named

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from understudy.actors.workers.executor import Attempt
    from understudy.actors.workers.registration import Callables, Registered
    from understudy.protocols.tasks import TaskSpec

log = logging.getLogger("understudy.workers")


class CallableExecutor:
    """Runs a callable in the loop, whatever the task says.

    Args:
        function: called with the attempt; plain (and short: it holds up the loop) or async. What it
            returns is the exit code, None for 0.
    """

    def __init__(self, function: Callable[[Attempt], int | Awaitable[int | None] | None]) -> None:
        self._function = function

    async def run(self, attempt: Attempt) -> int:
        """The callable's result."""
        result = self._function(attempt)
        if inspect.isawaitable(result):
            result = await result
        return result or 0


def succeed(_attempt: Attempt) -> None:
    """Does nothing, well."""


class PythonExecutor:
    """Calls what the embedding program has registered: in the loop, in a thread, or in a process.

    A thread can't be ended from outside. One that does not return within the grace period after it was
    told to (`context.canceled`) is abandoned: it runs on by itself, what it says later is dropped
    (rule E3), and its place in the pool is free. It is logged, and in `left` until it returns.

    Args:
        callables: what may be called.
        processes: where those run that declare a process.
        left: the attempts whose threads were given up and still run.
        inline: in simulations there are no threads; plain callables are called on the loop.
    """

    def __init__(
        self, callables: Callables, processes: ProcessPool, left: dict[str, None], *, inline: bool = False
    ) -> None:
        self._callables = callables
        self._processes = processes
        self._left = left
        self._inline = inline

    def check(self, spec: TaskSpec) -> None:
        """Raise a `TaskRefused` when there is no such callable, or it does not take these arguments."""
        self._callables.find(spec.function).decode(spec.arguments)

    async def run(self, attempt: Attempt) -> int:
        """Call it; what it returns becomes the attempt's value.

        Raises:
            CallFailed: it raised, or returned what is not JSON, or too much of it.
            OutOfResources: it was not called, since no thread or process can be started now.
            TaskRefused: it is not registered any more.
        """
        registered = self._callables.find(attempt.spec.function)
        arguments = registered.decode(attempt.spec.arguments)
        if registered.where == "process":
            attempt.value = await self._processes.call(attempt, registered, arguments)
            return 0
        threaded = registered.where == "thread" and not self._inline
        if registered.wants_context:
            arguments[CONTEXT] = AttemptContext(attempt, _from_thread(attempt) if threaded else attempt.said)
        try:
            if registered.where == "loop":
                result = await registered.function(**arguments)
            elif threaded:
                result = await self._in_thread(attempt, registered, arguments)
            else:
                result = registered.function(**arguments)
        except BaseException as error:
            contained_unless_cancelled(error)
            if threaded and isinstance(error, OutOfResources):
                raise  # there is no thread for it: the callable was not called
            frames = traceback.format_exception(error)
            attempt.capture.put("".join(frames).encode(errors="replace"))
            raise CallFailed(described(error)) from error
        attempt.value = encode_value(result)
        return 0

    async def _in_thread(self, attempt: Attempt, registered: Registered, arguments: dict[str, Any]) -> Any:
        """What it returns. The pool's places bound the threads; those given up are in nobody's way."""
        attempt.capture.shared()
        token, done = trio.lowlevel.current_trio_token(), trio.Event()
        found: list[tuple[Any, BaseException | None]] = []

        def call() -> None:
            try:
                found.append((registered.function(**arguments), None))
            except BaseException as error:  # noqa: BLE001 - whatever ends it is the attempt's
                found.append((None, error))

        def arrive() -> None:
            done.set()
            if attempt.abandoned:
                self._left.pop(attempt.mark, None)
                log.info(
                    "the abandoned thread of %s has ended", attempt.mark, extra={"action": "thread_ended"}
                )

        def deliver(_: object) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(arrive)

        with wants_named("start a thread"):
            trio.lowlevel.start_thread_soon(call, deliver, name=f"understudy {attempt.mark}")
        try:
            await done.wait()
        except trio.Cancelled:
            with trio.CancelScope(shield=True), trio.move_on_after(attempt.grace_s):
                await done.wait()
            if not done.is_set():
                attempt.abandoned = True
                self._left[attempt.mark] = None
                log.warning(
                    "the thread of %s can't be ended and runs on by itself (%d do)",
                    attempt.mark, len(self._left), extra={"action": "thread_abandoned"},
                )  # fmt: skip
            raise
        value, error = found[0]
        if error is not None:
            own = isinstance(error, Exception) and not isinstance(error, OutOfResources)
            raise error if own else CallFailed(described(error)) from error
        return value


def _from_thread(attempt: Attempt) -> Callable[[], None]:
    """Has the loop show what the attempt says; many words are one call."""
    token = trio.lowlevel.current_trio_token()

    def said() -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(attempt.said, idempotent=True)

    return said


def encode_value(result: object) -> str | None:
    """What a callable returned, as JSON; None for None.

    Raises:
        CallFailed: it has no JSON form, or one that is too long.
    """
    if result is None:
        return None
    try:
        data = to_json(result, inf_nan_mode="strings")
    except (PydanticSerializationError, ValueError) as error:
        msg = f"expected a result that JSON can hold, got {type(result).__name__}: {error}"
        raise CallFailed(msg) from None
    if len(data) > RESULT_BYTES:
        raise CallFailed(too_long(len(data)))
    return data.decode()
