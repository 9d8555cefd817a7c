"""What differs between two states: a list of changed paths (JR-9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterator


class Change(BaseModel):
    """One place where two states differ.

    Attributes:
        path: of the place, as a JSON pointer (RFC 6901): `/tasks/task-1/status`; "" is the whole.
        op: whether the value is only in the second state, only in the first, or another one.
        before, after: its JSON form in the two; None where there is none.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    op: Literal["add", "remove", "replace"]
    before: Any = None
    after: Any = None


def diff_states(before: BaseModel, after: BaseModel) -> list[Change]:
    """Every place where the JSON forms of two states differ, in the order of the fields.

    Lists are compared place by place: an item that was put in front shows as a change of all of them.
    """
    return list(_diff("", before.model_dump(mode="json"), after.model_dump(mode="json")))


def _diff(path: str, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _diff_items(path, _named(cast("Any", before)), _named(cast("Any", after)))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _diff_items(path, _numbered(cast("Any", before)), _numbered(cast("Any", after)))
    else:
        one, other = cast("object", before), cast("object", after)
        if repr(one) != repr(other):  # tells 1 from True, and finds NaN equal to itself
            yield Change(path=path, op="replace", before=one, after=other)


def _diff_items(path: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        place = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in after:
            yield Change(path=place, op="remove", before=before[name])
        elif name not in before:
            yield Change(path=place, op="add", after=after[name])
        else:
            yield from _diff(place, before[name], after[name])


def _named(value: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): each for name, each in value.items()}


def _numbered(value: list[Any]) -> dict[str, Any]:
    return {str(place): value[place] for place in range(len(value))}
