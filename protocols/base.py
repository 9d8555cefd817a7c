"""What every message and event is: a frozen pydantic model of immutable fields."""

from __future__ import annotations

import difflib
import types
import typing
from bisect import bisect_left
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Secret, SecretBytes, SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo

R = TypeVar("R")

_MUTABLE = (list, dict, set, bytearray, Any, object)
_SECRETS = (Secret, SecretStr, SecretBytes)
_NAMED = 5
_COMPARED = 200
_TEXT_IN_JSON = (str, bytes, date, time, timedelta, Decimal, UUID, PurePath)


class Frozen(BaseModel):
    """A frozen model whose fields are of immutable types, checked when the class is made (rule T2).

    Without that, a later change of a list inside a message would change what an earlier journal
    line says. Use tuples for lists, a nested `Frozen` or a tuple of pairs for a mapping.

    Raises:
        TypeError: when the class is made with a field of a mutable type, or one that JSON never gives back
            (a secret, a callable, a field with `exclude=True`), or of a union of types that
            are all text in JSON (`bytes | str`): a recovery could not tell which one it was.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_inf_nan="strings",  # the default writes null, which a float does not take back
        populate_by_name=True,  # lines hold the fields' own names, also where they have an alias
        revalidate_instances="subclass-instances",  # of a subclass only the declared fields would be written
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if (culprit := _mutable_part(field.annotation)) is not None:
                msg = (
                    f"expected an immutable type for {cls.__name__}.{name}, got {culprit}: "
                    "use tuple, frozenset or a frozen model"
                )
                raise TypeError(msg)
            if (why := _lost_part(field)) is not None:
                msg = f"expected a field for {cls.__name__}.{name} that a journal line keeps, got {why}"
                raise TypeError(msg)
            if (union := _ambiguous_part(field.annotation)) is not None:
                msg = (
                    f"expected a union that a journal line can tell apart for {cls.__name__}.{name}, "
                    f"got {union}, which are all text there: use one of them, or a frozen model for each"
                )
                raise TypeError(msg)


class _Recorded(Frozen):
    """Names itself in a journal: `kind` is the class's name, `version` its schema version.

    `was`: names that the class had before; lines with these are still read.
    """

    kind: ClassVar[str] = ""
    version: ClassVar[int] = 1
    was: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def upcast(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        """Make `data` as schema `version` wrote it what `version + 1` would have written (JR-6).

        Called for each step from the line's version up to the class's. As it is here it changes
        nothing, which is right where a field with a default was added.
        """
        del version
        return data

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "kind" not in cls.__dict__:
            cls.kind = cls.__name__
        if "was" not in cls.__dict__:
            cls.was = ()  # a subclass is another kind, and was never called as its base was


class Message(_Recorded, Generic[R]):
    """A command, named in the imperative. `class Deposit(Message[Balance])` names its reply's type."""


class Event(_Recorded):
    """A fact about an actor's state, named in the past tense; the journal keeps it."""


def encodable(text: str) -> str:
    """`text` with lone surrogates written out, such as those of undecodable file names in an OSError.

    JSON has no form for them: a line with one could not be read again.
    """
    return text.encode(errors="backslashreplace").decode()


def nearest(name: str, known: Iterable[str], none: str = "none") -> str:
    """The names in `known` for an error about `name`: all of at most five, else the nearest five of so many.

    An error must not list thousands: it is logged, and shown to whoever asked. Only neighbours in the
    alphabet are compared, so that a wrong name costs no more among many thousands.
    """
    names = sorted(set(known))
    if len(names) <= _NAMED:
        return ", ".join(names) or none
    place = bisect_left(names, name)
    around = names[max(0, place - _COMPARED) : place + _COMPARED]
    found = difflib.get_close_matches(name[:_COMPARED], around, n=_NAMED, cutoff=0.0)
    return f"{', '.join(found)} and {len(names) - len(found)} more"


def text_of(error: BaseException | None) -> str:
    """What an error says, encodable, also where its own `__str__` fails."""
    try:
        return encodable(str(error))
    except BaseException as worse:  # noqa: BLE001 - a failure must not become a worse one
        return f"its text can't be made ({type(worse).__name__})"


def described(error: BaseException) -> str:
    """An error's type and what it says."""
    return f"{type(error).__name__}: {text_of(error)}"


def _mutable_part(annotation: Any) -> str | None:
    """The first mutable type inside `annotation`, by name; None when there is none."""
    if isinstance(annotation, TypeVar):
        return None
    origin = typing.get_origin(annotation) or annotation
    if origin in _MUTABLE:
        return getattr(annotation, "__name__", str(annotation))
    if origin is typing.Literal or (isinstance(annotation, types.GenericAlias | str) and origin is str):
        return None
    if isinstance(origin, type) and issubclass(origin, BaseModel) and not origin.model_config.get("frozen"):
        return f"{origin.__name__} (a model that is not frozen)"
    for argument in typing.get_args(annotation):
        if argument is not Ellipsis and (culprit := _mutable_part(argument)) is not None:
            return culprit
    return None


def _lost_part(field: FieldInfo) -> str | None:
    """Why no value of a field could come back from JSON; None when one may."""
    if field.exclude:
        return "exclude=True, which leaves it out"
    return _unwritable_part(field.annotation)


def _unwritable_part(annotation: Any) -> str | None:
    origin = typing.get_origin(annotation) or annotation
    if origin is Callable:
        return "a callable, which has no form as JSON"
    if isinstance(origin, type) and issubclass(origin, _SECRETS):
        return f"{origin.__name__}, which is written as stars: keep the secret's name, not the secret"
    if origin is typing.Literal:
        return None
    return next((why for part in typing.get_args(annotation) if (why := _unwritable_part(part))), None)


def _ambiguous_part(annotation: Any) -> str | None:
    """The first union inside `annotation` of which several members are text in JSON; None if none is."""
    if typing.get_origin(annotation) is typing.Literal:
        return None
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        texts = [
            member.__name__
            for member in arguments
            if isinstance(member, type) and issubclass(member, _TEXT_IN_JSON)
        ]
        if len(texts) > 1:
            return " | ".join(texts)
    return next((found for argument in arguments if (found := _ambiguous_part(argument))), None)
