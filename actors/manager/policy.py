"""What is done about runs that fail: numbers, and the pauses that follow from them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

WhenAllFail = Literal["keep", "answer"]


class RunPolicy(BaseModel):
    """How runs are tried. All times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when_all_fail: WhenAllFail = "keep"
    """`keep`: what waits is kept, and tried again without end. `answer`: after `failures` passes through the
    chain each input gets a fallback reply of the system's, and is consumed by it."""

    failures: int = Field(default=3, ge=1)
    """Passes through the chain; with `keep`, after so many the conversation is told that it waits."""

    crashes: int = Field(default=20, ge=0)
    """So often the runtime may go down under a run before its inputs get fallback replies, whatever
    `when_all_fail` says: an input must not keep the runtime from running."""

    retry_delay_s: float = Field(default=1.0, ge=0)
    """The pause after the first pass, doubled each time."""

    retry_cap_s: float = Field(default=60.0, ge=0)
    """The longest pause."""

    run_timeout_s: float = Field(default=600.0, gt=0)
    """An attempt that takes longer has failed."""

    resume_timeout_s: float = Field(default=30.0, gt=0)
    """An engine's session that is not found again in that time is begun anew."""

    correction_rounds: int = Field(default=3, ge=0)
    """How often actions that can't be done are sent back to the engine."""

    def gives_up(self, passes: int) -> bool:
        """Whether so many passes through the chain are enough."""
        return self.when_all_fail == "answer" and passes >= self.failures

    def pause_s(self, passes: int) -> float:
        """How long to wait after so many passes."""
        return min(self.retry_cap_s, self.retry_delay_s * 2.0 ** min(passes - 1, 64))
