"""What running attempts show of themselves: not journaled, and bounded by the feed (WK-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.actors.projection import Unavailable, feed_of, show_live
from understudy.protocols.read_model import LIVE_CHARACTERS, LiveRow

if TYPE_CHECKING:
    from understudy.actors.workers.executor import Attempt
    from understudy.protocols.tasks import TaskView
    from understudy.supervision.system import ActorSystem

OF_A_FINISHED_TASK = ("command", "executor", "function", "queue", "priority", "timeout_s", "retries")
"""What the pool itself forgets when a task ends."""


def show(system: ActorSystem, attempt: Attempt) -> None:
    """Show viewers how far the attempt is, and the end of what it has written."""
    show_live(
        system,
        LiveRow(
            id=attempt.task,
            attempt=attempt.number,
            progress=attempt.progress,
            note=attempt.note,
            output=attempt.capture.end(LIVE_CHARACTERS),
            output_bytes=attempt.capture.total,
        ),
    )


def with_row(system: ActorSystem, view: TaskView) -> TaskView:
    """The view with what the read model and the running attempt add; as it is where there is none."""
    try:
        feed = feed_of(system)
    except Unavailable:
        return view
    row = feed.model.tasks.get(view.id)
    if row is None:
        return view
    update: dict[str, object] = {"output": row.excerpt, "output_bytes": row.output_bytes}
    update |= {"summary": row.summary, "retry_at": row.retry_at}
    if view.finished_at is not None:
        update |= {name: getattr(row, name) for name in OF_A_FINISHED_TASK}
    live = next((one for one in feed.live.shown() if one.id == view.id), None)
    if live is not None and view.status == "running" and live.attempt == view.attempts:
        update |= {"progress": live.progress, "note": live.note}
        update |= {"output": live.output, "output_bytes": live.output_bytes}
    return view.model_copy(update=update)
