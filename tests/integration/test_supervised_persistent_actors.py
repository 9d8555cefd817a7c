"""Supervisors over persistent actors: what is a failure, what is an outage, what is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from understudy import (
    ActorSystem,
    Backoff,
    ChildSpec,
    Event,
    JournalDamaged,
    Message,
    PersistentActor,
    Strategy,
    Supervisor,
)
from understudy.protocols.lifecycle import ActorBlocked, ActorFailed, ActorHalted, ActorStarted, Terminated
from understudy.supervision.testing.probe import Recorder
from understudy.supervision.turns import PersistentCell

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.req("RT-6")

SOON = Backoff(initial_s=0.001, cap_s=0.01)


class Count(Message[int]):
    """Count one more."""


class Break(Message[None]):
    """Fail in a background task."""


class Counted(Event):
    """One more was counted."""


class CounterState(BaseModel):
    """How many there are."""

    total: int = 0


class Counter(PersistentActor[CounterState]):
    """Counts; connects to something outside when it starts."""

    def __init__(self, *, refusals: list[int]) -> None:
        super().__init__()
        self._refusals = refusals

    def on_start(self) -> None:
        """Connect, as often as it is refused."""
        if self._refusals[0]:
            self._refusals[0] -= 1
            msg = "the engine does not listen"
            raise ConnectionRefusedError(msg)

    def count(self, message: Count) -> int:
        """See `Count`."""
        del message
        self.emit(Counted())
        return self.state.total

    def counted(self, event: Counted) -> None:
        """One more."""
        del event
        self.state.total += 1

    def break_(self, message: Break) -> None:
        """See `Break`."""
        del message
        self.start_task(self._fail)

    async def _fail(self) -> None:
        msg = "broken"
        raise ValueError(msg)


def counter(name: str, refusals: int = 0) -> ChildSpec:
    """The spec of a `Counter` that is refused so often, and knows that for an outage."""
    return ChildSpec(
        name=name,
        actor=Counter,
        arguments={"refusals": [refusals]},
        backoff=SOON,
        outages=(ConnectionError,),
    )


async def test_a_refused_connection_is_an_outage_and_no_halt(tmp_path: Path) -> None:
    """An `OSError` of the actor's own start says nothing about its journal."""
    async with ActorSystem(tmp_path) as system:
        recorder = Recorder()
        system.lifecycle.subscribe(recorder.record)
        await system.spawn(Supervisor, name="sup", intensity=0, children=[counter("a", 5), counter("b")])
        assert await system.get("b").ask_async(Count(), timeout_s=5) == 1
        await recorder.wait_for(ActorStarted, actor="a")
        assert await system.get("a").ask_async(Count(), timeout_s=5) == 1
        assert len(recorder.all_of(ActorFailed)) == 5
        assert recorder.all_of(ActorHalted) == []


async def test_a_restart_of_all_keeps_state_and_messages(tmp_path: Path) -> None:
    """Siblings are recovered from their journals, under the same references."""
    async with ActorSystem(tmp_path) as system:
        recorder = Recorder()
        system.lifecycle.subscribe(recorder.record)
        await system.spawn(
            Supervisor, name="sup", strategy=Strategy.ONE_FOR_ALL, children=[counter("a"), counter("b")]
        )
        a, b = system.get("a"), system.get("b")
        assert await a.ask_async(Count(), timeout_s=5) == 1
        assert await b.ask_async(Count(), timeout_s=5) == 1
        b.tell(Break())
        a.tell(Count())
        await recorder.wait_for(ActorStarted, actor="b", incarnation=2)
        assert await a.ask_async(Count(), timeout_s=5) == 3
        assert await b.ask_async(Count(), timeout_s=5) == 2


async def test_a_damaged_journal_is_left_alone_and_does_not_count(tmp_path: Path) -> None:
    """Rule J4: the actor is blocked, not restarted into escalation; its siblings start."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Supervisor, name="sup", children=[counter("a"), counter("b")])
        for _ in range(3):
            await system.get("a").ask_async(Count(), timeout_s=5)
    journal = next((tmp_path / "state" / "journals" / "a").glob("*.jsonl"))
    data = bytearray(journal.read_bytes())
    data[10] ^= 1
    journal.write_bytes(data)
    async with ActorSystem(tmp_path) as system:
        recorder = Recorder()
        system.lifecycle.subscribe(recorder.record)
        await system.spawn(Supervisor, name="sup", intensity=0, children=[counter("a"), counter("b")])
        assert await system.get("b").ask_async(Count(), timeout_s=5) == 1
        phases = {each.name: each.phase for each in system.status().actors}
        assert phases == {"sup": "running", "a": "blocked", "b": "running"}
        assert recorder.all_of(ActorFailed) == []
        assert len(recorder.all_of(ActorBlocked)) == 1


async def test_a_halted_sibling_is_left_alone_by_a_restart_of_all(tmp_path: Path) -> None:
    """Rule J5: it waits for a person, who can resume it afterwards."""
    async with ActorSystem(tmp_path) as system:
        recorder = Recorder()
        system.lifecycle.subscribe(recorder.record)
        await system.spawn(
            Supervisor, name="sup", strategy=Strategy.ONE_FOR_ALL, children=[counter("a"), counter("b")]
        )
        await system.get("a").ask_async(Count(), timeout_s=5)
        halted = system.cell("a")
        assert isinstance(halted, PersistentCell)
        halted._write_failed(OSError(28, "No space left on device"))  # pyright: ignore[reportPrivateUsage]
        lived = halted.actor
        system.get("b").tell(Break())
        await recorder.wait_for(ActorStarted, actor="b", incarnation=2)
        assert (halted.phase, halted.lives, halted.actor is lived) == ("halted", True, True)
        await system.resume("a")
        assert await system.get("a").ask_async(Count(), timeout_s=5) == 2


async def test_a_blocked_child_started_by_hand_stays_to_be_looked_at(tmp_path: Path) -> None:
    """The caller learns of the damage, and the status goes on to show it."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Counter, name="a", refusals=[0])
        await system.get("a").ask_async(Count(), timeout_s=5)
        await system.get("a").ask_async(Count(), timeout_s=5)
    journal = next((tmp_path / "state" / "journals" / "a").glob("*.jsonl"))
    data = bytearray(journal.read_bytes())
    data[10] ^= 1
    journal.write_bytes(data)
    async with ActorSystem(tmp_path) as system:
        supervisor = await system.spawn(Supervisor, name="sup")
        with pytest.raises(JournalDamaged):
            await supervisor.proxy().start_child(counter("a"))
        assert [(each.name, each.phase) for each in system.status().actors] == [
            ("sup", "running"),
            ("a", "blocked"),
        ]


class Watcher(PersistentActor[CounterState]):
    """Counts the ends of what it watches."""

    def on_start(self) -> None:
        """Watch; again after a restart, which is one watch all the same."""
        self.watch("a")

    def ended(self, message: Terminated) -> None:
        """One more has ended."""
        del message
        self.emit(Counted())

    def counted(self, event: Counted) -> None:
        """One more."""
        del event
        self.state.total += 1

    def count(self, message: Count) -> int:
        """How many have ended."""
        del message
        return self.state.total


async def test_a_persistent_actor_watches_too(tmp_path: Path) -> None:
    """`Terminated` is a message like others: a turn that may emit."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Supervisor, name="sup", children=[counter("a")])
        watcher = await system.spawn(Watcher, name="w")
        await system.stop("a")
        assert await watcher.ask_async(Count(), timeout_s=5) == 1
