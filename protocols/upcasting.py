"""From what an older version of the program wrote to what this one reads (JR-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from understudy.protocols.base import Event, Message, described
from understudy.protocols.errors import NewerVersion, RecordNotUnderstood

if TYPE_CHECKING:
    from collections.abc import Iterable

Recorded: TypeAlias = "Event | Message[Any]"
K = TypeVar("K", bound=Recorded)


def by_name(kinds: Iterable[type[K]]) -> dict[str, type[K]]:
    """The classes by the names that a journal may hold them under: their own, and former ones.

    Raises:
        TypeError: two of them have or had the same name.
    """
    found: dict[str, type[K]] = {}
    for kind in kinds:
        for name in (kind.kind, *kind.was):
            if (other := found.setdefault(name, kind)) is not kind:
                msg = f"expected one class for the name {name!r} in a journal, got {other!r} and {kind!r}"
                raise TypeError(msg)
    return found


def upcast(kind: type[Recorded], version: int, data: dict[str, Any]) -> dict[str, Any]:
    """`data` of a record of `version`, as the class's version has it. May change `data` itself.

    Raises:
        NewerVersion: a newer version of the program wrote it.
        RecordNotUnderstood: the class's `upcast` failed.
    """
    if version > kind.version:
        msg = (
            f"expected {kind.kind} up to version {kind.version}, got version {version}: "
            "a newer version of the program wrote it; run that one"
        )
        raise NewerVersion(msg)
    for step in range(version, kind.version):
        try:
            made = cast("object", kind.upcast(step, data))
        except BaseException as error:
            msg = f"{kind.__name__}.upcast failed on version {step}: {described(error)}"
            raise RecordNotUnderstood(msg) from error
        if not isinstance(made, dict):
            msg = f"expected {kind.__name__}.upcast to return a dict for version {step}, got {made!r}"
            raise RecordNotUnderstood(msg)
        data = cast("dict[str, Any]", made)
    return data
