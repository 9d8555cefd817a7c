"""Why a task waits, in one sentence."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from understudy.actors.workers.state import ActiveTask

WAITS = "waits for a free place"


def until(due_at: float, now: float, zone: ZoneInfo) -> str:
    """A time to come, as short as it can be: `18:00:00` today, else with its date."""
    try:
        due, today = datetime.fromtimestamp(due_at, zone), datetime.fromtimestamp(now, zone).date()
    except (ValueError, OverflowError, OSError):  # beyond all calendars
        return f"{due_at:.0f} seconds since 1970"
    return due.strftime("%H:%M:%S" if due.date() == today else "%Y-%m-%d %H:%M:%S")


def retry_of(failures: int, retries: int, due_at: float, now: float, zone: ZoneInfo) -> str:
    """What is said of a task whose attempt failed and that is tried again."""
    return f"retry {failures} of {retries} at {until(due_at, now, zone)}"


def lack_of(want: str, due_at: float, now: float, zone: ZoneInfo) -> str:
    """What is said of a task whose attempt could not begin, because the machine lacks something."""
    return f"waits for {want}, which the machine lacks; tried again at {until(due_at, now, zone)}"


def why_waiting(
    task: ActiveTask, older: Iterable[ActiveTask], obstacle: str, now: float, zone: ZoneInfo
) -> str:
    """Why a pending task waits.

    Args:
        task: the task.
        older: the other active tasks of its semantic key.
        obstacle: the limit that keeps a task of its queue waiting, in words; empty for none.
        now: the time, in seconds since the epoch.
        zone: for times.
    """
    if task.due_at is not None and task.due_at > now:
        if task.want:
            return lack_of(task.want, task.due_at, now, zone)
        if task.failures:
            return retry_of(task.failures, task.spec.retries, task.due_at, now, zone)
        if task.since is not None:
            return f'waits until {until(task.due_at, now, zone)} for newer tasks of "{task.spec.replace_key}"'
        return f"waits until {until(task.due_at, now, zone)}"
    for other in older:
        if other.status == "running":
            return f"waits for {other.id}, which it replaces, to end"
    return obstacle or WAITS
