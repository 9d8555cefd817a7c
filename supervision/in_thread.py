"""A system for ordinary code: its loop runs in a thread of its own, its methods block."""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Never, ParamSpec, Self, TypeVar, overload

import trio

from understudy.protocols.errors import Stopping, WouldDeadlock
from understudy.supervision import pykka_rules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from understudy.protocols.lifecycle import LifecycleEvent, SystemStatus
    from understudy.supervision.actor import Actor
    from understudy.supervision.reference import ActorRef
    from understudy.supervision.system import ActorSystem

A = TypeVar("A", bound="Actor")
T = TypeVar("T")
P = ParamSpec("P")


class ThreadedSystem:
    """What `ActorSystem.in_thread` returns: a context manager with the system's methods, blocking.

    Inside the block, `SomeActor.start()` in this thread puts actors into this system (the innermost
    one), by pykka's rules. Made once, entered once.
    """

    def __init__(self, system: ActorSystem) -> None:
        self.system = system
        self._up = threading.Event()
        self._end: trio.Event | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="understudy system", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        pykka_rules.enter(self.system)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pykka_rules.leave(self.system)
        self.shutdown()
        if self._error is not None:
            raise self._error

    def spawn(
        self, actor_class: type[A], *positional: Never, name: str | None = None, **arguments: Any
    ) -> ActorRef[A]:
        """As `ActorSystem.spawn`."""

        async def spawn() -> ActorRef[A]:
            return await self.system.spawn(actor_class, *positional, name=name, **arguments)

        return self._call(spawn)

    def stop(self, name: str) -> None:
        """As `ActorSystem.stop`."""
        self._call(partial(self.system.stop, name))

    @overload
    def get(self, name: str) -> ActorRef[Any]: ...
    @overload
    def get(self, name: str, actor_class: type[A]) -> ActorRef[A]: ...
    def get(self, name: str, actor_class: type[Actor] | None = None) -> ActorRef[Any]:
        """As `ActorSystem.get`."""
        return self.system.get(name) if actor_class is None else self.system.get(name, actor_class)

    def status(self) -> SystemStatus:
        """As `ActorSystem.status`."""
        return self._call(self._status)

    def resume(self, name: str) -> None:
        """As `ActorSystem.resume`."""
        self._call(partial(self.system.resume, name))

    def subscribe(self, callback: Callable[[LifecycleEvent], None]) -> Callable[[], None]:
        """As `ActorSystem.subscribe`; `callback` runs on the loop's thread and must not block."""
        return self.system.lifecycle.subscribe(callback)

    def run(
        self,
        function: Callable[Concatenate[ActorSystem, P], Awaitable[T]],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T:
        """Run `await function(system, *arguments, **keywords)` on the system's loop; what it returns.

        So `system.run(start_cast, config)` starts what was written for trio. Blocks until it is done.

        Raises:
            WouldDeadlock: called on the loop's own thread.
            Stopping: the system is not running, or stops meanwhile.
            BaseException: what `function` raised.
        """

        async def run() -> T:
            return await function(self.system, *arguments, **keywords)

        return self._call(run)

    def shutdown(self) -> None:
        """Stop all actors in reverse order, flush, and end the thread. Once is enough."""
        if threading.get_ident() == self._thread.ident:
            msg = "expected another thread than the loop's for a blocking shutdown: await system.shutdown()"
            raise WouldDeadlock(msg)
        token, end = self._token, self._end
        if token is not None and end is not None:
            with suppress(trio.RunFinishedError):  # it has ended already
                token.run_sync_soon(end.set, idempotent=True)
        self._thread.join()

    async def _status(self) -> SystemStatus:
        return self.system.status()

    def _call(self, function: Callable[[], Awaitable[T]]) -> T:
        if threading.get_ident() == self._thread.ident:
            msg = "expected another thread than the loop's for a blocking call: await the system's own method"
            raise WouldDeadlock(msg)
        if self._token is None:
            msg = "expected to be inside the `with` block of this system"
            raise Stopping(msg)
        try:
            return trio.from_thread.run(function, trio_token=self._token)
        except (trio.RunFinishedError, trio.Cancelled) as error:
            msg = "expected a running system, got one that has stopped"
            raise Stopping(msg) from error

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that owns the block
            self._error = error
        finally:
            self._up.set()

    async def _main(self) -> None:
        self._end = trio.Event()
        async with self.system:
            self._token = trio.lowlevel.current_trio_token()
            self._up.set()
            with trio.move_on_after(math.inf):
                await self._end.wait()
