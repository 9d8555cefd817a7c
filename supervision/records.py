"""The codecs of one actor class: its journal lines and its state, decoded and validated by pydantic."""

import json
import typing
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from understudy.protocols.base import described
from understudy.protocols.errors import NewerVersion, RecordNotUnderstood
from understudy.protocols.upcasting import by_name, upcast
from understudy.supervision.state_json import state_writer
from understudy.supervision.uncollected import uncollected

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.protocols import Event
    from understudy.supervision.persistent import PersistentActor


class Send(TypedDict):
    """A send in a line: receiver, number (0: at most once), the message's type, version (if not 1), data."""

    to: str
    n: int
    type: str
    v: typing.NotRequired[int]
    data: dict[str, Any]


class Refusal(TypedDict):
    """A refusal in a line."""

    code: str
    text: str


class Record(TypedDict):
    """An event in a line; `data` is the decoded event."""

    type: str
    v: int
    data: Any


class Snapshot(TypedDict):
    """The body of a snapshot (rule J6): state, numbers received, outbox, keys.

    `outbox`: receiver, incarnation, next number, and what waits as (n, seq, type, version, data, cause).
    `keys`: key, hash, time, the message's type, reply as JSON, refusal as (code, text).
    """

    version: int
    last: dict[str, int]
    outbox: list[tuple[str, int, int, list[tuple[int, int, str, int, dict[str, Any], str]]]]
    keys: list[tuple[str, str, int, str, str | None, tuple[str, str] | None]]
    state: Any


# What a replay reads of a line. The rest (cause, mark, crc) is passed over, which saves a fifth of the
# validation; the checksum covers it.
Line = TypedDict(
    "Line",
    {
        "seq": int,
        "ts": int,
        "from": str,
        "n": int,
        "inc": typing.NotRequired[int],
        "events": list[Record],
        "sends": list[Send],
        "kind": typing.NotRequired[str],
        "key": typing.NotRequired[str],
        "hash": typing.NotRequired[str],
        "reply": typing.NotRequired[Any],
        "refused": typing.NotRequired[Refusal],
    },
)


# Types that are known at run time only: made behind the type checker's back.
_make = cast("Callable[[str, dict[str, Any]], Any]", TypedDict)
_literal = cast("dict[str | int, Any]", Literal)


class Records:
    """Decodes lines whose events are of the types `events`, and states of type `state`.

    Args:
        owner: the actor's class; has `state_version` and `upcast_state`.
        events: that it applies.
        state: its state's type.
    """

    def __init__(
        self, owner: "type[PersistentActor[Any]]", events: tuple[type[Any], ...], state: type[BaseModel]
    ) -> None:
        self._owner = owner
        self._events: tuple[type[Event], ...] = events
        self._named = by_name(self._events)
        self._may_be_older = any(kind.version > 1 or kind.was for kind in self._events)
        self._is_older = False
        self._state = state
        self.state: TypeAdapter[Any] = TypeAdapter(state)

    @cached_property
    def write_state(self) -> "Callable[[Any], bytes]":
        """A state as JSON that `snapshot` reads again."""
        return state_writer(self.state)

    @cached_property
    def snapshot(self) -> "TypeAdapter[Snapshot]":
        """The codec of snapshots with this state."""
        fields = {**Snapshot.__annotations__, "state": self._state}
        return TypeAdapter(_make("Snapshot", fields))

    @cached_property
    def lines(self) -> TypeAdapter[list[Line]]:
        """Made when first used: building a union of many events takes milliseconds."""
        records: list[Any] = [
            _make(kind.kind, {"type": _literal[kind.kind], "v": _literal[kind.version], "data": kind})
            for kind in self._events
        ]
        events: Any
        if not records:  # an actor that only sends: its lines have no events, and must not have any
            events = Annotated[list[Record], Field(max_length=0)]
        elif len(records) == 1:
            events = list[records[0]]
        else:
            events = list[Annotated[Union[tuple(records)], Field(discriminator="type")]]  # noqa: UP007
        fields = {**Line.__annotations__, "events": events}
        return TypeAdapter(cast("type[list[Line]]", list[_make("Line", fields)]))

    def read(self, lines: list[bytes]) -> list[Line]:
        """Decode whole lines; events of older versions become what the classes are now (JR-6).

        Raises:
            ValidationError, NewerVersion, RecordNotUnderstood: one of them can't be; `explain` says which.
        """
        if not self._is_older:
            try:
                return self.lines.validate_json(b"[" + b",".join(lines) + b"]")
            except ValidationError:
                if not self._may_be_older:
                    raise
        modern = [self.upcast_line(line) for line in lines]
        # Old lines come one after another: the next ones are not tried as they are first.
        self._is_older = any(new is not old for new, old in zip(modern, lines, strict=True))
        return self.lines.validate_json(b"[" + b",".join(modern) + b"]")

    def upcast_line(self, line: bytes) -> bytes:
        """The line with its events under their names and versions of now; itself when they have these.

        Raises:
            NewerVersion, RecordNotUnderstood: an event can't be.
        """
        record = _object_of(line)
        changed = False
        for event in _events_of(record):
            name, version, data = event.get("type"), event.get("v"), event.get("data")
            kind = self._named.get(name) if isinstance(name, str) else None
            if kind is None or not isinstance(version, int) or not isinstance(data, dict):
                continue
            if name != kind.kind or version != kind.version:
                event["data"] = upcast(kind, version, cast("dict[str, Any]", data))
                event["type"], event["v"] = kind.kind, kind.version
                changed = True
        return json.dumps(record).encode() if changed else line

    def explain(self, line: bytes) -> str | None:
        """Why a whole line can't be decoded; None when it can.

        Raises:
            NewerVersion: a newer version of the program wrote it.
        """
        try:
            self.lines.validate_json(b"[" + self.upcast_line(line) + b"]")
        except RecordNotUnderstood as error:
            return str(error)
        except ValidationError as error:
            for event in _events_of(_object_of(line)):
                if event.get("type") not in self._named:
                    applied = ", ".join(self._named) or "none"
                    owner, kind = self._owner.__name__, event.get("type")
                    return f"expected an event that {owner} applies ({applied}), got {kind!r}"
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"][1:])
            return f"the line does not fit {self._owner.__name__}: {where}: {first['msg']}"
        return None

    def read_snapshot(self, body: bytes) -> Snapshot:
        """Decode a snapshot; a state of an older version becomes what the class has now (JR-6).

        Raises:
            NewerVersion: a newer version of the program wrote it.
            RecordNotUnderstood: it does not fit the class.
        """
        version = self._owner.state_version
        if not body.startswith(b'{"version": %d,' % version):
            body = self._upcast_snapshot(body, version)
        try:
            # by name, too: a state is written by its fields' names, also where they have an alias
            with uncollected():
                return self.snapshot.validate_json(body, by_alias=True, by_name=True)
        except ValidationError as error:
            msg = f"the snapshot does not fit {self._owner.__name__}: {error}"
            raise RecordNotUnderstood(msg) from error

    def can_read_snapshot(self, body: bytes) -> bool:
        """Whether `read_snapshot` takes what was written. On the writer's thread, before lines go for it.

        Nothing but reading it tells: a state may hold what its own type refuses. That holds the interpreter,
        about five times as long as writing it did, once for each time that lines are removed.
        """
        try:
            self.read_snapshot(body)
        except (NewerVersion, RecordNotUnderstood):
            return False
        return True

    def _upcast_snapshot(self, body: bytes, version: int) -> bytes:
        record = _object_of(body)
        found, state = record.get("version"), record.get("state")
        if not isinstance(found, int) or not isinstance(state, dict):
            msg = f"expected a snapshot with a version and a state, got {body[:40]!r}"
            raise RecordNotUnderstood(msg)
        expected = f"expected a snapshot of state version {version} of {self._owner.__name__}, got {found}"
        if found > version:
            msg = f"{expected}: a newer version of the program wrote it; run that one"
            raise NewerVersion(msg)
        for step in range(found, version):
            try:
                state = self._owner.upcast_state(step, cast("dict[str, Any]", state))
            except BaseException as error:
                msg = f"{self._owner.__name__}.upcast_state failed on version {step}: {described(error)}"
                raise RecordNotUnderstood(msg) from error
            if state is None:
                msg = f"{expected}, which its `upcast_state` does not take"
                raise RecordNotUnderstood(msg)
        return json.dumps({**record, "version": version, "state": state}).encode()


def _object_of(line: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(line)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _events_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    events = record.get("events")
    found = cast("list[Any]", events) if isinstance(events, list) else []
    return [event for event in found if isinstance(event, dict)]
