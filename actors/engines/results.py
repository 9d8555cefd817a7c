"""What people read about a task that has ended or a reminder that is due; no engine needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from understudy.protocols.engine import DueSchedule
    from understudy.protocols.tasks import TaskResult


def describe_result(result: TaskResult) -> str:
    """Outcome and (bounded) output; says when the output is cut, and where the rest is to be had."""
    text = f"{result.task} {result.status}"
    details = [result.reason] if result.reason else []
    if result.attempt > 1:
        details.append(f"attempt {result.attempt}")
    if details:
        text += f" ({', '.join(details)})"
    text += f": {result.title}"
    if result.output:
        text += f"\n{result.output}"
    if result.output_cut:
        text += f"\n(cut: {result.output_bytes} bytes in all; {result.task} has more)"
    return text


def describe_due(due: DueSchedule) -> str:
    """What a reminder says."""
    return f"Reminder: {due.text or due.title}"
