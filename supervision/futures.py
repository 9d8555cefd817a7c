"""What a reply is put into: a waiting task, a waiting thread, or a pykka future."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections import Counter
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pykka
import trio
from trio.lowlevel import Abort, checkpoint, current_task, reschedule, wait_task_rescheduled

from understudy.protocols.errors import WouldDeadlock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    # pykka's own alias lives in a private module; this is its shape.
    from types import TracebackType

    OptExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

T = TypeVar("T")

LOOP_THREADS: Counter[int] = Counter()
"""How many systems run in the loop of a thread, by its ident: a blocking wait there would wait for itself."""


class Reply(Protocol):
    """Where the outcome of a message goes, once."""

    def resolve(self, value: Any, error: BaseException | None = None) -> None:
        """Give the reply `value`, or `error`."""
        ...


class TaskReply:
    """A reply that a task of the loop waits for."""

    __slots__ = ("done", "error", "task", "value")

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task | None = None
        self.value: Any = None
        self.error: BaseException | None = None
        self.done = False

    def resolve(self, value: Any, error: BaseException | None = None) -> None:
        """Called on the loop's thread; a second call (a stop after an answer) is ignored."""
        if self.done:
            return
        self.value, self.error, self.done = value, error, True
        if self.task is not None:
            reschedule(self.task)
            self.task = None

    async def wait(self) -> Any:
        """The value, or the error raised. Cancelling the wait leaves the message where it is."""
        if not self.done:
            self.task = current_task()
            await wait_task_rescheduled(self._abort)
        return self.get()

    def get(self) -> Any:
        """The value of a reply that is done, or its error raised."""
        if self.error is not None:
            raise self.error
        return self.value

    def _abort(self, _: object) -> Abort:
        self.task = None
        return Abort.SUCCEEDED


class ThreadReply:
    """A reply that a foreign thread blocks for: a bare lock, half the price of a `Future`."""

    __slots__ = ("_gate", "error", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self._gate = threading.Lock()
        self._gate.acquire()

    def resolve(self, value: Any, error: BaseException | None = None) -> None:
        """Called on the loop's thread."""
        if self._gate.locked():
            self.value, self.error = value, error
            self._gate.release()

    def wait(self, timeout: float | None) -> Any:
        """Block up to `timeout` seconds.

        Raises:
            pykka.Timeout: no reply in time.
        """
        if not self._gate.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            msg = f"{timeout} seconds"
            raise pykka.Timeout(msg)
        if self.error is not None:
            raise self.error
        return self.value


class Future(pykka.Future[T]):
    """A pykka future that also can be awaited in trio; set and read from any thread.

    `get()` on the thread of a system's loop raises `WouldDeadlock` instead of blocking for ever.
    Source: pykka's `Future` (a second `set` raises `queue.Full`; hooks run at `get`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._outcome: tuple[Any, OptExcInfo | None] | None = None
        self._callbacks: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return "<understudy.Future>"

    def set(self, value: T | None = None) -> None:
        """Give the value; `queue.Full` when there is an outcome or a hook already."""
        self._settle((value, None))

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Give an error: `exc_info`, or the one being handled."""
        self._settle((None, exc_info or sys.exc_info()))

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Compute the value with `func(timeout)` at `get`."""
        with self._lock:
            if self._outcome is not None:
                raise queue.Full
            super().set_get_hook(func)

    def resolve(self, value: Any, error: BaseException | None = None) -> None:
        """The runtime's way to answer; the first one counts."""
        outcome = (value, None if error is None else (type(error), error, error.__traceback__))
        try:
            self._settle(outcome)
        except queue.Full:
            return

    def get(self, *, timeout: float | None = None) -> Any:
        """Block for the value; see the class."""
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if self._outcome is None:
            if LOOP_THREADS[get_ident()]:
                msg = (
                    "expected a thread other than the loop's for a blocking get(): `await` the future instead"
                )
                raise WouldDeadlock(msg)
            gate = threading.Lock()
            gate.acquire()
            self._when_done(gate.release)
            if not gate.acquire(timeout=-1 if timeout is None else max(timeout, 0)) and self._outcome is None:
                msg = f"{timeout} seconds"
                raise pykka.Timeout(msg)
        return self._value()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.wait().__await__()

    __iter__ = __await__

    async def wait(self) -> Any:
        """Wait in a task of trio (any loop) or asyncio. A hook may block, so it runs in a worker thread."""
        if not trio.lowlevel.in_trio_task():
            return await self._wait_in_asyncio()
        if self._get_hook is not None:
            return await trio.to_thread.run_sync(self.get, abandon_on_cancel=True)
        if self._outcome is not None:
            await checkpoint()
            return self._value()
        done, token, thread = trio.Event(), trio.lowlevel.current_trio_token(), get_ident()

        def wake() -> None:
            if get_ident() == thread:
                done.set()
                return
            try:
                token.run_sync_soon(done.set, idempotent=True)
            except trio.RunFinishedError:
                return  # nobody waits any more

        self._when_done(wake)
        await done.wait()
        return self._value()

    async def _wait_in_asyncio(self) -> Any:
        if self._get_hook is not None:
            return await asyncio.to_thread(self.get)
        if self._outcome is None:
            done, loop = asyncio.Event(), asyncio.get_running_loop()

            def wake() -> None:
                try:
                    loop.call_soon_threadsafe(done.set)
                except RuntimeError:
                    return  # the loop is closed: nobody waits any more

            self._when_done(wake)
            await done.wait()
        return self._value()

    def _settle(self, outcome: tuple[Any, OptExcInfo | None]) -> None:
        with self._lock:
            if self._outcome is not None or self._get_hook is not None:
                raise queue.Full
            self._outcome = outcome
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _when_done(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if self._outcome is None:
                self._callbacks.append(callback)
                return
        callback()

    def _value(self) -> Any:
        assert self._outcome is not None
        value, exc_info = self._outcome
        if exc_info is None:
            return value
        kind, error, traceback = exc_info
        if error is None:
            assert kind is not None
            error = kind()
        raise error.with_traceback(traceback)
