"""Child processes: started so that they die with the system, ended in whole groups (rule H1).

Written for Linux and macOS; on macOS untested. There, nothing kills a child when the system is
killed: it runs on until the next recovery finds it by its mark.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import psutil
import trio

from understudy.protocols.errors import CommandNotStarted, Stopping
from understudy.supervision import leftovers
from understudy.supervision.child import Child, Upkeep
from understudy.supervision.child_output import BUFFER_BYTES, ChildOutput
from understudy.supervision.leftovers import Found, Leftover
from understudy.supervision.spawning import Launcher, Post, SpawnThread

__all__ = ["Child", "Leftover", "NoProcesses", "Processes"]

_POLL_S: Final = 0.02
_ROUNDS: Final = 20
_log = logging.getLogger(__name__)


class Processes:
    """The child processes of one system. Everything is called on the loop's thread."""

    def __init__(self, home: Path, post: Post) -> None:
        self._home = home.resolve()
        self._thread = SpawnThread(post)
        self._upkeep = Upkeep(
            post=post,
            aside=self._thread.run,
            end_stragglers=lambda mark: self.end_leftovers(mark=mark),
            on_gone=self._forget,
        )
        self._launcher = Launcher()
        self._living: dict[int, Child] = {}
        self._closing = False

    @property
    def living(self) -> tuple[Child, ...]:
        """The children whose groups are not gone yet."""
        return tuple(self._living.values())

    async def spawn(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        mark: str,
        buffer_bytes: int = BUFFER_BYTES,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start a command in a process group and session of its own; it reads from /dev/null.

        On Linux the kernel kills the child when this system's process dies; its own children are
        found and ended by `end_leftovers` of the next one.

        Args:
            command: program and arguments; the program is looked for in the PATH of `env`.
            cwd: the folder to run in; a program given as a relative path is relative to it.
            env: the whole environment; None for that of this process. The marks are added.
            mark: the attempt, `<task id>/<attempt>`.
            buffer_bytes: how much output may wait for a reader.
            pass_fds: descriptors that the child gets too, under the same numbers.

        Raises:
            CommandNotFound: no such program.
            CommandNotExecutable: it may not be executed.
            BadWorkingFolder: no such folder.
            CommandNotStarted: another reason of the system's, named.
            Stopping: `close` was called.
        """
        words = tuple(command)
        marked = {**(os.environ if env is None else env), **leftovers.marks(self._home, mark)}
        process, pipe = await self._thread.run(
            partial(self._launcher.start, words, cwd=cwd, env=marked, pass_fds=tuple(pass_fds))
        )  # no checkpoint from here on: a cancelled caller would leave a child that nobody knows
        output = ChildOutput(pipe, bound_bytes=buffer_bytes)
        child = Child(process, output, command=words, mark=mark, upkeep=self._upkeep)
        self._living[child.pid] = child
        trio.lowlevel.spawn_system_task(child.keep, name=f"understudy.process.{child.pid}")
        if self._closing:
            child.kill()
            msg = f"expected a running system, got one that is shutting down: {words[0]!r} was ended again"
            raise Stopping(msg)
        return child

    async def end_leftovers(self, *, grace_s: float = 2.0, mark: str | None = None) -> list[Leftover]:
        """End what runs for this home and is no child's: SIGTERM, up to `grace_s`, SIGKILL.

        That is what earlier runs of the system left behind, and what left its group (setsid) in this
        one; with `mark`, only what belongs to that attempt.

        Whole sessions and groups, descendants, and stragglers that made a session of their own;
        `leftovers.find` says who is never touched. Looks again until nothing new turns up, because
        what is being ended may fork meanwhile.

        Returns:
            Everything that was found, in order of process id.
        """
        known: dict[int, Found] = {}
        await self._look(known, mark)
        for found in known.values():
            _signal(found.process, signal.SIGTERM)
        await self._wait_until_gone(known, grace_s if known else 0.0)
        for _ in range(_ROUNDS):  # at least once more: in the middle of an exec no environment can be read
            await self._look(known, mark)
            remaining = [one for one in known.values() if leftovers.is_alive(one.process)]
            if not remaining:
                break
            for found in remaining:
                _signal(found.process, signal.SIGKILL)
            await self._wait_until_gone(known, 10 * _POLL_S)
        report = [
            Leftover(pid, one.mark, one.command, ended=not leftovers.is_alive(one.process))
            for pid, one in sorted(known.items())
        ]
        for one in report:
            _log.warning(
                "%s process %d of %s, left behind: %s",
                "ended" if one.ended else "could not end", one.pid, one.mark, one.command,
                extra={"action": "process.leftover", "pid": one.pid, "mark": one.mark, "ended": one.ended},
            )  # fmt: skip
        return report

    async def close(self, grace_s: float = 2.0) -> None:
        """End all children and what left their groups, then the thread; nothing is started any more."""
        if self._closing:
            return
        self._closing = True
        async with trio.open_nursery() as nursery:
            for child in self.living:
                nursery.start_soon(child.end, grace_s)
        if self._thread.used:
            await self.end_leftovers(grace_s=grace_s)
        await self._thread.close()

    async def _look(self, known: dict[int, Found], mark: str | None) -> None:
        """Add to `known` what can be found now (of that attempt), without this system's children."""
        spare = frozenset(child.mark for child in self._living.values())
        for found in await self._thread.run(partial(leftovers.find, self._home, spare=spare)):
            if mark is None or found.mark == mark:
                known.setdefault(found.process.pid, found)

    async def _wait_until_gone(self, known: Mapping[int, Found], patience_s: float) -> None:
        with trio.move_on_after(patience_s):
            # Polled: they are not our children, and nothing tells us of their exit.
            while any(leftovers.is_alive(one.process) for one in known.values()):  # noqa: ASYNC110
                await trio.sleep(_POLL_S)

    def _forget(self, child: Child) -> None:
        self._living.pop(child.pid, None)


class NoProcesses(Processes):
    """For systems that run inline: no thread, and so no child; there is none to be found either."""

    async def spawn(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        mark: str,
        buffer_bytes: int = BUFFER_BYTES,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Refuse.

        Raises:
            CommandNotStarted: always.
        """
        del cwd, env, mark, buffer_bytes, pass_fds
        msg = f"expected a system with threads to start {command[0]!r}, got one that runs inline"
        raise CommandNotStarted(msg)

    async def end_leftovers(self, *, grace_s: float = 2.0, mark: str | None = None) -> list[Leftover]:
        """Nothing: a checkpoint only."""
        del grace_s, mark
        await trio.lowlevel.checkpoint()
        return []


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    """Signal one process, unless it is gone or its number belongs to another by now."""
    try:
        process.send_signal(number)
    except psutil.Error:
        _log.debug("process %d is gone or not ours", process.pid, extra={"action": "process.signal"})
