"""The executor for commands: child processes of their own group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from pathlib import Path

    from understudy.actors.workers.executor import Attempt
    from understudy.supervision.processes import Child, Processes


class ShellExecutor:
    """Runs a task's command as a child process with a process group of its own.

    An attempt ends with the command itself: what it leaves behind in its group is ended too, so that
    nothing runs that no task stands for. Use a service manager for what is to stay.

    Args:
        processes: starts the children, from one thread that lives as long as the system (rule H1).
        folder: their working directory.
    """

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._folder = folder

    async def run(self, attempt: Attempt) -> int:
        """The exit code; minus the signal's number when a signal ended it.

        Raises:
            UnderstudyError: the command can't be started; says why.
        """
        child = await self._processes.spawn(attempt.command, cwd=self._folder, mark=attempt.mark)
        try:
            await _read(child, attempt)
            return await child.wait()
        except BaseException:
            with trio.CancelScope(shield=True):
                await child.end(attempt.grace_s)
                await _read(child, attempt)
            raise
        finally:
            attempt.capture.skip(child.dropped_bytes)


async def _read(child: Child, attempt: Attempt) -> None:
    while data := await child.receive_output():
        await attempt.write(data)
