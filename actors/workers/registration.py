"""The callables that tasks may name: registered by the embedding program, with their signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from understudy.protocols.base import described, nearest
from understudy.protocols.errors import BadArguments, UnknownFunction

Where = Literal["loop", "thread", "process"]
F = TypeVar("F", bound=Callable[..., Any])

CONTEXT = "context"
"""The parameter of that name gets a `TaskContext`."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A callable, where it runs, and what it takes.

    Attributes:
        name: by which tasks name it.
        where: `loop` for `async def`, `thread` for plain ones, `process` for what computes.
        takes: its parameters as a model; None when it has none.
        wants_context: whether it has a parameter named `context`.
    """

    name: str
    function: Callable[..., Any]
    where: Where
    takes: type[BaseModel] | None
    wants_context: bool

    def decode(self, arguments: str) -> dict[str, Any]:
        """The arguments as the callable declares them.

        Raises:
            BadArguments: it does not take these.
        """
        if self.takes is None:
            if arguments == "{}":
                return {}
            msg = f"expected no arguments for {self.name!r}, got {arguments[:200]}"
            raise BadArguments(msg)
        try:
            found = self.takes.model_validate_json(arguments)
        except ValidationError as error:
            flaws = "; ".join(f"{_where(flaw['loc'])}: {flaw['msg']}" for flaw in error.errors())
            msg = f"expected the arguments of {self.name!r}, got {arguments[:200]}: {flaws}"
            raise BadArguments(msg) from None
        except BaseException as error:  # a validator of the program's own
            msg = f"expected arguments that {self.name!r} can check, got {described(error)}"
            raise BadArguments(msg) from error
        return {name: getattr(found, name) for name in self.takes.model_fields}


class Callables(Mapping[str, Registered]):
    """A table of callables, filled by a decorator.

    ```python
    callables = Callables()

    @callables.register
    async def fetch(url: str) -> int: ...

    @callables.register(where="process")
    def render(scene: str, frames: int) -> list[str]: ...
    ```
    """

    def __init__(self) -> None:
        self._all: dict[str, Registered] = {}

    def __getitem__(self, name: str) -> Registered:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @classmethod
    def of(cls, functions: Mapping[str, Callable[..., Any] | Registered]) -> Callables:
        """The table with these, by name; what is not registered yet runs where its kind does."""
        table = cls()
        for name, function in functions.items():
            table._all[name] = function if isinstance(function, Registered) else declare(function, name=name)
        return table

    @overload
    def register(self, function: F, /) -> F: ...
    @overload
    def register(
        self, function: None = None, /, *, name: str | None = None, where: Where | None = None
    ) -> Callable[[F], F]: ...
    def register(
        self, function: F | None = None, /, *, name: str | None = None, where: Where | None = None
    ) -> F | Callable[[F], F]:
        """Add a callable; as a decorator, with or without arguments. Returns it as it is.

        Args:
            function: plain or `async def`; its parameters take JSON, checked against their annotations.
            name: by which tasks name it; its own by default.
            where: `process` for what computes long; otherwise async ones run in the loop, and plain
                ones in a thread.

        Raises:
            ValueError: the name is taken, or it can't run there; says what to do.
        """

        def add(function: F) -> F:
            declared = declare(function, name=name, where=where)
            if declared.name in self._all:
                msg = f"expected a free name for {function!r}, got {declared.name!r}: give it another `name`"
                raise ValueError(msg)
            self._all[declared.name] = declared
            return function

        return add if function is None else add(function)

    def find(self, name: str) -> Registered:
        """The callable of that name.

        Raises:
            UnknownFunction: there is none.
        """
        if (found := self._all.get(name)) is None:
            known = nearest(name, self._all, "none is registered: start_cast(callables=...)")
            msg = f"expected a registered callable ({known}), got {name!r}"
            raise UnknownFunction(msg)
        return found


def declare(
    function: Callable[..., Any], *, name: str | None = None, where: Where | None = None
) -> Registered:
    """A callable with what is known of it. `Raises:` see `Callables.register`."""
    name = name or getattr(function, "__name__", "")
    is_async = inspect.iscoroutinefunction(function)
    place: Where = where or ("loop" if is_async else "thread")
    if not name:
        msg = f"expected a name for {function!r}, which has none of its own: name=..."
        raise ValueError(msg)
    if is_async is not (place == "loop"):
        kind = "an async one" if is_async else "a plain one"
        msg = (
            f"expected an async callable in the loop, plain ones elsewhere, got {kind} for {place!r}: {name}"
        )
        raise ValueError(msg)
    if place == "process" and "<" in getattr(function, "__qualname__", "<"):
        msg = (
            f"expected a function of a module's top level for a process, got {function!r}: "
            "another process has to find it by its name"
        )
        raise ValueError(msg)
    signature = inspect.signature(function, eval_str=False)
    fields: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.name == CONTEXT:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            msg = f"expected parameters that can be given by name, got {parameter} of {name!r}"
            raise ValueError(msg)
        fields[parameter.name] = (
            _annotations(function).get(parameter.name, Any),
            ... if parameter.default is parameter.empty else parameter.default,
        )
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())
    takes = create_model(f"arguments of {name}", __config__=config, **fields) if fields else None
    return Registered(name, function, place, takes, CONTEXT in signature.parameters)


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Its annotations as types, without those that can't be resolved (imports for type checkers only)."""
    try:
        return inspect.get_annotations(function, eval_str=True)
    except (NameError, TypeError, SyntaxError, AttributeError):
        namespace: dict[str, Any] = getattr(function, "__globals__", {})
        found: dict[str, Any] = {}
        for name, annotation in inspect.get_annotations(function).items():
            try:
                found[name] = eval(annotation, namespace) if isinstance(annotation, str) else annotation  # noqa: S307 - the program's own source
            except (NameError, TypeError, SyntaxError, AttributeError):
                continue
        return found


def _where(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc)
