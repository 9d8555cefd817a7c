"""Actors for the supervision tests, and what they leave behind."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import trio

from understudy.protocols import Message
from understudy.supervision.actor import Actor
from understudy.supervision.backoff import Backoff
from understudy.supervision.child_spec import ChildSpec
from understudy.supervision.strategy import Restart
from understudy.supervision.supervisor import Supervisor
from understudy.supervision.system import ActorSystem
from understudy.supervision.testing.clock import VirtualClock
from understudy.supervision.testing.probe import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

AT_ONCE = Backoff(initial_s=0)


class Crash(Message[None]):
    """Fail with a `ValueError`."""


class CrashLater(Message[None]):
    """Fail with a `ValueError` after a second."""


class Lose(Message[None]):
    """Fail with an `Outage`."""


class Quit(Message[None]):
    """Stop by yourself."""


class Note(Message[int]):
    """Write something down; the reply is the number of the incarnation that did."""

    text: str


class Hang(Message[None]):
    """Wait for ever in the turn."""


class Outage(Exception):
    """Something outside is away."""


@dataclass
class World:
    """What parts do and see, across their incarnations.

    Attributes:
        log: `start NAME`, `stop NAME` and notes, in order.
        bad_starts: how many of the next starts of a part fail, by name.
        outage_starts: the same with an outage.
        hanging: names of parts whose `on_stop` never ends.
        slow_start_s: how long a part's start takes, by name.
    """

    log: list[str] = field(default_factory=list[str])
    bad_starts: Counter[str] = field(default_factory=Counter[str])
    outage_starts: Counter[str] = field(default_factory=Counter[str])
    hanging: set[str] = field(default_factory=set[str])
    slow_start_s: dict[str, float] = field(default_factory=dict[str, float])


class Part(Actor):
    """Something that can fail in every way."""

    def __init__(self, *, world: World) -> None:
        super().__init__()
        self._world = world

    async def on_start(self) -> None:
        """Start, slowly or badly if the world says so."""
        await trio.sleep(self._world.slow_start_s.get(self.name, 0))
        if self._world.outage_starts[self.name]:
            self._world.outage_starts[self.name] -= 1
            msg = "the engine is away"
            raise Outage(msg)
        if self._world.bad_starts[self.name]:
            self._world.bad_starts[self.name] -= 1
            self._world.log.append(f"bad start {self.name}")
            msg = "a bad start"
            raise ValueError(msg)
        self._world.log.append(f"start {self.name}")

    async def on_stop(self) -> None:
        """Stop, or hang."""
        self._world.log.append(f"stop {self.name}")
        if self.name in self._world.hanging:
            await trio.sleep_forever()

    def crash(self, message: Crash) -> None:
        """See `Crash`."""
        del message
        msg = "told to crash"
        raise ValueError(msg)

    async def crash_later(self, message: CrashLater) -> None:
        """See `CrashLater`."""
        del message
        await trio.sleep(1)
        msg = "told to crash"
        raise ValueError(msg)

    def lose(self, message: Lose) -> None:
        """See `Lose`."""
        del message
        msg = "the engine is away"
        raise Outage(msg)

    def quit(self, message: Quit) -> None:
        """See `Quit`."""
        del message
        self.stop()

    def note(self, message: Note) -> int:
        """See `Note`."""
        self._world.log.append(f"{self.name}: {message.text}")
        return self._cell.incarnation

    async def hang(self, message: Hang) -> None:
        """See `Hang`."""
        del message
        await trio.sleep_forever()


def part(
    name: str,
    world: World,
    *,
    restart: Restart = Restart.PERMANENT,
    backoff: Backoff = AT_ONCE,
    stop_timeout_s: float | None = None,
) -> ChildSpec:
    """The spec of a `Part` that is restarted without a wait and knows `Outage`."""
    return ChildSpec(
        name=name,
        actor=Part,
        arguments={"world": world},
        restart=restart,
        backoff=backoff,
        stop_timeout_s=stop_timeout_s,
        outages=(Outage,),
    )


@asynccontextmanager
async def stage(seed: int = 1) -> AsyncGenerator[tuple[ActorSystem, World, Recorder]]:
    """A system on the virtual clock, a world, and a recorder of the system's lifecycle events."""
    async with ActorSystem(clock=VirtualClock(), inline=True, seed=seed) as system:
        recorder = Recorder()
        system.lifecycle.subscribe(recorder.record)
        yield system, World(), recorder


def supervisor(system: ActorSystem, name: str = "sup") -> Supervisor:
    """The supervisor of that name, for calls inside the loop."""
    return cast("Supervisor", system.cell(name).actor)


def status(system: ActorSystem, name: str) -> Any:
    """One actor's status, or None when it is gone."""
    return next((each for each in system.status().actors if each.name == name), None)
