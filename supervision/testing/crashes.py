"""A story crashed at every operation on its disk, recovered, and looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Protocol

import trio

from understudy.protocols.errors import UnderstudyError
from understudy.supervision.settings import Settings
from understudy.supervision.system import ActorSystem
from understudy.supervision.testing.checks import check_replays
from understudy.supervision.testing.clock import VirtualClock
from understudy.supervision.testing.files import MemoryFiles
from understudy.supervision.testing.simulated import run_simulated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from understudy.supervision.testing.faults import Operation

HOME = Path("/home")
"""Where the home of a story is, in memory."""
_DEEP_WITHIN = 30
_WITHIN_S = 3600.0  # virtual: what takes longer is stuck
_EXPECTED = (OSError, UnderstudyError, trio.TooSlowError)
_SMALL = Settings(snapshot_bytes=1024, segment_bytes=4096)


class Story(Protocol):
    """What is crashed: an object made anew for each crash. What callers were told, keep on it."""

    async def live(self, system: ActorSystem) -> None:
        """Start actors and have them work.

        The power goes at some moment: from then on this may raise what the runtime raises, or wait
        for ever.
        """
        ...

    async def check(self, system: ActorSystem) -> None:
        """Start the actors on what the crash has left, and assert what must be true.

        It may go on with the work (ask again with the same keys). It is called twice or more, each time
        in a new system on the same home, and crashed itself when `nested` is asked for.
        """
        ...


@dataclass(frozen=True)
class Crashed:
    """What `crash_everywhere` has done: the operations of the story, and how many crashes were survived."""

    operations: Sequence[Operation]
    crashes: int


def crash_everywhere(
    make: Callable[[], Story],
    *,
    survivors: Iterable[int | None] = (None, 1, 2),
    nested: bool = True,
    points: Iterable[int] | None = None,
    every: int = 1,
    settings: Settings | None = None,
    files: Callable[[], MemoryFiles] = MemoryFiles,
    system: type[ActorSystem] = ActorSystem,
) -> Crashed:
    """Let the power go at each operation on the disk that a story makes, and check each time what is left.

    The story lives once without a fault, which gives its operations. Then, for each of them and each of
    `survivors`: it lives again and the power goes at that operation (a write is torn in its middle); the
    disk forgets what was not synced; `check` runs in a new system, and once more in another one. After
    each check, what every actor has in memory is compared with what its journal says. All of it in
    memory, on a virtual clock and in a fixed order, so that an operation is the same one in each run.

    Args:
        make: the story's class, or what makes one.
        survivors: seeds that choose what survives of the unsynced; None: nothing.
        nested: crash the first recovery too, at an operation within its first 30, and recover from that.
        points: numbers of the operations to crash at; all by default.
        every: of these, only each so many-th.
        settings: of the systems; by default small segments and frequent snapshots.
        files: makes the disk.
        system: the class of the systems: `CheckedSystem` looks for state that no event has changed.

    Returns:
        How much was done: a story without operations proves nothing.

    Raises:
        AssertionError: or whatever else `check` raises, with a note that names the operation and how to
            come back to it.
    """
    theater = _Theater(make, settings or _SMALL, files, system)
    operations = theater.whole()
    crashes = 0
    for number in [*(range(1, len(operations) + 1) if points is None else points)][::every]:
        for seed in survivors:
            for deep in (False, True) if nested else (False,):
                try:
                    theater.crash(number, seed, deep=deep)
                except BaseException as error:
                    twice = ", then in the recovery too" if deep else ""
                    error.add_note(
                        f"crashed at {operations[number - 1]} (of {len(operations)}){twice}; repeat with "
                        f"crash_everywhere(…, points=[{number}], survivors=[{seed}], nested={deep})"
                    )
                    raise
                crashes += 1
    return Crashed(operations, crashes)


class _Theater:
    """Has stories live and die."""

    def __init__(
        self,
        make: Callable[[], Story],
        settings: Settings,
        files: Callable[[], MemoryFiles],
        system: type[ActorSystem],
    ) -> None:
        self._make = make
        self._settings = settings
        self._files = files
        self._system_class = system

    def whole(self) -> list[Operation]:
        """The operations of a life without a crash; what it leaves must pass the check too."""
        files, story = self._files(), self._make()
        run_simulated(self._live, story, files, within_s=_WITHIN_S)
        operations = list(files.operations)
        for _ in range(2):
            run_simulated(self._check, story, files, within_s=_WITHIN_S)
        return operations

    def crash(self, number: int, survivors: int | None, *, deep: bool) -> None:
        """One life, its crash, and the recoveries."""
        files, story = self._files(), self._make()
        chance = Random(f"{number}-{survivors}")
        files.crash_at(number)
        self._until_crash(self._live, story, files)
        files.power_failure(None if survivors is None else chance)
        files.heal()
        if deep:
            files.crash_at(len(files.operations) + chance.randint(1, _DEEP_WITHIN))
            self._until_crash(self._check, story, files, after=(Exception,))
            files.power_failure(None if survivors is None else chance)
        for _ in range(2):
            run_simulated(self._check, story, files, within_s=_WITHIN_S)

    def _until_crash(
        self,
        live: Callable[[Story, MemoryFiles], Awaitable[None]],
        story: Story,
        files: MemoryFiles,
        after: tuple[type[Exception], ...] = _EXPECTED,
    ) -> None:
        """What the runtime raises after the power has gone says nothing; a broken promise does.

        Of a check that lost its power nothing counts: it asserts what it could not bring about.
        """
        try:
            run_simulated(live, story, files, within_s=_WITHIN_S)
        except BaseExceptionGroup as group:
            if not files.crashed or group.split(after)[1] is not None:
                raise
        except after:
            if not files.crashed:
                raise

    async def _live(self, story: Story, files: MemoryFiles) -> None:
        async with self._system(files) as system:
            await story.live(system)

    async def _check(self, story: Story, files: MemoryFiles) -> None:
        async with self._system(files) as system:
            await story.check(system)
            if not files.crashed:
                await check_replays(system)

    def _system(self, files: MemoryFiles) -> ActorSystem:
        return self._system_class(
            HOME, files=files, settings=self._settings, clock=VirtualClock(), seed=0, inline=True
        )
