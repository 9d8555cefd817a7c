"""The rules between tasks: one task of a fingerprint, the newest of a semantic key, debouncing (WK-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from understudy.protocols.errors import DuplicateTask
from understudy.protocols.tasks import DEBOUNCE_ROUNDS

if TYPE_CHECKING:
    from understudy.actors.workers.state import ActiveTask
    from understudy.protocols.tasks import TaskSpec


class Start(NamedTuple):
    """When a new task may start: not before `due_at` (None: at once); see `TaskCreated`."""

    due_at: float | None
    since: float | None


class Keys:
    """Which active tasks hold a fingerprint or a semantic key. Computed from the pool's state."""

    def __init__(self) -> None:
        self._fingerprints: dict[str, ActiveTask] = {}
        self._holders: dict[str, list[ActiveTask]] = {}

    def add(self, task: ActiveTask) -> None:
        """The task is active."""
        if (fingerprint := task.spec.fingerprint) is not None:
            self._fingerprints.setdefault(fingerprint, task)
        if (key := task.spec.replace_key) is not None:
            self._holders.setdefault(key, []).append(task)

    def remove(self, task: ActiveTask) -> None:
        """The task is over."""
        if (fingerprint := task.spec.fingerprint) is not None and (
            self._fingerprints.get(fingerprint) is task
        ):
            del self._fingerprints[fingerprint]
        if (key := task.spec.replace_key) is not None and (holders := self._holders.get(key)) is not None:
            holders[:] = [other for other in holders if other is not task]
            if not holders:
                del self._holders[key]

    def check(self, spec: TaskSpec) -> None:
        """Whether a task like this may be made beside the active ones.

        Raises:
            DuplicateTask: one of them has its fingerprint.
        """
        if spec.fingerprint is None or (other := self._fingerprints.get(spec.fingerprint)) is None:
            return
        msg = (
            f"expected no active task with the fingerprint {spec.fingerprint!r}, got {other.id}, "
            f"which is {other.status}: wait for its end, or cancel it"
        )
        raise DuplicateTask(msg, task=other.id)

    def holders(self, key: str | None) -> tuple[ActiveTask, ...]:
        """The active tasks of a semantic key, oldest first: at most one that runs and one that waits."""
        return () if key is None else tuple(self._holders.get(key, ()))

    def start_of(self, spec: TaskSpec, now: float) -> Start:
        """When a task like this may start, made now: `start_at`, and the rule of debouncing.

        Each task of a key puts the start off by its `debounce_s` from now on, but no further than
        `DEBOUNCE_ROUNDS` times that from the first task of the chain, so that a steady stream of them
        does not put it off for ever. What waits in its window hands its chain on to the next one.
        """
        due_at = spec.start_at
        since = None
        if spec.debounce_s:
            chain = [
                other.since
                for other in self.holders(spec.replace_key)
                if other.status == "pending" and other.attempts == 0 and other.since is not None
            ]
            since = chain[-1] if chain else now
            window_end = min(now + spec.debounce_s, since + DEBOUNCE_ROUNDS * spec.debounce_s)
            due_at = max(window_end, due_at or 0.0)
        return Start(due_at if due_at is not None and due_at > now else None, since)
