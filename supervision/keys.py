"""The window of idempotency keys that an actor remembers (rule D3)."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ConfigDict, PydanticUserError, TypeAdapter

from understudy.protocols import Message
from understudy.protocols.errors import KeyReused, Refused, ReplyNotEncodable, UnderstudyError
from understudy.protocols.fidelity import is_certain
from understudy.supervision.state_json import check_equal, check_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator


class Remembered(NamedTuple):
    """What came of a keyed message: its hash, when, its type, and the reply or the refusal as JSON."""

    hash: str
    ts: int
    kind: str
    reply: bytes | None
    refused: tuple[str, str] | None


class KeyWindow:
    """Keys in the order of their lines. Eviction depends on the lines only, so a replay evicts the same.

    Args:
        size: keys that are always kept.
        age_s: younger keys are kept too.
    """

    def __init__(self, size: int, age_s: float) -> None:
        self._size = size
        self._age_us = int(age_s * 1e6)
        self._kept: dict[str, Remembered] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[tuple[str, Remembered]]:
        return iter(self._kept.items())

    def find(self, key: str, message_hash: str) -> Remembered | None:
        """What came of `key`, if it is remembered.

        Raises:
            KeyReused: it came with another message.
        """
        found = self._kept.get(key)
        if found is not None and found.hash != message_hash:
            msg = (
                f"expected the message that the idempotency key {key!r} came with before "
                f"({found.kind}), got another"
            )
            raise KeyReused(msg)
        return found

    def add(self, key: str, remembered: Remembered) -> None:
        """Remember one more; the oldest goes when it is both too old and one too many."""
        kept = self._kept
        kept[key] = remembered
        while len(kept) > self._size:
            oldest = next(iter(kept))
            if kept[oldest].ts > remembered.ts - self._age_us:
                return
            del kept[oldest]


def hash_of(message: Message[Any]) -> str:
    """A short hash of a message's type and content."""
    return blake2b(encode(message), digest_size=8, person=message.kind.encode()[:16]).hexdigest()


def encode(message: Message[Any]) -> bytes:
    """A message's data as JSON.

    Raises:
        NotEncodable: an integer in it has more than 4,300 digits.
    """
    data = message.__pydantic_serializer__.to_json(message)
    check_numbers(data, type(message).__name__, type(message).model_validate_json)
    return data


_certain: dict[type, bool] = {}


def encode_to_send(message: Message[Any]) -> bytes:
    """As `encode`, of a message that must come back as it is: its receiver may get it after a restart.

    Raises:
        NotEncodable: it would not.
    """
    data, kind = encode(message), type(message)
    certain = _certain.get(kind)
    if certain is None:
        certain = _certain[kind] = is_certain(kind)
    if not certain:
        check_equal(message, data, kind.__name__, kind.model_validate_json)
    return data


_adapters: dict[type, TypeAdapter[Any]] = {}


def reply_adapter(kind: type[Message[Any]]) -> TypeAdapter[Any]:
    """The codec of the replies to messages of type `kind`: of `R` in `Message[R]`, else of anything."""
    adapter = _adapters.get(kind)
    if adapter is None:
        reply = _reply_type(kind)
        try:  # infinity as null could not be read again
            adapter = TypeAdapter(reply, config=ConfigDict(ser_json_inf_nan="strings"))
        except PydanticUserError:  # a model: it has a configuration of its own
            adapter = TypeAdapter(reply)
        _adapters[kind] = adapter
    return adapter


def encode_reply(kind: type[Message[Any]], value: object) -> bytes:
    """A reply as JSON.

    Raises:
        ReplyNotEncodable: it is not of the declared type, or that has no JSON form.
    """
    try:
        adapter = reply_adapter(kind)
        data = adapter.dump_json(value, warnings="error")
        check_numbers(data, "a reply", adapter.validate_json)
        check_equal(value, data, "a reply", adapter.validate_json)
    except BaseException as error:
        msg = (
            f"expected a reply to {kind.__name__} that can be encoded as {_reply_type(kind)}, "
            f"got {type(value).__name__}: {error}"
        )
        raise ReplyNotEncodable(msg) from error
    return data


def decode_reply(kind: type[Message[Any]], remembered: Remembered) -> Any:
    """The remembered reply.

    Raises:
        Refused: the remembered refusal.
    """
    if remembered.refused is not None:
        code, text = remembered.refused
        raise refusal(code, text)
    return None if remembered.reply is None else reply_adapter(kind).validate_json(remembered.reply)


def refusal(code: str, text: str) -> UnderstudyError:
    """The refusal that a journal line remembers, as the type that has this code."""
    found = _by_code(Refused, code)
    return Refused(text) if found is None else found(text)


def _by_code(root: type[UnderstudyError], code: str) -> type[UnderstudyError] | None:
    if root.code == code:
        return root
    for kind in root.__subclasses__():
        if (found := _by_code(kind, code)) is not None:
            return found
    return None


def _reply_type(kind: type) -> Any:
    for base in kind.__mro__:
        metadata: Any = getattr(base, "__pydantic_generic_metadata__", None)
        if metadata and metadata["origin"] is Message:
            return metadata["args"][0]
    return Any
