"""`PersistentActor`: state that is changed by events only, journaled one line a turn."""

from __future__ import annotations

import typing
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from understudy.protocols.fidelity import is_certain
from understudy.supervision.actor import Actor
from understudy.supervision.records import Records
from understudy.supervision.state_json import check_equal, check_numbers
from understudy.supervision.turns import PersistentCell

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.protocols import Event, Message
    from understudy.supervision.cell import Cell
    from understudy.supervision.guardian import Parent
    from understudy.supervision.reference import ActorRef
    from understudy.supervision.system import ActorSystem

S = TypeVar("S", bound=BaseModel)


class EventHandler(NamedTuple):
    """How an event is written, and the method that applies it."""

    head: bytes
    encode: Callable[[Any], bytes]
    apply: Callable[[Any, Any], None]
    read: Callable[[bytes], Any] | None
    """Decodes it, to compare; None where the class alone says that each event comes back equal."""


class PersistentActor(Actor, Generic[S]):
    """An actor whose state survives. `class Account(PersistentActor[AccountState])`.

    Handling one message is a turn: its events, sends, reply and consumption are one journal line,
    and nothing of it leaves before the line is durable (rules T1, T4). A method whose parameter is
    an `Event` applies it and is the only code that changes `self.state`; it runs at `emit` and at
    recovery. It must not do anything else.

    A handler that fails before its first `emit` changed nothing. One that fails later is discarded:
    the actor is recovered from its journal (rule T3).
    """

    state_version: ClassVar[int] = 1
    """Of the state's schema: raise it when snapshots of the old one no longer fit, or mean something else."""

    state: S

    _events: ClassVar[dict[type, EventHandler]] = {}
    _state_type: ClassVar[type[BaseModel]]
    _records: ClassVar[Records]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for base in getattr(cls, "__orig_bases__", ()):
            origin = typing.get_origin(base)
            if isinstance(origin, type) and issubclass(origin, PersistentActor):
                state = typing.get_args(base)[0]
                if isinstance(state, type):
                    cls._state_type = state
        super().__init_subclass__(**kwargs)

    @classmethod
    def _found_events(cls, events: dict[type[Event], Callable[[Any, Any], None]]) -> None:
        cls._events = {
            kind: EventHandler(
                b'{"type":"%b","v":%d,"data":' % (kind.kind.encode(), kind.version),
                kind.__pydantic_serializer__.to_json,
                apply,
                None if is_certain(kind) else kind.model_validate_json,
            )
            for kind, apply in events.items()
        }
        if hasattr(cls, "_state_type"):
            cls._records = Records(cls, tuple(events), cls._state_type)

    @classmethod
    def _make_cell(
        cls, system: ActorSystem, name: str, arguments: dict[str, Any], parent: Parent | None
    ) -> Cell:
        if not hasattr(cls, "_state_type"):
            msg = f"expected class {cls.__name__}(PersistentActor[SomeState]), got no type of state"
            raise TypeError(msg)
        return PersistentCell(system, cls, name, arguments, parent)

    def initial_state(self) -> S:
        """The state before the first event."""
        return typing.cast("S", self._state_type())

    @classmethod
    def upcast_state(cls, version: int, data: dict[str, Any]) -> dict[str, Any] | None:
        """Make the state in a snapshot of `version` what `version + 1` would have written (JR-6).

        Called for each step up to `state_version`. None (as it is here): the snapshot is passed over and
        the lines are replayed, which needs all of them: nothing is trimmed before a new one is there.
        """
        del version, data

    @property
    def turn_time(self) -> float:
        """When the turn happened whose event is applied, in seconds since the epoch.

        It is the time in the turn's line, so that a replay sees the same: for methods that apply events,
        which must not ask the clock.
        """
        return typing.cast("PersistentCell", self._cell).turn_us / 1e6

    def compact(self) -> None:
        """Have a snapshot taken with this turn, so that what led here need not be kept (JR-5).

        It is published when the turn is durable, and a failure of it is logged and harmless.

        Raises:
            TurnOver: outside of the live turn.
        """
        self._live_cell("compact").compacting = True

    def then_run(self, call: Callable[[], object]) -> None:
        """Have `call` run on the loop when this turn is durable, and never when it is discarded (rule T4).

        At most once: a crash in between takes it away, so what has to happen is to be seen in the state,
        for `on_start` to see to it. It must be short, and not raise: an error in it fails the actor.
        Source: `thenRun` of Pekko's persistent behaviors.

        Raises:
            TurnOver: outside of the live turn.
        """
        self._live_cell("then_run").effect(call)

    def emit(self, event: Event) -> None:
        """Record a fact of this turn and apply it now; it is durable when the turn's reply leaves.

        Raises:
            TurnOver: outside of the live turn (rule T3).
            TypeError: the class has no method for this event.
            NotEncodable: it would not come back from the journal as it is, such as a time in a zone with
                rules, or an integer of more than 4,300 digits; the turn goes on without the event.
        """
        cell: PersistentCell = self._cell  # pyright: ignore[reportAssignmentType] - cast() is a call
        if not cell.live or self is not cell.actor or get_ident() != cell.scheduler.ident:
            raise cell.turn_over("emit")
        handler = self._events.get(type(event))
        if handler is None:
            kind = type(event).__name__
            msg = (
                f"expected an event that {type(self).__name__} has a method for, got {kind}: "
                f"add one with the parameter `event: {kind}` that changes the state"
            )
            raise TypeError(msg)
        head, encode, apply, read = handler
        data = encode(event)
        check_numbers(data, type(event).__name__, type(event).model_validate_json)
        if read is not None:
            check_equal(event, data, type(event).__name__, read)
        if not cell.events:
            cell.turn_us = int(cell.system.clock.time() * 1e6)
        cell.events.append(b"%b%b}" % (head, data))
        apply(self, event)

    def send(self, to: ActorRef[Any] | str, message: Message[Any]) -> None:
        """Send with the turn: the message leaves when the line is durable.

        It changes a persistent receiver's state exactly once, whatever crashes (JR-4); another
        receiver gets it at most once.

        Raises:
            TurnOver: outside of the live turn.
            UnknownActor: neither running nor in the home.
            UnknownMessage: the receiver does not handle it.
            OutboxFull: the receiver is too far behind (rule D2).
        """
        typing.cast("PersistentCell", self._cell).send(self, to, message)

    def _live_cell(self, what: str) -> PersistentCell:
        cell = typing.cast("PersistentCell", self._cell)
        if not cell.live or self is not cell.actor or get_ident() != cell.scheduler.ident:
            raise cell.turn_over(what)
        return cell
