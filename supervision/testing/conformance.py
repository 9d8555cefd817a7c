"""Conformance of a persistent actor: what must be true of any of them, whatever it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from understudy.protocols.errors import OutcomeUnknown, Refused
from understudy.supervision.journaled import JournaledCell
from understudy.supervision.persistent import PersistentActor
from understudy.supervision.testing.checks import CheckedSystem
from understudy.supervision.testing.crashes import Crashed, crash_everywhere
from understudy.supervision.testing.lines import read_lines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from understudy.protocols import Event, Message
    from understudy.supervision.system import ActorSystem
    from understudy.supervision.testing.files import MemoryFiles

    Start = Callable[[ActorSystem], Awaitable[object]]


def assert_conforms(
    actor: type[PersistentActor[Any]] | Start,
    messages: Sequence[Message[Any]],
    *,
    name: str = "actor",
    every: int = 1,
) -> Crashed:
    """Check of a persistent actor what has to be true of each.

    It is asked `messages`, each with a key, and crashed at every operation on its disk. After each
    recovery the same messages with the same keys get the same answers; only events have changed the
    state; the state in memory is what a replay gives; events and the state read back as they were written.

    Args:
        actor: its class; or, for one that needs arguments or other actors, what starts them all in a system.
        messages: to ask it, in order. Refusals are answers; messages whose answer is a reading of what
            happens meanwhile (the time, what others do) can't be asked again and don't belong here.
        name: of the actor that is asked.
        every: crash at each so many-th operation only.

    Raises:
        AssertionError: something does not hold; a note names the operation.
    """

    def make() -> _Conversation:
        return _Conversation(actor, messages, name)

    return crash_everywhere(make, survivors=(None, 1), every=every, system=CheckedSystem)


class _Conversation:
    """A story: everything is asked, and asked again."""

    def __init__(
        self, actor: type[PersistentActor[Any]] | Start, messages: Sequence[Message[Any]], name: str
    ) -> None:
        self._actor = actor
        self._messages = messages
        self._name = name
        self._answers: dict[int, object] = {}

    async def live(self, system: ActorSystem) -> None:
        """Ask everything."""
        await self._start(system)
        for number in range(len(self._messages)):
            await self._ask(system, number)

    async def check(self, system: ActorSystem) -> None:
        """Ask everything again: what has an answer gets it again."""
        await self.live(system)
        files = cast("MemoryFiles", system.home.files) if system.home is not None else None
        cell = system.cell(self._name)
        assert files is not None
        assert isinstance(cell, JournaledCell)
        await cell.journal.settled()
        lines = read_lines(files, system.home.path) if system.home is not None else {}
        kinds = cast("dict[type[Event], Any]", cell.actor._events)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        named = {kind.kind: kind for kind in kinds}
        for kind, data in lines[self._name].events() if self._name in lines else ():
            event = named[kind].model_validate(data, strict=False)
            again = named[kind].model_validate_json(event.model_dump_json())
            assert again == event, (
                f"{kind}: expected an event that reads back as it was written, got {again!r}"
            )

    async def _start(self, system: ActorSystem) -> None:
        if isinstance(self._actor, type):
            await system.spawn(self._actor, name=self._name)
        else:
            await self._actor(system)

    async def _ask(self, system: ActorSystem, number: int) -> None:
        try:
            answer: object = await system.get(self._name).ask_async(
                self._messages[number], key=f"conformance-{number}", timeout_s=60
            )
        except Refused as refusal:
            answer = f"refused: {refusal}"
        except OutcomeUnknown:
            return
        known = self._answers.setdefault(number, answer)
        kind = type(self._messages[number]).__name__
        assert known == answer, (
            f"{kind}: expected the same answer for the same key, {known!r}, got {answer!r}"
        )
