"""One task, as the commands name it, ask for it and find it in the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from cyclopts import Parameter

from understudy.protocols.errors import NotFound

if TYPE_CHECKING:
    from pathlib import Path

    from understudy.cli.offline import Look
    from understudy.protocols.read_model import TaskDetail

TaskId = Annotated[str, Parameter(help="The task's id, such as task-7.")]


def path_of(task_id: str) -> str:
    """The task's path; an id with a slash is quoted, so that it names no other path."""
    return f"/api/tasks/{quote(task_id, safe='')}"


def found_in(look: Look, home: Path, task_id: str) -> TaskDetail:
    """The task in the files of a home.

    Raises:
        NotFound: there is none of that id.
    """
    detail = look.model.task_detail(task_id)
    if detail is None:
        msg = f"{home} has no task {task_id!r}: `understudy tasks list` shows those that there are"
        raise NotFound(msg)
    return detail
