"""The part of a request's body that says what a task carries out: of tasks and of schedules."""

from __future__ import annotations

from pydantic import Field

from understudy.protocols.tasks import DEFAULT_QUEUE, Name, Variable, Word
from understudy.webui.context import Body


class NewWork(Body):
    """What to do, and within which bounds. A command runs without a shell in between."""

    command: tuple[Word, ...] = Field(default=(), max_length=10_000, examples=[["echo", "hello"]])
    executor: str = Field(default="shell", min_length=1, max_length=100)
    function: str = Field(default="", max_length=200, description="the callable that `python` calls")
    arguments: dict[str, object] = Field(default={}, description="its arguments by name")
    queue: Name = Field(default=DEFAULT_QUEUE, description="its tasks share a limit, if it has one")
    priority: int = Field(default=0, ge=-1000, le=1000, description="a higher one starts first")
    timeout_s: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="bound of one attempt"
    )
    retries: int = Field(default=0, ge=0, le=100, description="attempts after a failed one")
    retry_delay_s: float = Field(default=1.0, ge=0, le=3600, allow_inf_nan=False)
    workspace: str | None = Field(default=None, min_length=1, max_length=4000, examples=["site"])
    env: dict[Variable, Word] = Field(default={}, description="further environment variables")

    def fields(self) -> dict[str, object]:
        """Of the message's part that it stands for."""
        return {**self.model_dump(exclude={"key"}), "env": tuple(self.env.items())}
