"""Which method of an actor class handles which message or event: found by annotation."""

from __future__ import annotations

import inspect
import reprlib
import types
import typing
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from understudy.protocols import Event, Message

if TYPE_CHECKING:
    from collections.abc import Callable


_OURS = "understudy.supervision."


class Handler(NamedTuple):
    """A handler's function (called with the actor and the message) and whether it is `async def`."""

    function: Callable[[Any, Any], Any]
    is_async: bool


class Handlers(NamedTuple):
    """What a class handles: messages, events, and names whose annotation could not be resolved."""

    messages: dict[type, Handler]
    events: dict[type[Event], Callable[[Any, Any], None]]
    unresolved: tuple[str, ...]


def find_handlers(cls: type) -> Handlers:
    """The handlers of `cls` and its bases: public methods with one parameter of a `Message` or `Event` class.

    Exactly that class: a subclass of it is another message.

    Raises:
        TypeError: two methods of one class handle the same type, or an event's handler is async.
    """
    messages: dict[type, Handler] = {}
    events: dict[type[Event], Callable[[Any, Any], None]] = {}
    unresolved: list[str] = []
    for base in reversed(cls.__mro__):
        own: dict[type, str] = {}
        # A reader of the error can change nothing about our own methods.
        unknown: list[str] = [] if base.__module__.startswith(_OURS) else unresolved
        for name, function in vars(base).items():
            if name.startswith("_") or not isinstance(function, types.FunctionType):
                continue
            kind = _handled_type(base, function, unknown)
            if kind is None:
                continue
            if kind in own:
                msg = (
                    f"expected one handler of {kind.__name__} in {base.__name__}, got {own[kind]} and {name}"
                )
                raise TypeError(msg)
            own[kind] = name
            is_async = inspect.iscoroutinefunction(function)
            if issubclass(kind, Event):
                if is_async:
                    where = f"{cls.__name__}.{name}"
                    msg = f"expected a plain method for the event {kind.__name__}, got async {where}"
                    raise TypeError(msg)
                events[kind] = function
            else:
                messages[kind] = Handler(function, is_async)
    return Handlers(messages, events, tuple(unresolved))


def _handled_type(
    cls: type, function: types.FunctionType, unresolved: list[str]
) -> type[Message[Any] | Event] | None:
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2 or parameters[1].kind not in (  # noqa: PLR2004 - self and the message
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.POSITIONAL_ONLY,
    ):
        return None
    annotation: Any = parameters[1].annotation
    if isinstance(annotation, str):
        annotation = _evaluate(annotation, function, cls)
        if annotation is None:
            unresolved.append(f"{function.__name__}({parameters[1].annotation})")
            return None
    if annotation in (Event, Message):  # such as `emit`: no type of message, but any
        return None
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, Message):
            return typing.cast("type[Message[Any]]", annotation)
        if issubclass(annotation, Event):
            return annotation
    return None


def _evaluate(annotation: str, function: types.FunctionType, cls: type) -> object | None:
    """What a string annotation means; None when it can't be told.

    It is looked up in the function's module and, for classes made inside a function, in the frames
    that are making the class.
    """
    try:
        return eval(annotation, function.__globals__, dict(vars(cls)))  # noqa: S307 - as typing does
    except Exception:  # noqa: BLE001 - an annotation may hold anything
        frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name != "<module>":
            with suppress(Exception):
                return eval(annotation, frame.f_globals, dict(frame.f_locals))  # noqa: S307
        frame = frame.f_back
    return None


def flaw_of(message: object) -> str | None:
    """What is wrong with a message that went round its own checks; None when nothing is.

    Fields that hold their defaults are passed over, as pydantic does when it makes one.
    """
    if not isinstance(message, Message):
        return None
    made = typing.cast("Message[Any]", message)
    for name in type(made).model_fields:
        if name not in made.__dict__:
            return f"expected the field {name!r}, got none"
        if name in made.model_fields_set and not _fits(made, name):
            value = _shown(made.__dict__[name])
            return f"expected the field {name!r} as {made.kind} declares it, got {value}"
    return None


def _fits(message: Message[Any], name: str) -> bool:
    """Whether a field's value is of its declared type.

    By what writes it: what reads it may turn one type into another, and then refuse what it made itself.
    """
    if message.__dict__[name] is None:  # is written for any type
        try:
            message.__pydantic_validator__.validate_python({name: None}, by_name=True)
        except ValidationError as error:
            return all(each["loc"][:1] != (name,) for each in error.errors())
        except BaseException:  # noqa: BLE001 - a validator of the user's: what it can't check does not fit
            return False
        return True
    try:
        message.__pydantic_serializer__.to_python(message, include={name}, warnings="error")
    except BaseException:  # noqa: BLE001 - a warning is an error, and a serializer of the user's may raise any
        return False
    return True


def _shown(value: object) -> str:
    """A value in an error's text, also when its own `__repr__` raises."""
    try:
        return reprlib.repr(value)
    except BaseException:  # noqa: BLE001 - the user's
        return object.__repr__(value)
