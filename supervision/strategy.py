"""What a supervisor does when a child is down: which children are restarted, and whether at all.

The words are OTP's. Source: Erlang/OTP, `supervisor`.
"""

from __future__ import annotations

from enum import Enum


class Strategy(Enum):
    """Which children are restarted when one of them has failed."""

    ONE_FOR_ONE = "one_for_one"
    """Only the one that failed: the children do not depend on each other."""

    ONE_FOR_ALL = "one_for_all"
    """All of them: each depends on each."""

    REST_FOR_ONE = "rest_for_one"
    """The one that failed and those started after it: each depends on those before it."""

    def affected(self, index: int, count: int) -> range:
        """The positions, in start order, of the children to restart when child `index` of `count` is down."""
        if self is Strategy.ONE_FOR_ONE:
            return range(index, index + 1)
        return range(0 if self is Strategy.ONE_FOR_ALL else index, count)


class Restart(Enum):
    """Whether a child that is down is started again."""

    PERMANENT = "permanent"
    """Always, also when it stopped by itself."""

    TRANSIENT = "transient"
    """Only after a failure."""

    TEMPORARY = "temporary"
    """Never; not when a sibling's failure took it down either."""

    def wanted(self, *, failed: bool) -> bool:
        """Whether a child of this kind is started again after a failure, or after a normal end."""
        return self is Restart.PERMANENT or (self is Restart.TRANSIENT and failed)
