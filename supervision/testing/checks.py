"""Checks that state is changed by events only, and that a replay gives what is in memory."""

from __future__ import annotations

import json
from functools import wraps
from typing import TYPE_CHECKING, Any, Self, cast

from understudy.supervision.handlers import Handler
from understudy.supervision.journaled import JournaledCell
from understudy.supervision.system import ActorSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from pydantic import BaseModel

    from understudy.protocols import Event
    from understudy.supervision.actor import Actor
    from understudy.supervision.cell import Cell
    from understudy.supervision.guardian import Parent
    from understudy.supervision.persistent import EventHandler, PersistentActor
    from understudy.supervision.turns import PersistentCell


class StateChangedWithoutEvent(AssertionError):
    """`self.state` was changed by other code than the method that applies an event.

    After a restart the change would be gone: a replay gives what the events say.

    Attributes:
        actor: the actor's name.
        handler: the handler in whose turn it happened, such as "Account.deposit"; "between turns" when
            a timer, a background task or `on_start` did it.
        fields: the fields of the state that differ from what the events say.
    """

    def __init__(self, actor: str, handler: str, fields: tuple[str, ...]) -> None:
        named = ", ".join(f"state.{name}" for name in fields)
        super().__init__(
            f"{actor}: expected events to be all that changes the state, got {named} changed in {handler} "
            "without one: emit an event, and change the state in the method that applies it, "
            "by what state, event and turn_time say and nothing else"
        )
        self.actor = actor
        self.handler = handler
        self.fields = fields


class CheckedSystem(ActorSystem):
    """An `ActorSystem` for tests that looks after each turn whether only events have changed the state.

    The handler in which something else did fails with `StateChangedWithoutEvent`, and so does the end of
    the block, whoever swallowed the first. Each turn copies the whole state: for tests with small ones.

    Attributes:
        changes: what was found.
    """

    changes: list[StateChangedWithoutEvent]

    def make_cell(
        self, actor_class: type[Actor], name: str | None, arguments: Mapping[str, Any], parent: Parent | None
    ) -> Cell:
        """As `ActorSystem.make_cell`; the cell's handlers are watched."""
        cell = super().make_cell(actor_class, name, arguments, parent)
        if isinstance(cell, JournaledCell):
            watch = _Watch(cast("PersistentCell", cell), self.changes.append)
            cell.handlers = {kind: watch.over(handler) for kind, handler in cell.handlers.items()}
        return cell

    async def __aenter__(self) -> Self:
        self.changes = []
        return await super().__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        result = await super().__aexit__(kind, error, traceback)
        if error is None and self.changes:
            raise self.changes[0]
        return result


class _Watch:
    """Over the turns of one cell."""

    def __init__(self, cell: PersistentCell, found: Callable[[StateChangedWithoutEvent], None]) -> None:
        self._cell = cell
        self._found = found
        self._left: tuple[int, Any] | None = None  # the incarnation, and the state as its last turn left it

    def over(self, handler: Handler) -> Handler:
        """The handler, with a look before and after."""
        function = handler.function
        if handler.is_async:

            @wraps(function)
            async def handle_async(actor: PersistentActor[Any], message: Any) -> Any:
                before = self._before(actor)
                try:
                    return await function(actor, message)
                finally:
                    self._after(actor, before, function.__qualname__)

            return Handler(handle_async, is_async=True)

        @wraps(function)
        def handle(actor: PersistentActor[Any], message: Any) -> Any:
            before = self._before(actor)
            try:
                return function(actor, message)
            finally:
                self._after(actor, before, function.__qualname__)

        return Handler(handle, is_async=False)

    def _before(self, actor: PersistentActor[Any]) -> Any:
        now = _copy(actor, actor.state)
        if self._left is not None and self._left[0] == self._cell.incarnation:
            self._compare(actor, self._left[1], now, "between turns")
        return now

    def _after(self, actor: PersistentActor[Any], before: Any, handler: str) -> None:
        """What the turn's events make of the state before it is what the state has to be."""
        shadow: Any = object.__new__(type(actor))
        shadow.__dict__.update(vars(actor))
        shadow.state = before
        events = cast("dict[type[Event], EventHandler]", actor._events)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        kinds = {kind.kind: kind for kind in events}
        for data in self._cell.events:
            record = json.loads(data)
            kind = kinds[record["type"]]
            events[kind].apply(shadow, kind.model_validate_json(json.dumps(record["data"])))
        now = _copy(actor, actor.state)
        self._left = (self._cell.incarnation, now)
        self._compare(actor, shadow.state, now, handler)

    def _compare(self, actor: PersistentActor[Any], expected: Any, got: Any, handler: str) -> None:
        if fields := differing_fields(expected, got):
            change = StateChangedWithoutEvent(actor.name, handler, fields)
            self._found(change)
            raise change


def _copy(actor: PersistentActor[Any], state: Any) -> Any:
    """What a snapshot of the state would be read as."""
    records = actor._records  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    return records.state.validate_json(records.write_state(state))


def differing_fields(expected: BaseModel, got: BaseModel) -> tuple[str, ...]:
    """The names of the fields in which two states differ."""
    return tuple(name for name, value in vars(expected).items() if value != vars(got).get(name))


async def check_replays(system: ActorSystem) -> None:
    """Compare what each running persistent actor has in memory with what its journal says.

    Call it when the actors are at rest: what is not durable yet is waited for.

    Raises:
        AssertionError: the state of one differs; names the fields and both values.
    """
    for cell in system.cells():
        if not isinstance(cell, JournaledCell) or not cell.recovered or cell.problem is not None:
            continue
        await cell.journal.settled()
        actor = cell.actor
        seq = cell.seq
        replayed = await system.state_at(cell.name, seq)
        if cell.seq != seq or cell.actor is not actor:
            continue  # it went on meanwhile
        memory = _copy(actor, actor.state)
        for name in differing_fields(replayed, memory):
            msg = (
                f"{cell}: expected state.{name} to be what the journal says up to seq {seq}, "
                f"{getattr(replayed, name)!r}, got {getattr(memory, name)!r}"
            )
            raise AssertionError(msg)
