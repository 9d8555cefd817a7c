"""Writing a state as JSON, so that it can be read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pydantic_core import SchemaSerializer

from understudy.protocols.base import text_of
from understudy.protocols.errors import NotEncodable
from understudy.protocols.fidelity import differs, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import TypeAdapter
    from pydantic_core import CoreSchema

_WITH_CONFIG = {"model", "dataclass", "typed-dict"}
_NOT_SCHEMAS = {"default", "metadata", "expected"}  # may hold anything, also what looks like a schema
_INF_NAN = {"ser_json_inf_nan": "constants"}
LONGEST_NUMBER = 4300
"""Digits of the longest integer that can be read again: Python's own limit, and that of pydantic's parser."""
_DIGITS_AS_0 = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else ord(" ") for byte in range(256))  # noqa: PLR2004 - ASCII
_TOO_LONG = b"0" * (LONGEST_NUMBER + 1)


def state_writer(adapter: TypeAdapter[Any]) -> Callable[[Any], bytes]:
    """What writes the values of `adapter` as JSON, infinity and NaN included.

    A model that is not told otherwise writes those as null, which a float does not take back, and which
    becomes None where it may be that. The models stay as they are: only what is written here differs.
    """
    schema = cast("CoreSchema", _with_inf_nan(adapter.core_schema))
    # Not prebuilt: else the models in it bring the writers that they were made with.
    return SchemaSerializer(schema, cast("Any", _INF_NAN), _use_prebuilt=False).to_json


def _with_inf_nan(part: Any) -> Any:
    if isinstance(part, dict):
        found = cast("dict[str, Any]", part)
        new = {key: value if key in _NOT_SCHEMAS else _with_inf_nan(value) for key, value in found.items()}
        if new.get("type") in _WITH_CONFIG:
            new["config"] = {**_INF_NAN, **new.get("config", {})}
        return new
    if isinstance(part, list):
        return [_with_inf_nan(each) for each in cast("list[Any]", part)]
    if isinstance(part, tuple):
        return tuple(_with_inf_nan(each) for each in cast("tuple[Any, ...]", part))
    return part


def check_equal(value: object, data: bytes, what: str, read: Callable[[bytes], object]) -> None:
    """Refuse a value that does not come back from its JSON as the same type and the same value.

    Args:
        value: was encoded.
        data: its JSON.
        what: it is, for the error.
        read: decodes it, as a recovery will.

    Raises:
        NotEncodable.
    """
    try:
        difference = differs(value, read(data))
    except Exception as error:
        msg = f"expected {what} that can be read again from its JSON, got: {text_of(error)[:400]}"
        raise NotEncodable(msg) from error
    if difference is not None:
        msg = f"expected {what} that comes back from its JSON as it was, {shown(difference)}"
        raise NotEncodable(msg)


def check_numbers(data: bytes, what: str, read: Callable[[bytes], object]) -> None:
    """Refuse JSON with an integer that could be written, and never be read again.

    Args:
        data: the JSON. Only where so many digits follow one another is it read: in a text they are fine.
        what: it is, for the error.
        read: decodes it.

    Raises:
        NotEncodable.
    """
    if len(data) > LONGEST_NUMBER and _TOO_LONG in data.translate(_DIGITS_AS_0):
        try:
            read(data)
        except ValueError as error:
            msg = f"expected {what} with integers of at most {LONGEST_NUMBER} digits, got a longer one"
            raise NotEncodable(msg) from error
