"""The second in which everything is due."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

AHEAD_S = 2.5
"""At least so long from now: time to arm what is to be due."""


class Moment:
    """A whole second to come.

    Attributes:
        due: seconds since the epoch.
    """

    def __init__(self) -> None:
        self.due = float(math.ceil(time.time() + AHEAD_S))

    def armed(self) -> None:
        """Everything is armed.

        Raises:
            RuntimeError: the moment has passed by then, so that lateness would be of the arming.
        """
        left = self.due - time.time()
        if left <= 0:
            raise RuntimeError(f"expected all to be armed in time, got it {-left:.3f} s late")

    def late_ms(self, starts: Sequence[float]) -> float:
        """Milliseconds from the moment to the last of `starts`.

        Raises:
            RuntimeError: something started before it was due.
        """
        if min(starts) < self.due:
            raise RuntimeError(f"expected nothing to start early, got {self.due - min(starts):.6f} s")
        return (max(starts) - self.due) * 1e3
