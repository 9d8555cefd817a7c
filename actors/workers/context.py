"""What a callable is given to say how far it is, and to learn that it is to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.actors.workers.executor import Attempt


class TaskContext(Protocol):
    """A callable with a parameter named `context` gets one; it may be used from the callable's thread.

    Attributes:
        task, attempt: the token of the attempt, for names that have to be unique.
        canceled: whether it is to end, being canceled or out of time. A thread can't be ended from
            outside: it has to look here, and has the grace period to return. Async callables are
            cancelled by trio, and processes get SIGTERM.
    """

    task: str
    attempt: int

    @property
    def canceled(self) -> bool:
        """See the class."""
        ...

    def progress(self, done: float, note: str = "") -> None:
        """Show how far it is, from 0 to 1, and in a few words at what."""
        ...

    def write(self, text: str) -> None:
        """Add to the output of the attempt."""
        ...


class AttemptContext:
    """The context of a callable in this process.

    Args:
        attempt: whose it is.
        said: called when there is something to show, from where the callable runs.
    """

    def __init__(self, attempt: Attempt, said: Callable[[], object]) -> None:
        self._said = said
        self.task = attempt.task
        self.attempt = attempt.number
        self._attempt = attempt

    @property
    def canceled(self) -> bool:
        """See `TaskContext`."""
        return self._attempt.canceled

    def progress(self, done: float, note: str = "") -> None:
        """See `TaskContext`."""
        self._attempt.progress, self._attempt.note = bounded(done), note[:200]
        self._said()

    def write(self, text: str) -> None:
        """See `TaskContext`."""
        self._attempt.capture.put(text.encode(errors="replace"))
        self._said()


def bounded(done: float) -> float:
    """A progress from 0 to 1, whatever a callable says."""
    return min(1.0, max(0.0, done)) if done == done else 0.0  # noqa: PLR0124 - not a number
