"""A world that lives for hours of virtual time on a disk and a clock that fail it, and what must hold.

    Simulation(MyWorld, seed=1, hours=5).run()

One seed decides everything: what the world does and when, which fault strikes when, and the order of
tasks. So a seed that finds a defect finds it again.
"""

from __future__ import annotations

import errno
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Protocol

import trio

from understudy.protocols.errors import UnderstudyError
from understudy.protocols.lifecycle import JournalTrimmed
from understudy.supervision.settings import Settings
from understudy.supervision.system import ActorSystem
from understudy.supervision.testing.checks import check_replays
from understudy.supervision.testing.clock import EPOCH_S, VirtualClock
from understudy.supervision.testing.files import MemoryFiles
from understudy.supervision.testing.line_checks import check_lines
from understudy.supervision.testing.lines import History
from understudy.supervision.testing.simulated import run_simulated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from understudy.protocols.lifecycle import LifecycleEvent
    from understudy.supervision.testing.lines import Lines

HOME = Path("/home")
SETTLED_WITHIN_S = 7 * 86_400.0
"""Virtual seconds without faults after which everything has to be over at the end."""
LARGE = Settings(snapshot_bytes=20_000, segment_bytes=100_000)
"""Small snapshots and segments, of which none goes."""
SMALL = Settings(snapshot_bytes=4000, segment_bytes=8192, keep_bytes=40_000)
"""Journals that are trimmed all the time."""
_LIFE_S = 900.0
_STARTING_S = 3600.0


class World(Protocol):
    """What lives: made once for a simulation, with the chance that it must take all its choices from."""

    async def start(self, system: ActorSystem) -> None:
        """Start the actors on whatever is in the home. The disk may fail meanwhile."""
        ...

    async def live(self, system: ActorSystem) -> None:
        """Have things happen until it is cancelled: on a disk that fails, in a system that may be dead."""
        ...

    async def settle(self, system: ActorSystem) -> None:
        """No more faults: ask again what was not answered, and wait until nothing is under way."""
        ...

    def check(self, journals: dict[str, Lines], *, settled: bool) -> None:
        """Assert what has to be true of the journals, after a recovery and (`settled`) at the end.

        They have all turns that there ever were, those that retention has removed too.
        """
        ...


@dataclass
class Tally:
    """What happened in a simulation, counted: a run in which nothing failed proves little."""

    happened: Counter[str] = field(default_factory=Counter[str])
    turns: int = 0

    def __str__(self) -> str:
        parts = ", ".join(f"{count} {name}" for name, count in sorted(self.happened.items()))
        return f"{self.turns} durable turns; {parts}"


class Simulation:
    """One run.

    Args:
        world: makes the world.
        seed: of everything.
        hours: of virtual time, before the end in which everything has to come to rest.
        files: makes the disk.
        settings: of the systems; by default `LARGE` or `SMALL`, as the seed says.
        epoch_s: the wall time at which it begins; by default at any hour of 2026, as the seed says.

    Attributes:
        disk: what the journals are on; to be looked at after a failure (`disk.export`).
        tally: what has happened so far.
    """

    def __init__(
        self,
        world: Callable[[Random], World],
        *,
        seed: int,
        hours: float,
        files: Callable[[], MemoryFiles] = MemoryFiles,
        settings: Settings | None = None,
        epoch_s: float | None = None,
    ) -> None:
        self._seed = seed
        self._hours = hours
        self._chance = Random(f"faults {seed}")
        self._world = world(Random(f"world {seed}"))
        frame = Random(f"frame {seed}")
        hour = EPOCH_S + 3600.0 * frame.randrange(365 * 24)
        self._epoch_s = hour if epoch_s is None else epoch_s
        self._settings = settings or frame.choice((LARGE, SMALL))
        self._told: dict[str, dict[int, bytes]] = {}
        self._history = History()
        self.disk = files()
        self.tally = Tally()

    def run(self) -> Tally:
        """Live, and come to rest.

        Raises:
            AssertionError: something that must hold does not; a note has the seed.
        """
        try:
            run_simulated(self._run, seed=self._seed, within_s=self._hours * 3600 + 3 * SETTLED_WITHIN_S)
        except BaseException as error:
            error.add_note(f"seed {self._seed}, {self._hours} hours; so far: {self.tally}")
            raise
        return self.tally

    async def _run(self) -> None:
        clock = VirtualClock(self._epoch_s)
        while trio.current_time() < self._hours * 3600:
            await self._one_life(clock)
        self.disk.heal()
        async with self._system(clock) as system:
            system.subscribe_journals(self._heard)
            await self._start(system)
            with trio.fail_after(SETTLED_WITHIN_S):
                await self._world.settle(system)
            self._check(settled=True)
            await check_replays(system)

    def _system(self, clock: VirtualClock) -> ActorSystem:
        return ActorSystem(
            HOME,
            files=self.disk,
            clock=clock,
            seed=self._chance.getrandbits(32),
            settings=self._settings,
            inline=True,
        )

    # -- a life, from a start to a crash or an orderly end

    async def _one_life(self, clock: VirtualClock) -> None:
        ending = self._chance.choice(("power", "power", "kill", "stop"))
        if self._chance.random() < 0.3:  # noqa: PLR2004 - in the middle of the recovery
            self._crash_soon(60)
        try:
            async with self._system(clock) as system:
                system.subscribe_journals(self._heard)
                system.subscribe(self._happened)
                if await self._survived(self._start(system)):
                    await self._live(system, clock, ending)
        except* (OSError, UnderstudyError):
            if not self.disk.crashed:
                raise
        self._end(ending)

    async def _survived(self, start: Awaitable[None]) -> bool:
        """Whether the start was one; the disk may have failed it."""
        try:
            await start
        except (OSError, UnderstudyError):
            if not self.disk.crashed:
                raise
            return False
        return not self.disk.crashed

    async def _start(self, system: ActorSystem) -> None:
        with trio.fail_after(_STARTING_S):
            await self._world.start(system)
        if not self.disk.crashed:
            self._check(settled=False)

    async def _live(self, system: ActorSystem, clock: VirtualClock, ending: str) -> None:
        with trio.move_on_after(self._chance.expovariate(1 / _LIFE_S)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._world.live, system)
                nursery.start_soon(self._trouble, system, clock)
        if ending == "power":
            # The last work is in the air when the power goes, some operations later.
            self._crash_soon(40)
            with trio.move_on_after(_LIFE_S):
                await self._world.live(system)
        if ending != "stop":
            self.disk.crashed = True

    def _crash_soon(self, operations: int) -> None:
        self.disk.crash_at(len(self.disk.operations) + self._chance.randint(1, operations))

    def _end(self, ending: str) -> None:
        struck = self.disk.crashed
        if struck and ending != "kill":
            self.disk.power_failure(self._chance if self._chance.random() < 0.7 else None)  # noqa: PLR2004
        self.disk.restart()
        self.disk.heal()
        self.tally.happened[{"stop": "orderly stops", "kill": "kills"}.get(ending, "power failures")] += 1

    async def _trouble(self, system: ActorSystem, clock: VirtualClock) -> None:
        """Faults that a running system has to live with."""
        chance = self._chance
        while True:
            await trio.sleep(chance.expovariate(1 / 300.0))
            kind = chance.choice(("fdatasync", "write", "full", "clock", "actor"))
            self.tally.happened[f"{kind} faults"] += 1
            if kind in ("fdatasync", "write"):
                self.disk.fail(
                    kind, error=chance.choice((errno.EIO, errno.ENOSPC)), after=chance.randrange(5)
                )
            elif kind == "full":
                self.disk.space_bytes = chance.randrange(2000)
            elif kind == "clock":
                clock.jump(chance.choice((-7200, -60, 60, 7200)) * chance.random())
            else:
                self._fail_an_actor(system)
            await trio.sleep(chance.expovariate(1 / 60.0))
            self.disk.heal()
            await self._resume_all(system)

    def _fail_an_actor(self, system: ActorSystem) -> None:
        able = [cell for cell in system.cells() if cell.persistent and cell.phase == "running"]
        if able:
            cell = self._chance.choice(able)
            cell.signal(lambda: cell.fail(RuntimeError("a simulated defect"), "simulation"))

    async def _resume_all(self, system: ActorSystem) -> None:
        for halt in system.status().halted:
            try:
                await system.resume(halt.actor)
                self.tally.happened["resumes"] += 1
            except (OSError, UnderstudyError):
                if not self.disk.crashed:
                    raise

    # -- what must hold of any world

    def _heard(self, name: str, seq: int, lines: bytes) -> None:
        """These lines are durable: whoever waited for them is told now."""
        told = self._told.setdefault(name, {})
        whole = lines.splitlines(keepends=True)
        for number, line in enumerate(whole, seq - len(whole) + 1):
            told[number] = line
            self._history.durable(name, number, line)
            self.tally.turns += 1

    def _happened(self, event: LifecycleEvent) -> None:
        if isinstance(event, JournalTrimmed):
            self.tally.happened["trims"] += 1

    def _check(self, *, settled: bool) -> None:
        there = self._history.found(self.disk, HOME)
        for name, told in self._told.items():
            lines = there[name].raw if name in there else {}
            first = min(lines, default=0)
            for seq, line in told.items():
                if seq >= first:
                    assert lines.get(seq) == line, f"{name}: the turn {seq} was durable, and is lost"
        journals = self._history.journals
        check_lines(journals)
        self._world.check(journals, settled=settled)
