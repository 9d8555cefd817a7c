"""The arithmetic of restart intensity: when has a supervisor restarted too often?"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class RestartWindow:
    """At most `intensity` restarts within `period_s` seconds; one more is too many.

    The boundary is OTP's: a restart that is exactly `period_s` old still counts, and the window is
    exceeded by restart number `intensity + 1` within it, so an intensity of 0 allows none at all.

    Source: Erlang/OTP, `supervisor:add_restart/1`.

    Attributes:
        intensity: restarts that are allowed within the period, 0 or more.
        period_s: length of the period in seconds, more than 0.
        restarts: times of those that still count, oldest first, on any clock that never steps back.

    Raises:
        ValueError: when it is made with an intensity or a period out of bounds.
    """

    intensity: int
    period_s: float
    restarts: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.intensity < 0:
            msg = f"expected an intensity of 0 or more restarts, got {self.intensity}"
            raise ValueError(msg)
        if not self.period_s > 0:
            msg = f"expected a period of more than 0 seconds, got {self.period_s}"
            raise ValueError(msg)

    def add(self, now: float) -> RestartWindow:
        """This window with one more restart, at `now`, and without those that have become too old.

        It keeps no more than it needs to tell (`intensity + 1`), however often it is called.
        """
        recent = (*(at for at in self.restarts if at >= now - self.period_s), now)
        return replace(self, restarts=recent[-self.intensity - 1 :])

    @property
    def exceeded(self) -> bool:
        """Whether the last restart that was added was one too many."""
        return len(self.restarts) > self.intensity
