"""One child process: its output, its exit, its end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import trio

from understudy.supervision.child_output import ChildOutput
from understudy.supervision.leftovers import group_lives
from understudy.supervision.spawning import Post

_DRAIN_S: Final = 0.5
_UNKILLABLE_S: Final = 5.0
_POLL_S: Final = 0.01
_POLL_MAX_S: Final = 0.2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What a child needs of the one that started it.

    Attributes:
        aside: runs what may block, off the loop.
        end_stragglers: ends what carries an attempt's mark and is in no child's group.
    """

    post: Post
    aside: Callable[[Callable[[], bool]], Awaitable[bool]]
    end_stragglers: Callable[[str], Awaitable[object]]
    on_gone: Callable[[Child], None]


class Child:
    """A child process and its group, as `Processes.spawn` returns it.

    Its output is read all the time, whoever waits for it: up to the buffer's bound it is kept,
    then the child has to wait for the reader, and when nobody reads for some seconds the oldest is
    dropped (`dropped_bytes`) and the child goes on. Memory is bounded, and the child is never
    blocked for good.

    The group ends with its leader: what still runs half a second after the leader's exit gets
    SIGTERM, and SIGKILL after as long again. As a context manager it ends the group when left.

    Attributes:
        pid: of the leader, and the id of its group and session.
        command: what was started.
        mark: the attempt, as the environment carries it.
        returncode: as in `subprocess`: minus the signal's number when one ended it; None while it runs.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        output: ChildOutput,
        *,
        command: tuple[str, ...],
        mark: str,
        upkeep: Upkeep,
        drain_s: float = _DRAIN_S,
    ) -> None:
        self.pid = process.pid
        self.command = command
        self.mark = mark
        self.returncode: int | None = None
        self._process = process
        self._output = output
        self._drain_s = drain_s
        self._upkeep = upkeep
        self._exited = trio.Event()
        self._gone = trio.Event()
        self._ending = False
        self._grace_until = -float("inf")

    @property
    def dropped_bytes(self) -> int:
        """How much of the output nobody came for in time."""
        return self._output.dropped_bytes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end(self._drain_s)

    async def wait(self) -> int:
        """Wait until the leader has exited (it is reaped then) and return its `returncode`.

        The group may live for a moment longer, and output may still come: read to `b""` first, or
        in another task.
        """
        await self._exited.wait()
        assert self.returncode is not None  # set before the event
        return self.returncode

    async def receive_output(self) -> bytes:
        """Wait for output (stdout and stderr, merged); `b""` says that no more will come.

        The end comes when the pipe is closed, or half a second after the leader's exit when a
        grandchild keeps it open.
        """
        return await self._output.take()

    async def end(self, grace_s: float = 5.0) -> None:
        """End the whole group: SIGTERM, up to `grace_s`, SIGKILL; returns when it is gone.

        Then it ends those of the same attempt that had left the group (setsid). Cancelled, it sends
        the SIGKILL at once. A second call, or one after the end, does nothing; it works also when
        the leader is gone and others of its group are not.
        """
        self._output.drop_rather_than_wait()  # a child that is blocked in a write can't clean up
        if self._gone.is_set():
            return
        self._ending = True
        self._grace_until = trio.current_time() + grace_s
        self._signal(signal.SIGTERM)
        try:
            with trio.move_on_after(grace_s):
                await self._gone.wait()
        finally:
            self.kill()
        with trio.move_on_after(_UNKILLABLE_S) as scope:
            await self._gone.wait()
        if scope.cancelled_caught:
            _log.error(
                "process %d of %s is still there after SIGKILL", self.pid, self.mark,
                extra={"action": "process.unkillable", "pid": self.pid, "mark": self.mark},
            )  # fmt: skip
        await self._upkeep.end_stragglers(self.mark)

    def kill(self) -> None:
        """Send SIGKILL to the whole group, now."""
        if not self._gone.is_set():
            self._grace_until = -float("inf")
            self._signal(signal.SIGKILL)

    async def keep(self) -> None:
        """Look after the process until its group is gone. Runs once, as a system task of trio.

        A system task, because the exit has to be noticed, and the zombie reaped, whatever becomes
        of the task that started the child.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._output.pump)
                await self._notice_exit()
                with trio.move_on_after(self._drain_s):
                    await self._output.finished.wait()
                await self._end_group()
                nursery.cancel_scope.cancel()
        except Exception:  # noqa: BLE001 - an error that leaves a system task ends trio
            _log.exception("looking after process %d failed", self.pid, extra={"action": "process.keep"})
        finally:
            self._bury()

    async def _notice_exit(self) -> None:
        """Wait for the leader's exit without polling, and reap it."""
        if sys.platform == "linux":
            try:
                pidfd = os.pidfd_open(self.pid)
            except OSError:  # a kernel before 5.3, or a sandbox that forbids it
                await self._notice_exit_in_thread()
            else:
                try:
                    await trio.lowlevel.wait_readable(pidfd)
                finally:
                    os.close(pidfd)
        else:
            await self._notice_exit_in_thread()
        self.returncode = self._process.wait()
        self._exited.set()

    async def _notice_exit_in_thread(self) -> None:
        noticed = trio.Event()

        def wait() -> None:
            self._process.wait()
            self._upkeep.post(noticed.set)

        # Not trio's threads: as many children as its limiter has tokens would starve everybody else.
        try:
            threading.Thread(target=wait, name=f"understudy-wait-{self.pid}", daemon=True).start()
        except (RuntimeError, MemoryError):  # neither a descriptor nor a thread is left: look now and then
            while self._process.poll() is None:  # noqa: ASYNC110 - nothing would tell us of its exit
                await trio.sleep(_POLL_MAX_S)
        else:
            await noticed.wait()

    async def _end_group(self) -> None:
        """End what is left of the group when its leader has been reaped.

        The group's number can't go to somebody else meanwhile: a number is free only when no
        member is left, and the kernel hands numbers out in turn.
        """
        asked = 0 if self._ending else signal.SIGTERM  # many take a second SIGTERM as "at once"
        if not self._signal(asked):
            return
        deadline = trio.current_time() + self._drain_s
        poll_s = _POLL_S
        killed = False
        while await self._upkeep.aside(lambda: group_lives(self.pid)):
            if trio.current_time() >= max(deadline, self._grace_until):
                if killed:
                    return
                killed = self._signal(signal.SIGKILL)
                deadline = trio.current_time() + _UNKILLABLE_S
            await trio.sleep(poll_s)
            poll_s = min(poll_s * 2, _POLL_MAX_S)

    def _bury(self) -> None:
        """Give everything back and say that it is over."""
        if self.returncode is None:  # trio is ending, and with it the system, without a shutdown
            self._signal(signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self.returncode = self._process.wait(1.0)
            self.returncode = -signal.SIGKILL if self.returncode is None else self.returncode
        self._output.close()
        self._exited.set()
        self._gone.set()
        self._upkeep.on_gone(self)

    def _signal(self, number: int) -> bool:
        """Signal the group; False when nobody is left in it (or nobody whom we may signal)."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True
