"""Whether a value comes back from JSON as it was: known from its class's schema, or found by comparing."""

from __future__ import annotations

import dataclasses
import math
import reprlib
from collections import defaultdict, deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, time, timezone
from decimal import Decimal
from typing import Any, cast

from pydantic import BaseModel
from pydantic_core import TzInfo

_ATOMS = {"int", "str", "bool", "float", "none"}


def is_certain(kind: type[BaseModel]) -> bool:
    """Whether each value of a frozen model comes back equal, by its schema alone; nothing is compared then.

    False is no verdict: only what pydantic turns into exactly one type, and writes in exactly one form,
    is certain.
    """
    return kind.__pydantic_complete__ and _certain(kind.__pydantic_core_schema__)


def _certain(schema: Any) -> bool:  # noqa: PLR0911 - one return for each kind of schema
    if "serialization" in schema:
        return False
    match schema["type"]:
        case "nullable":
            return _certain(schema["schema"])
        case "frozenset":
            return "items_schema" in schema and _certain(schema["items_schema"])
        case "tuple":
            return all(_certain(item) for item in schema["items_schema"])
        case "literal":
            return all(type(value) is str for value in schema["expected"])
        case "enum":
            values: list[object] = [member.value for member in schema["members"]]
            return all(type(value) is str for value in values) or all(type(value) is int for value in values)
        case "default":
            return _certain(schema["schema"]) and _default_fits(schema)
        case "model":
            return _certain_model(schema)
        case kind:
            return kind in _ATOMS


def _certain_model(schema: Any) -> bool:
    config, fields, kind = schema.get("config", {}), schema["schema"], schema["cls"]
    return (
        config.get("revalidate_instances") in ("always", "subclass-instances")
        and config.get("extra_fields_behavior") == "forbid"
        and not kind.__private_attributes__
        and not schema.get("custom_init")
        and "post_init" not in schema
        and fields["type"] == "model-fields"
        and not fields.get("computed_fields")
        and not schema.get("root_model")
        and all(
            not field.get("serialization_exclude") and _certain(field["schema"])
            for field in fields["fields"].values()
        )
    )


def _default_fits(schema: Any) -> bool:
    """Whether a default, which nobody validates, is of the type that its field has when it is read."""
    if "default" not in schema:
        return False
    default, inner = schema["default"], schema["schema"]
    if inner["type"] == "nullable":
        if default is None:
            return True
        inner = inner["schema"]
    if inner["type"] == "literal":
        return default in inner["expected"] and type(default) is str
    if inner["type"] == "enum":
        return type(default) is inner["cls"]
    if inner["type"] in ("tuple", "frozenset"):
        return type(default).__name__ == inner["type"] and not default
    return type(default).__name__ == inner["type"]


def differs(  # noqa: PLR0911 - one return for each kind of value
    written: Any, read: Any, path: str = ""
) -> tuple[str, Any, Any] | None:
    """The first place in which two values are not the same type and the same value, with both; else None."""
    here = (path, written, read)
    if written is read:
        return None
    if isinstance(written, datetime | time):
        return None if type(written) is type(read) and _same_time(written, read) else here
    if type(written) is not type(read):
        return here
    if isinstance(written, float):
        return None if _same_float(written, read) else here
    if isinstance(written, Decimal):
        return None if written.as_tuple() == read.as_tuple() else here
    if isinstance(written, BaseModel):
        return _model_differs(written, read, path)
    if dataclasses.is_dataclass(written):
        return _mapping_differs(vars_of(written), vars_of(read), path, here)
    return _container_differs(written, read, path, here)


def _container_differs(written: Any, read: Any, path: str, here: tuple[str, Any, Any]) -> Any:
    if isinstance(written, defaultdict) and written.default_factory is not read.default_factory:
        return here
    if isinstance(written, Mapping):
        return _mapping_differs(cast("Any", written), read, path, here)
    if isinstance(written, deque) and written.maxlen != read.maxlen:
        return here
    if isinstance(written, list | tuple | deque):
        return _sequence_differs(cast("Any", written), read, path, here)
    if isinstance(written, AbstractSet):
        mine, theirs = {each: each for each in cast("Any", written)}, {each: each for each in read}
        same = mine.keys() == theirs.keys() and all(
            differs(mine[each], theirs[each]) is None for each in mine
        )
        return None if same else here
    return None if written == read else here


def vars_of(value: Any) -> dict[str, Any]:
    """A dataclass's fields and values, also where it has slots."""
    return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}


def _model_differs(written: BaseModel, read: BaseModel, path: str) -> tuple[str, Any, Any] | None:
    for part in ("__dict__", "__pydantic_extra__", "__pydantic_private__"):
        mine: dict[str, Any] = getattr(written, part) or {}
        theirs: dict[str, Any] = getattr(read, part) or {}
        if (found := _mapping_differs(mine, theirs, path, (path, written, read), ordered=False)) is not None:
            return found
    return None


def _mapping_differs(
    written: Mapping[Any, Any], read: Mapping[Any, Any], path: str, here: Any, *, ordered: bool = True
) -> Any:
    if ordered and differs(list(written), list(read)) is not None:
        return here
    if written.keys() != read.keys():
        return here
    places = ((key, differs(value, read[key], _join(path, key))) for key, value in written.items())
    return next((found for _, found in places if found is not None), None)


def _sequence_differs(written: Any, read: Any, path: str, here: Any) -> Any:
    if len(written) != len(read):
        return here
    pairs = enumerate(zip(written, read, strict=True))
    return next((found for i, (a, b) in pairs if (found := differs(a, b, _join(path, i))) is not None), None)


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _same_float(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))


def _same_time(a: Any, b: Any) -> bool:
    """The same moment or wall time; of zones, a fixed offset is itself, and a zone with rules never is.

    A zone's name is not written, so that what comes back would not follow its rules.
    """
    if a.replace(tzinfo=None) != b.replace(tzinfo=None) or a.fold != b.fold:
        return False
    if a.tzinfo is None or b.tzinfo is None:
        return a.tzinfo is b.tzinfo
    fixed = isinstance(a.tzinfo, timezone | TzInfo) and isinstance(b.tzinfo, timezone | TzInfo)
    return fixed and a.utcoffset() == b.utcoffset()


def shown(difference: tuple[str, Any, Any]) -> str:
    """A difference in words, of bounded length."""
    path, written, read = difference
    got = f"{type(written).__name__} {reprlib.repr(written)}"
    back = f"{type(read).__name__} {reprlib.repr(read)}"
    return f"got {got[:200]} at {path[:200] or 'its top'}, which would be read as {back[:200]}"
