"""What running attempts show of themselves: not journaled, and bounded by the feed (WK-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.actors.projection import show_live
from understudy.protocols.read_model import LIVE_CHARACTERS, LiveRow

if TYPE_CHECKING:
    from understudy.actors.workers.executor import Attempt
    from understudy.supervision.system import ActorSystem


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
