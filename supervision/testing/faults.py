"""The faults of a disk: which operation fails, and at which one the power goes."""

from __future__ import annotations

import errno
import os
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SEGMENT = re.compile(r"(\d{16})-(\d{4,})\.jsonl(.*)")

When = Literal["before", "during", "after"]
"""Where in an operation the power goes: it has not begun, a write is torn in its middle, it is done."""


class Operation(NamedTuple):
    """One change that was asked of the layer: its number from 1, what, and on which file or folder.

    Names: make, write, write_at, fdatasync, sync_folder, truncate, replace, link, unlink, mkdir,
    rmdir.
    """

    number: int
    name: str
    path: Path

    @property
    def journal(self) -> str | None:
        """The actor whose journal it is about; None for everything else."""
        parts = self.path.parts
        if "journals" not in parts:
            return None
        return next(iter(parts[parts.index("journals") + 1 :]), None)

    @property
    def point(self) -> str:
        """What it is in words, such as "workers: fdatasync of segment 1"; not unique.

        A segment is called by the number of its first turn, and by its epoch when that is not the
        first; any other file by its name.
        """
        journal = self.journal
        if journal is None:
            return f"{self.name} of {self.path.name}"
        if self.path.name == journal:
            return f"{journal}: {self.name} of its folder"
        return f"{journal}: {self.name} of {_file(self.path.name)}"

    def __str__(self) -> str:
        return f"operation {self.number}, {self.point}"


def _file(name: str) -> str:
    match = _SEGMENT.fullmatch(name)
    if match is None:
        return name
    first, epoch, rest = int(match[1]), int(match[2]), match[3]
    return f"segment {first}{'' if epoch == 1 else f' of epoch {epoch}'}{rest}"


class PowerLost(OSError):
    """The machine is off: this operation and all later ones did not happen."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the power is lost")


@dataclass
class _Fault:
    name: str
    journal: str | None
    wait: int
    times: int | None
    error: int

    def strikes(self, operation: Operation) -> bool:
        if self.name != operation.name or self.journal not in (None, operation.journal):
            return False
        if self.wait:
            self.wait -= 1
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


@dataclass
class _Crash:
    point: int | str
    nth: int
    when: When

    def strikes(self, operation: Operation) -> bool:
        if self.point != (operation.number if isinstance(self.point, int) else operation.point):
            return False
        self.nth -= 1
        return self.nth == 0


class Faults:
    """What is to fail, and what was asked so far.

    Attributes:
        operations: all changes so far, in order.
        space_bytes: what can still be written before ENOSPC; None for no limit.
        short_write_bytes: the most that one write takes; None for no limit.
        on_operation: called before each change, on its thread; may block or raise.
        crashed: whether `crash_at` has struck.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.space_bytes: int | None = None
        self.short_write_bytes: int | None = None
        self.on_operation: Callable[[Operation], None] | None = None
        self.crashed = False
        self._lock = threading.RLock()
        self._crash: _Crash | None = None
        self._faults: list[_Fault] = []

    def fail(
        self,
        name: str,
        *,
        journal: str | None = None,
        error: int = errno.EIO,
        after: int = 0,
        times: int | None = 1,
    ) -> None:
        """Let the operation `name` fail `times` times (None: for good), once it was done `after` times more.

        A failing write takes nothing. A failing fdatasync loses what was not synced before, as Linux
        does: a later fdatasync succeeds without writing it.

        Args:
            name: one of `Operation`'s.
            journal: the actor whose journal it has to be about; None for any file.
            error: an errno.
            after: how many of them go well before.
            times: how many fail then.
        """
        self._faults.append(_Fault(name, journal, after, times, error))

    def fail_next_append(
        self,
        actor: str,
        *,
        error: int = errno.EIO,
        operation: Literal["write", "fdatasync"] = "fdatasync",
        times: int | None = 1,
    ) -> None:
        """Let the next batch of `actor`'s turns not become durable: the actor halts (rule J5).

        Args:
            actor: the name of a persistent actor.
            error: an errno: EIO, ENOSPC.
            operation: "write": nothing of the batch reached the file; "fdatasync": nobody knows.
            times: how many batches; None for all, so that a resume fails too.
        """
        self.fail(operation, journal=actor, error=error, times=times)

    def heal(self) -> None:
        """No more faults, and room on the disk. A crash that is ordered stays so."""
        self._faults.clear()
        self.space_bytes = None
        self.short_write_bytes = None

    def crash_at(self, point: int | str, *, nth: int = 1, when: When = "during") -> None:
        """Let the power go at an operation to come; nothing works from then on.

        Args:
            point: its number in `operations`, or its `point` in words: "alice: write of segment 1".
            nth: which of those that bear that name, from now on.
            when: before it, during it (a write is torn in its middle, others do not happen), or
                after it.
        """
        self._crash = _Crash(point, nth, when)

    def _check_power(self) -> None:
        """Nothing works without power.

        Raises:
            PowerLost.
        """
        if self.crashed:
            raise PowerLost

    def restart(self) -> None:
        """Make the layer usable again after a crash of the process alone: everything written stays."""
        self.crashed = False
        self._crash = None

    def _begin(self, name: str, path: Path) -> When | None:
        """Count an operation, and let it fail when its time has come.

        Returns:
            None mostly. "during" when a write is to be torn, "after" when the power goes after it.

        Raises:
            PowerLost: before it.
            OSError: the fault.
        """
        with self._lock:
            self._check_power()
            operation = Operation(len(self.operations) + 1, name, path)
            self.operations.append(operation)
            when = self._crash.when if self._crash is not None and self._crash.strikes(operation) else None
            self.crashed = when is not None
            if when == "before" or (when == "during" and not name.startswith("write")):
                raise PowerLost
        if self.on_operation is not None:  # not under the lock: it may block
            self.on_operation(operation)
        with self._lock:
            for fault in self._faults:
                if fault.strikes(operation):
                    raise OSError(fault.error, os.strerror(fault.error), str(path))
        return when

    def _some_of(self, data: bytes | memoryview, path: Path, there: int, *, torn: bool) -> bytes:
        """The part of `data` that a write takes; what replaces the `there` bytes behind needs no space.

        Raises:
            OSError: ENOSPC.
        """
        count = len(data) // 2 if torn else min(len(data), self.short_write_bytes or len(data))
        if self.space_bytes is not None:
            count = min(count, self.space_bytes + max(0, there))
            if count == 0 and data:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            self.space_bytes -= max(0, count - max(0, there))
        return bytes(data[:count])
