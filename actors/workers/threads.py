"""Threads of callables that were given up and still run: of a system, whichever pool began them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from understudy.supervision.system import ActorSystem

_OF: WeakKeyDictionary[ActorSystem, dict[str, None]] = WeakKeyDictionary()


def threads_left(system: ActorSystem) -> dict[str, None]:
    """The attempts (`task-7/1`) whose threads run on by themselves, oldest first. On the loop's thread.

    A thread can't be ended from outside: it is here until its callable returns. A restart of the pool does
    not change that, so it is kept with the system.
    """
    return _OF.setdefault(system, {})
