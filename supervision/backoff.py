"""The arithmetic of backoff: how long to wait before a child is started again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with a cap and jitter, which starts anew after a stable time.

    Attributes:
        initial_s: wait before the first restart, in seconds; 0 restarts without a wait.
        factor: what each further wait is multiplied by, 1 or more.
        cap_s: no wait is longer, jitter included.
        jitter: the part of a wait that is random, 0 to 1: 0.2 spreads it over ±20 %, so that
            children that failed together do not come back together.
        stable_s: a child that ran at least this long has recovered: its next wait is the first again.

    Raises:
        ValueError: when it is made with a number out of bounds.
    """

    initial_s: float = 0.1
    factor: float = 2.0
    cap_s: float = 30.0
    jitter: float = 0.2
    stable_s: float = 10.0

    def __post_init__(self) -> None:
        _check("initial_s", self.initial_s, at_least=0)
        _check("factor", self.factor, at_least=1)
        _check("cap_s", self.cap_s, at_least=self.initial_s)
        _check("jitter", self.jitter, at_least=0, at_most=1)
        _check("stable_s", self.stable_s, at_least=0)

    def delay_s(self, failures: int, random: Random) -> float:
        """Seconds to wait after the `failures`-th failure in a row (from 1)."""
        base = self._base_s(failures)
        spread = base * self.jitter
        return min(self.cap_s, base + random.uniform(-spread, spread))

    def failures_in_a_row(self, before: int, ran_s: float) -> int:
        """How many failures in a row it is now, when there were `before` and the child ran for `ran_s`."""
        return 1 if ran_s >= self.stable_s else before + 1

    def _base_s(self, failures: int) -> float:
        if failures < 1:
            msg = f"expected the number of a failure, from 1, got {failures}"
            raise ValueError(msg)
        if self.initial_s == 0 or self.factor == 1:
            return self.initial_s
        try:
            return min(self.cap_s, self.initial_s * self.factor ** (failures - 1))
        except OverflowError:  # after some hundred failures; the cap was reached long before
            return self.cap_s


def _check(name: str, value: float, *, at_least: float, at_most: float = math.inf) -> None:
    if not (at_least <= value <= at_most and math.isfinite(value)):
        wanted = f"at least {at_least:g}" if at_most == math.inf else f"between {at_least:g} and {at_most:g}"
        msg = f"expected {name} to be a finite number of {wanted}, got {value}"
        raise ValueError(msg)
