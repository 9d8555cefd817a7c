"""The codecs of one actor class: its journal lines and its state, decoded and validated by pydantic."""

import json
import typing
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from understudy.protocols.errors import NewerVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.protocols import Event


class Send(TypedDict):
    """A send in a line: receiver, number (0: at most once), the message's type and data."""

    to: str
    n: int
    type: str
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

    `outbox`: receiver, incarnation, next number, and what waits as (n, seq, type, data, cause).
    `keys`: key, hash, time, the message's type, reply as JSON, refusal as (code, text).
    """

    version: int
    last: dict[str, int]
    outbox: list[tuple[str, int, int, list[tuple[int, int, str, dict[str, Any], str]]]]
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
    """Decodes lines whose events are of the types `events`, and states of type `state`."""

    def __init__(self, owner: str, events: tuple[type[Any], ...], state: type[BaseModel]) -> None:
        self._owner = owner
        self._events: tuple[type[Event], ...] = events
        self._state = state
        self.state: TypeAdapter[Any] = TypeAdapter(state)

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

    def explain(self, line: bytes) -> str | None:
        """Why a whole line can't be decoded; None when it can.

        Raises:
            NewerVersion: a newer version of the program wrote it.
        """
        try:
            self.lines.validate_json(b"[" + line + b"]")
        except ValidationError as error:
            known = {kind.kind: kind.version for kind in self._events}
            for event in _events_of(line):
                kind, version = event.get("type"), event.get("v")
                if kind in known and isinstance(version, int) and version > known[kind]:
                    msg = (
                        f"expected {kind} up to version {known[kind]}, got version {version}: "
                        "a newer version of the program wrote it; run that one"
                    )
                    raise NewerVersion(msg) from None
                if kind not in known:
                    applied = ", ".join(known) or "none"
                    return f"expected an event that {self._owner} applies ({applied}), got {kind!r}"
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"][1:])
            return f"the line does not fit {self._owner}: {where}: {first['msg']}"
        return None


def _events_of(line: bytes) -> list[dict[str, Any]]:
    try:
        events: Any = json.loads(line).get("events", [])
    except (ValueError, AttributeError):
        return []
    return [event for event in events if isinstance(event, dict)]
