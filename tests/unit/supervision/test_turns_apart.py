from __future__ import annotations

from pathlib import Path

import pytest
import trio
from pydantic import BaseModel

from understudy import Actor, ActorSystem, Event, Message, PersistentActor


class Note(Message[int]):
    """Write something down; nothing else leaves."""


class Act(Message[None]):
    """Tell the other one, and begin a task."""


class Noted(Event):
    pass


class Count(BaseModel):
    notes: int = 0


class Busy(PersistentActor[Count]):
    def __init__(self, begun: list[str]) -> None:
        super().__init__()
        self._begun = begun

    def note(self, _message: Note) -> int:
        self.emit(Noted())
        return self.state.notes

    def act(self, _message: Act) -> None:
        self.emit(Noted())
        self.send("other", Act())
        self.start_task(self._work)

    def noted(self, _event: Noted) -> None:
        self.state.notes += 1

    async def _work(self) -> None:
        self._begun.append("task")


class Other(Actor):
    def __init__(self, begun: list[str]) -> None:
        super().__init__()
        self._begun = begun

    def act(self, _message: Act) -> None:
        self._begun.append("send")


@pytest.mark.rule("T4")
async def test_what_a_turn_sends_leaves_once_also_behind_a_turn_that_only_replies(tmp_path: Path) -> None:
    """Both turns wait for the disk together; the first one has nothing to do with the second's."""
    begun: list[str] = []
    with trio.fail_after(5):
        async with ActorSystem(tmp_path) as system:
            await system.spawn(Other, name="other", begun=begun)
            busy = await system.spawn(Busy, name="busy", begun=begun)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(busy.ask_async, Note())
                nursery.start_soon(busy.ask_async, Act())
            await busy.ask_async(Note())
    assert sorted(begun) == ["send", "task"]
