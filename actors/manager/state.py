"""The manager's state: what waits, what runs, and which inputs have no final reply yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from understudy.protocols.engine import HistoryMessage, Persona, UserInput, Wake

if TYPE_CHECKING:
    from collections.abc import Iterable

REMEMBERED = 2_000
"""So many consumed results and reminders are remembered, to know one that comes twice."""
SHOWN_MESSAGES = 50
"""So many messages of the conversation are shown to a run."""
SHOWN_CHARACTERS = 2_000
"""So much of each of them."""


class RunInFlight(BaseModel):
    """The one run.

    Attributes:
        attempt: counts from 1; with the id it is the token of what the attempt reports (rule E1).
        engine: whose attempt it is.
        running: whether the attempt is under way; false when it has failed or the runtime was stopped.
        failures: attempts that have failed.
        crashes: attempts that the runtime went down under.
        error: of the last one that failed.
        retry_at: all engines have failed, and the next attempt begins then (epoch seconds).
    """

    id: str
    batch: tuple[str, ...]
    engine: str = ""
    attempt: int = 1
    running: bool = True
    failures: int = 0
    crashes: int = 0
    error: str = ""
    retry_at: float | None = None


class OpenInput(BaseModel):
    """An input without a final reply; `tasks` are those that it asked for and that have not ended."""

    session: str
    tasks: tuple[str, ...] = ()
    text: str = ""
    at: float = 0.0


class Queue(BaseModel):
    """One of S1's two queues of wake events: `cursor` of `total` records are consumed.

    Both begin anew when it is compacted.
    """

    cursor: int = 0
    total: int = 0


class ManagerState(BaseModel):
    """What the manager's journal says.

    Attributes:
        wakes: in order of arrival, those of the run in flight first.
        inputs: those without a final reply.
        inputs_queue: inputs and reminders; `results_queue`: the results of tasks.
        consumed: ids of results and reminders that no longer wait, oldest first.
        sessions: the session of each engine, by its name.
        answering: the engine that answered last.
        recent: the end of the conversation, for the next runs.
        persona: what the evolver has learned.
    """

    next_input: int = 1
    next_message: int = 1
    next_run: int = 1
    wakes: dict[str, Wake] = Field(default_factory=dict)
    run: RunInFlight | None = None
    inputs: dict[str, OpenInput] = Field(default_factory=dict)
    inputs_queue: Queue = Field(default_factory=Queue)
    results_queue: Queue = Field(default_factory=Queue)
    consumed: dict[str, None] = Field(default_factory=dict)
    sessions: dict[str, str] = Field(default_factory=dict)
    answering: str | None = None
    recent: list[HistoryMessage] = Field(default_factory=list[HistoryMessage])
    persona: Persona | None = None

    def knows(self, wake_id: str) -> bool:
        """Whether a wake event of this id waits, or was consumed not too long ago."""
        return wake_id in self.wakes or wake_id in self.consumed

    def come(self, wake: Wake) -> None:
        """A wake event is the last in its queue."""
        self.wakes[wake.id] = wake
        self._queue_of(wake).total += 1

    def consume(self, batch: Iterable[str]) -> None:
        """These have been dealt with."""
        for name in batch:
            wake = self.wakes.pop(name)
            self._queue_of(wake).cursor += 1
            if not isinstance(wake, UserInput):  # ids of inputs are given here, once each
                self.consumed[name] = None
        while len(self.consumed) > REMEMBERED:
            del self.consumed[next(iter(self.consumed))]

    def say(self, message: HistoryMessage) -> None:
        """Something was said: to be shown to the next runs."""
        self.recent.append(message)
        del self.recent[:-SHOWN_MESSAGES]

    def _queue_of(self, wake: Wake) -> Queue:
        return self.results_queue if wake.wake == "task_done" else self.inputs_queue
