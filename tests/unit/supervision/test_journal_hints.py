"""What subscribers of the journals hear, and when."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import trio
from pydantic import BaseModel

from understudy import ActorSystem, Event, JournalDamaged, Message, PersistentActor
from understudy.supervision.files import Files
from understudy.supervision.turns import PersistentCell


class Add(Message[None]):
    """Count one more."""


class Added(Event):
    """One more."""


class Count(BaseModel):
    """How many."""

    total: int = 0


class Counter(PersistentActor[Count]):
    def add(self, message: Add) -> None:
        self.emit(Added())

    def added(self, event: Added) -> None:
        self.state.total += 1


class HeldFiles(Files):
    """Holds each sync of a journal's bytes until it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()

    def fdatasync(self, fd: int) -> None:
        self.reached.set()
        assert self.go.wait(5)
        super().fdatasync(fd)


@pytest.mark.req("PJ-2")
@pytest.mark.rule("P2")
async def test_who_subscribes_while_a_line_is_being_synced_hears_of_it(tmp_path: Path) -> None:
    """Rule P2: a line that is written before somebody subscribes, and durable after, is told."""
    files = HeldFiles()
    files.go.set()
    heard: list[int] = []
    with trio.fail_after(5):
        async with ActorSystem(tmp_path, files=files) as system:
            counter = await system.spawn(Counter, name="counter")
            files.reached.clear()
            files.go.clear()
            counter.tell(Add())
            await trio.to_thread.run_sync(files.reached.wait, 5)
            system.subscribe_journals(lambda name, seq, lines: heard.append(seq))
            files.go.set()
            await counter.ask_async(Add(), timeout_s=5)
    assert heard[0] == 1


@pytest.mark.req("PJ-2")
@pytest.mark.rule("P2")
async def test_lines_that_become_durable_after_the_actor_was_blocked_are_told(tmp_path: Path) -> None:
    """Else whoever waits for the read model to be level with the watermark waits in vain."""
    files = HeldFiles()
    files.go.set()
    heard: list[int] = []
    with trio.fail_after(5):
        async with ActorSystem(tmp_path, files=files) as system:
            counter = await system.spawn(Counter, name="counter")
            system.subscribe_journals(lambda name, seq, lines: heard.append(seq))
            files.reached.clear()
            files.go.clear()
            counter.tell(Add())
            await trio.to_thread.run_sync(files.reached.wait, 5)
            cell = system.cell("counter")
            assert isinstance(cell, PersistentCell)
            cell.block(JournalDamaged("a file", 1, 0, "a reason"))
            files.go.set()
            await cell.journal.settled()
            assert heard == [cell.watermark] == [1]
