"""The manager's state: what waits, what runs, and which inputs have no final reply yet."""

from __future__ import annotations

from pydantic import BaseModel, Field

from understudy.protocols.engine import Wake


class RunInFlight(BaseModel):
    """The one run. `retry_at`: its last attempt failed, and the next begins then (epoch seconds)."""

    id: str
    batch: tuple[str, ...]
    attempt: int = 1
    failures: int = 0
    retry_at: float | None = None


class OpenInput(BaseModel):
    """An input without a final reply; `tasks` are those that it asked for and that have not ended."""

    session: str
    tasks: tuple[str, ...] = ()


class ManagerState(BaseModel):
    """`wakes` in order of arrival, those of the run in flight first."""

    next_input: int = 1
    next_message: int = 1
    next_run: int = 1
    wakes: dict[str, Wake] = Field(default_factory=dict)
    run: RunInFlight | None = None
    inputs: dict[str, OpenInput] = Field(default_factory=dict)
    session_id: str | None = None
