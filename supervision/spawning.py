"""The one thread from which children are started, and how they come to die with it (rule H1)."""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import trio

from understudy.protocols.errors import (
    BadWorkingFolder,
    CommandNotExecutable,
    CommandNotFound,
    CommandNotStarted,
    Stopping,
)
from understudy.supervision.wants import want_of, wants_named

T = TypeVar("T")
Post = Callable[[Callable[[], None]], None]
"""Runs a function on the loop's thread soon; callable from any thread; never raises."""

_PR_SET_PDEATHSIG: Final = 1
_END_S: Final = 5.0
_log = logging.getLogger(__name__)


class SpawnThread:
    """A thread that lives until `close` and runs jobs one after the other.

    Linux sends the parent-death signal when the *thread* that forked ends, not its process. trio's
    own worker threads end after ten idle seconds, and their children would die with them; so
    children are started here, and nowhere else. The thread is made by the first job.
    """

    def __init__(self, post: Post) -> None:
        self._post = post
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def used(self) -> bool:
        """Whether it runs: a job was given to it, and it is not closed."""
        return self._thread is not None

    async def run(self, job: Callable[[], T]) -> T:
        """Run `job` on the thread and return what it returns.

        Not cancelled while it runs: a child that was started and reported to nobody would be lost.
        Jobs are therefore short.

        Raises:
            Stopping: the thread has been closed.
            OutOfResources: it can't be started now.
        """
        if self._closed:
            msg = "expected a running system, got one that is shutting down: no process is started any more"
            raise Stopping(msg)
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name="understudy-spawn", daemon=True)
            with wants_named("start the thread that starts commands"):
                thread.start()
            self._thread = thread
        ticket = _Ticket(job, self._post)
        self._jobs.put(ticket.run)
        with trio.CancelScope(shield=True):
            await ticket.done.wait()
        return ticket.result()

    async def close(self) -> None:
        """End the thread (and so, on Linux, whatever child is still alive); takes no jobs any more."""
        self._closed = True
        thread, self._thread = self._thread, None
        if thread is None:
            return
        ended = trio.Event()
        self._jobs.put(lambda: self._post(ended.set))
        self._jobs.put(None)
        with trio.move_on_after(_END_S, shield=True):
            await ended.wait()
            thread.join(_END_S)  # it has nothing left to do but return

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class _Ticket(Generic[T]):
    """A job under way: what it returned or raised, and the event that says it did."""

    def __init__(self, job: Callable[[], T], post: Post) -> None:
        self.done = trio.Event()
        self._job = job
        self._post = post
        self._value: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._value.append(self._job())
        except BaseException as error:  # noqa: BLE001 - raised again where the job was asked for
            self._error = error
        self._post(self.done.set)

    def result(self) -> T:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # an error that holds its traceback, which holds us, is a cycle
        return self._value[0]


class Launcher:
    """Starts commands so that they die with the thread that calls it. Used on that thread only."""

    def __init__(self) -> None:
        self._setpriv: str | None = None
        self._die_with_parent: Callable[[], None] | None = None
        self._probed = False

    def start(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> tuple[subprocess.Popen[bytes], int]:
        """Start `command` in a session of its own, with nothing to read.

        Returns:
            The process, and the descriptor (not blocking) from which its stdout and stderr, merged,
            can be read.

        Raises:
            CommandNotFound, CommandNotExecutable, BadWorkingFolder, CommandNotStarted: it did not
                start; nothing is left behind.
            OutOfResources: likewise, and it would start if the machine had more to give.
        """
        with wants_named("start a command"):
            return self._start(command, cwd, env, pass_fds)

    def _start(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], pass_fds: Sequence[int]
    ) -> tuple[subprocess.Popen[bytes], int]:
        self._probe()
        check_startable(command, cwd, env)
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(
                [*self._prefix(), *command],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                close_fds=True,
                pass_fds=pass_fds,
                start_new_session=True,
                preexec_fn=self._die_with_parent,  # noqa: PLW1509 - see _probe; None where avoidable
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            os.close(reading)
            if want_of(error) is not None:
                raise
            raise _not_started(error, command, cwd) from error
        except BaseException:  # no memory, for one
            os.close(reading)
            raise
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        return process, reading

    def _prefix(self) -> list[str]:
        return [self._setpriv, "--pdeathsig", "KILL", "--"] if self._setpriv else []

    def _probe(self) -> None:
        """Choose, once, how a child asks for the parent-death signal.

        `setpriv` where there is one that can (util-linux; busybox's can't): Popen then uses vfork.
        A preexec_fn makes Popen fork, with the interpreter's lock held while the page tables are
        copied: measured, 12 ms in which nothing else runs at 200 MB resident, against 0.15 ms (and
        0.9 ms more until the command runs, in the child). And it runs Python between fork and exec
        of a process with threads, of which Python 3.12 warns.

        setpriv does not look whether its parent died before it asked. Having it run a shell that
        compares $PPID closes that millisecond, but dash drops variables whose names it can't
        spell. Not taken: recovery ends, by the environment mark, whatever the signal missed.
        """
        if self._probed:
            return
        if sys.platform != "linux":
            self._probed = True
            return  # macOS has no such signal: the mark is all there is
        setpriv = shutil.which("setpriv")
        if setpriv and _works([setpriv, "--pdeathsig", "KILL", "--", "/bin/sh", "-c", ":"]):
            self._setpriv, self._probed = setpriv, True
        else:
            self._probed = True
            self._die_with_parent = _die_with(os.getpid())
            _log.info("no setpriv with --pdeathsig: children are forked", extra={"action": "processes.probe"})


def check_startable(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
    """Raise the typed error for what can be seen before the start.

    Behind setpriv a failing exec is only an exit status of 126 or 127; and a look beforehand names
    the culprit. What changes between the look and the exec ends as that exit status, with
    setpriv's words in the output.
    """
    if not command or not command[0]:
        msg = "expected a command of at least one word, got none"
        raise CommandNotFound(msg, command=tuple(command))
    if not cwd.is_dir():
        reason = "is not a folder" if cwd.exists() else "does not exist"
        msg = f"expected a folder to run {command[0]!r} in, got {str(cwd)!r}, which {reason}"
        raise BadWorkingFolder(msg, command=tuple(command))
    if not os.access(cwd, os.X_OK):
        msg = f"expected a folder that may be entered to run {command[0]!r} in, got {str(cwd)!r}"
        raise BadWorkingFolder(msg, command=tuple(command))
    places = [Path(folder) for folder in os.get_exec_path(env)] if "/" not in command[0] else [Path()]
    candidates = [cwd / folder / command[0] for folder in places]
    if any(place.is_file() and os.access(place, os.X_OK) for place in candidates):
        return
    if any(place.exists() for place in candidates):
        msg = f"expected a file that may be executed, got {command[0]!r}: is its x bit set?"
        raise CommandNotExecutable(msg, command=tuple(command))
    where = f"in {cwd}" if "/" in command[0] else "on PATH: install it, or write where it is"
    what = "does not exist" if command[0].startswith("/") else f"is not {where}"
    msg = f"expected a command, got {command[0]!r}, which {what}"
    raise CommandNotFound(msg, command=tuple(command))


def _not_started(error: Exception, command: Sequence[str], cwd: Path) -> CommandNotStarted:
    """The typed error for one of Popen's."""
    kind: type[CommandNotStarted] = CommandNotStarted
    if isinstance(error, OSError) and str(error.filename) == str(cwd):
        kind = BadWorkingFolder
    elif isinstance(error, FileNotFoundError):
        kind = CommandNotFound
    elif isinstance(error, PermissionError):
        kind = CommandNotExecutable
    return kind(f"expected {command[0]!r} to start in {str(cwd)!r}, got {error}", command=tuple(command))


def _works(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=_END_S).returncode == 0
    except (OSError, subprocess.SubprocessError) as error:
        if want_of(error) is not None:
            raise  # it says nothing of the command
        return False


def _die_with(parent: int) -> Callable[[], None]:
    """What the forked child does before exec: no import, no lock, nothing looked up but locals.

    `PyDLL` keeps the interpreter's lock, which the child, alone after the fork, could otherwise
    only wait for. The parent may have died before the signal was asked for: hence the second look.
    """
    prctl, getppid, leave = ctypes.PyDLL(None).prctl, os.getppid, os._exit
    kill = int(signal.SIGKILL)

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, kill, 0, 0, 0)
        if getppid() != parent:
            leave(127)

    return die_with_parent
