"""Processes for callables that compute: spawned (never forked), used again, and replaced when they end."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from understudy.actors.workers.context import bounded
from understudy.protocols.errors import UnderstudyError
from understudy.protocols.tasks import RESULT_BYTES
from understudy.supervision.blocking import in_thread
from understudy.supervision.wants import wants_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from understudy.actors.workers.executor import Attempt
    from understudy.actors.workers.registration import Registered
    from understudy.actors.workers.workspaces import Workspaces
    from understudy.supervision.blocking import RunBlocking
    from understudy.supervision.child import Child
    from understudy.supervision.processes import Processes

log = logging.getLogger("understudy.workers")

MARK = "worker-"
LINE_BYTES = 2 * 1024 * 1024
"""A worker's line of JSON is not longer: output comes in pieces, and results are bounded."""

_SCRIPT = str(Path(__file__).with_name("process_worker.py"))


class WorkerLost(UnderstudyError):
    """The worker process has ended in the middle of a call: killed, or out of memory."""

    code = "worker_lost"
    title = "Worker process lost"


class ProcessPool:
    """Calls functions in worker processes, at most one call in each at a time.

    As many workers are started as there are calls at once, which the pool's places bound; `spare` of
    them are kept for the next calls. One that was killed fails the call that it was at, and the next
    call gets another. To cancel a call ends its worker: SIGTERM, grace period, SIGKILL.

    Args:
        processes: starts the workers, so that they end with the system (rule H1).
        workspaces: where they may work.
        environment: makes a worker's environment, given further pairs.
        run_blocking: how making a folder is kept off the loop.
        spare: idle workers that are kept.
    """

    def __init__(
        self,
        processes: Processes,
        workspaces: Workspaces,
        environment: Callable[[Iterable[tuple[str, str]]], dict[str, str]],
        run_blocking: RunBlocking = in_thread,
        spare: int | None = None,
    ) -> None:
        self._processes = processes
        self._workspaces = workspaces
        self._environment = environment
        self._run_blocking = run_blocking
        self._spare = spare if spare is not None else os.cpu_count() or 1
        self._idle: list[Worker] = []
        self._started = 0

    async def call(self, attempt: Attempt, registered: Registered, arguments: dict[str, Any]) -> str | None:
        """What the function returns, as JSON.

        Raises:
            CallFailed: it raised.
            WorkerLost: its process ended.
        """
        with wants_named("enter the workspace"):
            folder = await self._run_blocking(self._workspaces.enter, attempt.spec.workspace)
        worker = await self._take(folder)
        fit = False
        try:
            value = await worker.call(attempt, request(attempt, registered, arguments, folder))
            fit = True
        except CallFailed:
            fit = True
            raise
        finally:
            if fit and len(self._idle) < self._spare:
                self._idle.append(worker)
            else:
                with trio.CancelScope(shield=True):
                    await worker.end(0.0 if fit else attempt.grace_s)
        return value

    def close(self) -> None:
        """Let the idle workers go."""
        while self._idle:
            self._idle.pop().stream.socket.close()

    async def _take(self, folder: Path) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.child.returncode is None:
                return worker
            worker.stream.socket.close()
        self._started += 1
        with wants_named("start a worker process"):
            ours, theirs = trio.socket.socketpair()
        with theirs:
            try:
                child = await self._processes.spawn(
                    [sys.executable, _SCRIPT, str(theirs.fileno())],
                    cwd=folder,
                    env=self._environment(()),
                    mark=f"{MARK}{self._started}",
                    pass_fds=(theirs.fileno(),),
                )
            except BaseException:
                ours.close()
                raise
        return Worker(child, trio.SocketStream(ours))


class CallFailed(UnderstudyError):
    """A callable raised, or returned too much; the output of the attempt has the traceback."""

    code = "call_failed"
    title = "Call failed"


class Worker:
    """A worker process and the line to it."""

    def __init__(self, child: Child, stream: trio.SocketStream) -> None:
        self.child = child
        self.stream = stream
        self._rest = bytearray()

    async def call(self, attempt: Attempt, asked: bytes) -> str | None:
        """Send a call and read what the worker says until it has answered. `Raises:` see the pool."""
        answer: dict[str, Any] | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._raw_output, attempt)
            answer = await self._answer(attempt, asked)
            nursery.cancel_scope.cancel()
        if answer is not None:
            return _value(answer)
        with trio.CancelScope(shield=True), trio.move_on_after(1):
            await self.child.wait()
        raise WorkerLost(f"expected an answer of the worker process, got its end: {self._how()}")

    async def _answer(self, attempt: Attempt, asked: bytes) -> dict[str, Any] | None:
        """The end of the call; None when the worker says nothing any more."""
        try:
            await self.stream.send_all(asked)
            while (said := await self._read()) is not None:
                if "out" in said:
                    await attempt.write(str(said["out"]).encode(errors="replace"))
                elif "progress" in said:
                    attempt.progress, attempt.note = bounded(said["progress"]), str(said["note"])[:200]
                    attempt.said()
                else:
                    return said
        except (trio.BrokenResourceError, ValueError) as error:
            log.debug("%s: %s", self.child.mark, error, extra={"action": "worker_lost"})
        return None

    async def end(self, grace_s: float) -> None:
        """End the process, politely if it is at something."""
        await self.stream.aclose()
        await self.child.end(grace_s)

    async def _raw_output(self, attempt: Attempt) -> None:
        """What is written past Python: by C code, and by the call's own child processes."""
        while data := await self.child.receive_output():
            await attempt.write(data)

    async def _read(self) -> dict[str, Any] | None:
        while (end := self._rest.find(b"\n")) < 0:
            data = await self.stream.receive_some()
            if not data or len(self._rest) > LINE_BYTES:
                return None
            self._rest += data
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return json.loads(line)

    def _how(self) -> str:
        code = self.child.returncode
        if code is None:
            return "it does not answer"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def request(attempt: Attempt, registered: Registered, arguments: dict[str, Any], folder: Path) -> bytes:
    """A call as the worker reads it.

    Raises:
        CallFailed: an argument can't be sent to another process.
    """
    function = registered.function
    try:
        pickled = pickle.dumps(arguments)
    except Exception as error:
        msg = f"expected arguments that can be sent to a process, got {error}"
        raise CallFailed(msg) from error
    main = None
    if function.__module__ == "__main__" or b"__main__" in pickled:
        main = getattr(sys.modules["__main__"], "__file__", None)
    call = {
        "module": function.__module__,
        "main": None if main is None else str(Path(main).absolute()),
        "function": function.__qualname__,
        "arguments": base64.b64encode(pickled).decode(),
        "context": registered.wants_context,
        "task": attempt.task,
        "attempt": attempt.number,
        "folder": str(folder),
        "result_bytes": RESULT_BYTES,
        "env": {**dict(attempt.spec.env), "UNDERSTUDY_ATTEMPT": attempt.mark},
        "path": [str(Path(entry).absolute()) for entry in sys.path],
    }
    return json.dumps(call).encode() + b"\n"


def _value(said: dict[str, Any]) -> str | None:
    if "error" in said:
        raise CallFailed(str(said["error"]))
    if "too_long" in said:
        raise CallFailed(too_long(said["too_long"]))
    return said["value"]


def too_long(found: int) -> str:
    """What is said of a result that is not kept."""
    return (
        f"expected a result of at most {RESULT_BYTES:,} bytes of JSON, got {found:,}: "
        "write it to a file, and return its path"
    )
