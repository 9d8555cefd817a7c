"""The executor for commands: child processes of their own group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from understudy.supervision.blocking import in_thread
from understudy.supervision.wants import wants_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from understudy.actors.workers.executor import Attempt
    from understudy.actors.workers.workspaces import Workspaces
    from understudy.supervision.blocking import RunBlocking
    from understudy.supervision.processes import Child, Processes


class ShellExecutor:
    """Runs a task's command as a child process with a process group of its own.

    An attempt ends with the command itself: what it leaves behind in its group is ended too, so that
    nothing runs that no task stands for. Use a service manager for what is to stay.

    Args:
        processes: starts the children, from one thread that lives as long as the system (rule H1).
        workspaces: where they may work.
        environment: makes a child's environment, given the task's own variables.
        run_blocking: how making a folder is kept off the loop.
    """

    def __init__(
        self,
        processes: Processes,
        workspaces: Workspaces,
        environment: Callable[[Iterable[tuple[str, str]]], dict[str, str]],
        run_blocking: RunBlocking = in_thread,
    ) -> None:
        self._processes = processes
        self._workspaces = workspaces
        self._environment = environment
        self._run_blocking = run_blocking

    async def run(self, attempt: Attempt) -> int:
        """The exit code; minus the signal's number when a signal ended it.

        Raises:
            CommandNotStarted: the command can't be started; says why.
            OutOfResources: nothing ran, since the machine lacks descriptors, memory, threads or processes.
            BadWorkspace: the folder to work in has become a bad one since the task was made.
        """
        spec = attempt.spec
        with wants_named("enter the workspace"):
            folder = await self._run_blocking(self._workspaces.enter, spec.workspace)
        child = await self._processes.spawn(
            attempt.command, cwd=folder, env=self._environment(spec.env), mark=attempt.mark
        )
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
