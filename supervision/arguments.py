"""The checks of what an actor is to be made of: its class and its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.supervision.actor import Actor

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_class(actor_class: object) -> None:
    """Refuse what is no class of an actor of ours.

    Raises:
        TypeError.
    """
    if isinstance(actor_class, type) and issubclass(actor_class, Actor):
        return
    got = actor_class.__name__ if isinstance(actor_class, type) else type(actor_class).__name__
    msg = f"expected a subclass of understudy.Actor or understudy.PersistentActor, got {got}"
    raise TypeError(msg)


def check_positional(actor_class: object, positional: tuple[object, ...]) -> None:
    """Refuse arguments without a name; the first is most often meant as the actor's name.

    Raises:
        TypeError.
    """
    if positional:
        kind = getattr(actor_class, "__name__", "SomeActor")
        msg = (
            f"expected the name and the arguments of {kind} by keyword, got {len(positional)} without: "
            f'spawn({kind}, name="...")'
        )
        raise TypeError(msg)


def check_arguments(actor_class: type[Actor], arguments: Mapping[str, object]) -> None:
    """Refuse arguments for a class without an `__init__` of its own: nothing would read them.

    Raises:
        TypeError.
    """
    if arguments and actor_class.__init__ is Actor.__init__:
        msg = (
            f"expected no arguments for {actor_class.__name__}, which has no __init__ to take them, "
            f"got: {', '.join(list(arguments)[:5])}"
        )
        raise TypeError(msg)
