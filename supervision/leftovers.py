"""What a crash left running: found by the marks in its environment, ended whole (rule H1)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

HOME_MARK: Final = "UNDERSTUDY_HOME"
ATTEMPT_MARK: Final = "UNDERSTUDY_ATTEMPT"
_ELSEWHERE: Final = 0  # the session or group of a process whose leader is outside of our PID namespace
_DEAD: Final = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process that an earlier run of the system started, itself or through a child.

    Attributes:
        pid: its number.
        mark: the attempt that it belongs to, from its own environment or from that of its kin.
        command: its command line, or its name where that can't be read.
        ended: whether it is gone.
    """

    pid: int
    mark: str
    command: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A living process and the attempt it belongs to."""

    process: psutil.Process
    mark: str
    command: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look at a process told; `home` and `mark` are None where it carries none."""

    process: psutil.Process
    parent: int
    session: int
    group: int
    home: str | None
    mark: str | None


def marks(home: Path, attempt: str) -> dict[str, str]:
    """The environment that marks a child of this home, of this attempt."""
    return {HOME_MARK: str(home.resolve()), ATTEMPT_MARK: attempt}


def find(home: Path, *, spare: Collection[str] = ()) -> list[Found]:
    """Find the living processes of `home`: the marked ones and their kin.

    Kin are the members of a marked process's session or group, and its descendants, also when they
    cleaned their environment. Never found are ourselves, our ancestors, processes of other users,
    processes marked with another home, and those of the attempts in `spare`, which are alive by
    right. A session or group that one of these belongs to is not taken whole.

    Both marks have to be there. A shell with `export UNDERSTUDY_HOME=…` is a person's, and all
    that it starts carries that variable.

    Blocking: reads the environment of every process of this user, some ten milliseconds.
    """
    wanted = str(home.resolve())
    seen = list(_look())
    spared = _own_line()
    for one in seen:
        if one.home is not None and (one.home != wanted or one.mark in spare):
            spared.add(one.process.pid)
    taken = {
        one.process.pid: one.mark
        for one in seen
        if one.home == wanted and one.mark is not None and one.process.pid not in spared
    }
    _add_kin(taken, seen, spared)
    return [
        Found(one.process, taken[one.process.pid], describe(one.process))
        for one in seen
        if one.process.pid in taken
    ]


def group_lives(group: int) -> bool:
    """Whether a process group has a member that is not a zombie.

    `killpg(group, 0)` alone counts zombies, and under a container's first process that does not
    reap, orphaned ones stay.
    """
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return any(_group_of(pid) == group and is_alive(pid) for pid in psutil.pids())


def is_alive(process: int | psutil.Process) -> bool:
    """Whether it runs: still the same one, and not a zombie."""
    try:
        known = psutil.Process(process) if isinstance(process, int) else process
        return known.is_running() and known.status() not in _DEAD
    except psutil.Error:
        return False


def describe(process: psutil.Process) -> str:
    """Its command line, for people; empty when it has vanished."""
    try:
        return " ".join(process.cmdline()) or process.name()
    except (psutil.Error, OSError):
        return ""


def _look() -> Iterator[_Seen]:
    """Look at every process of this user once; who vanishes or can't be read is left out."""
    user = os.getuid()
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                if process.uids().real != user or process.status() in _DEAD:
                    continue
                environment = _environment(process)
                home, mark = environment.get(HOME_MARK), environment.get(ATTEMPT_MARK)
                if home is None or mark is None:
                    home = mark = None
                yield _Seen(process, process.ppid(), os.getsid(pid), os.getpgid(pid), home, mark)
        except (psutil.Error, OSError):
            continue


def _environment(process: psutil.Process) -> dict[str, str]:
    """Its environment; empty where it can't be read: it may still be somebody's kin."""
    try:
        return process.environ()
    except psutil.NoSuchProcess:
        raise
    except (psutil.Error, OSError):
        return {}


def _own_line() -> set[int]:
    """Ourselves and our ancestors: the runtime may itself run inside of a task."""
    line = {os.getpid()}
    try:
        line.update(ancestor.pid for ancestor in psutil.Process().parents())
    except psutil.Error:
        line.add(os.getppid())
    return line


def _add_kin(taken: dict[int, str], seen: Collection[_Seen], spared: Collection[int]) -> None:
    """Add to `taken`, until nothing is added, who shares a session, a group or a parent with it."""
    closed_sessions = {one.session for one in seen if one.process.pid in spared} | {_ELSEWHERE}
    closed_groups = {one.group for one in seen if one.process.pid in spared} | {_ELSEWHERE}
    grown = True
    while grown:
        grown = False
        sessions = {one.session: taken[one.process.pid] for one in seen if one.process.pid in taken}
        groups = {one.group: taken[one.process.pid] for one in seen if one.process.pid in taken}
        for one in seen:
            if one.process.pid in taken or one.process.pid in spared:
                continue
            mark = taken.get(one.parent)
            if mark is None and one.session not in closed_sessions:
                mark = sessions.get(one.session)
            if mark is None and one.group not in closed_groups:
                mark = groups.get(one.group)
            if mark is not None:
                taken[one.process.pid] = mark
                grown = True


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None
