"""`tasks list | show | add | cancel`, and the others of that name from their modules."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt

from understudy.cli.answers import CancelAnswer, TaskPage
from understudy.cli.client import Client, ask
from understudy.cli.exits import Exit
from understudy.cli.offline import look_at, report_damage
from understudy.cli.one_task import TaskId, found_in, path_of
from understudy.cli.output import WIDE, Text, console, print_json, styled, table, when
from understudy.cli.server import address_of, require_home, require_server
from understudy.cli.settings import COMMON, Common, home_path
from understudy.cli.tasks_add import add
from understudy.cli.tasks_follow import logs, retry, wait
from understudy.protocols.read_model import TaskDetail
from understudy.protocols.tasks import DEFAULT_QUEUE, TaskStatus

app = App(name="tasks", help="The tasks: what the workers did, do and will do.")
app.command(add, help_flags=["--help"])  # `df -h` is a command to make a task of
app.command(logs)
app.command(wait)
app.command(retry)

LIMIT = 20


@app.command(name="list")
def list_tasks(
    *,
    limit: Annotated[PositiveInt, Parameter(alias="-n", help="How many, at most.")] = LIMIT,
    status: Annotated[TaskStatus | None, Parameter(help="Only those in this state.")] = None,
    common: Common = COMMON,
) -> int:
    """List the tasks, newest first: from the server, or from the files when none runs."""
    home = home_path(common)
    address = address_of(home)
    code = Exit.OK
    if address is None:
        look = look_at(require_home(home))
        code = report_damage(look, as_json=common.json)
        rows, following = look.model.tasks.page(limit, None, None if status is None else {status})
        page = TaskPage(tasks=rows, next=following)
    else:
        page = ask(address, partial(_list, limit=limit, status=status))
    if common.json:
        print_json(page)
    else:
        _print_list(page)
    return code


async def _list(client: Client, limit: int, status: TaskStatus | None) -> TaskPage:
    wanted = {} if status is None else {"status": status}
    rows, page = await client.read_list("/api/tasks", TaskPage, lambda page: page.tasks, limit, wanted)
    return TaskPage(tasks=rows, next=page.next)


def _print_list(page: TaskPage) -> None:
    out = console()
    if not page.tasks:
        out.print(Text("no tasks"))
        return
    if out.width < WIDE:
        rows = [[task.id, styled(task.status), task.title] for task in page.tasks]
        out.print(table(["id", "state", "title"], rows))
    else:
        wide = [
            [task.id, styled(task.status), str(task.attempts), when(task.created_at), task.title, task.why]
            for task in page.tasks
        ]
        out.print(table(["id", "state", "attempts", "created", "title", "why"], wide))
    if page.next is not None:
        out.print(Text("there are more: --limit shows them", style="dim"))


@app.command
def show(task_id: TaskId, /, *, common: Common = COMMON) -> int:
    """Show one task with its output: from the server, or from the files when none runs."""
    home = home_path(common)
    address = address_of(home)
    code = Exit.OK
    if address is None:
        look = look_at(require_home(home))
        code = report_damage(look, as_json=common.json)
        detail = found_in(look, home, task_id)
    else:
        detail = ask(address, lambda client: client.get(path_of(task_id), TaskDetail))
    if common.json:
        print_json(detail)
    else:
        _print_detail(detail)
    return code


def _print_detail(task: TaskDetail) -> None:
    out = console()
    facts: dict[str, str | Text] = {
        "task": task.id,
        "title": task.title,
        "state": styled(task.status),
        "attempts": str(task.attempts),
        "why": task.why,
        "progress": _progress(task),
        "queue": task.queue if task.queue != DEFAULT_QUEUE else "",
        "command": task.function or " ".join(task.command),
        "result": task.value or "",
        "exit code": "" if task.exit_code is None else str(task.exit_code),
        "created": when(task.created_at),
        "started": when(task.started_at),
        "finished": when(task.finished_at),
        "asked by": task.origin or task.schedule or "",
    }
    rows = [[name, value] for name, value in facts.items() if value]
    out.print(table(["", ""], rows, header=False))
    if task.live is not None and task.live.output:
        out.print(Text(f"output so far ({task.live.output_bytes} bytes, its end):", style="dim"))
        out.print(Text(task.live.output.rstrip("\n")), soft_wrap=True)
    elif task.output is not None and task.output.text:
        cut = ", its end" if task.output.cut else ""
        where = f", more in {task.output.file}" if task.output.file else ""
        out.print(Text(f"output ({task.output.total_bytes} bytes{cut}{where}):", style="dim"))
        out.print(Text(task.output.text.rstrip("\n")), soft_wrap=True)


def _progress(task: TaskDetail) -> str:
    """How far a running task is, as it says."""
    live = task.live
    if live is None:
        return ""
    done = "" if live.progress is None else f"{live.progress:.0%}"
    return " ".join(part for part in (done, live.note) if part)


@app.command
def cancel(task_id: TaskId, /, *, common: Common = COMMON) -> int:
    """Cancel a task: a pending one at once, a running one by signal, grace and kill. Needs a server."""
    home = home_path(common)
    address = require_server(home, "tasks cancel")
    answer = ask(address, lambda client: client.post(f"{path_of(task_id)}/cancel", CancelAnswer))
    if common.json:
        print_json(answer)
    else:
        ending = " while its process is being ended" if answer.status == "running" else ""
        console().print(Text.assemble(f"{answer.id}: ", styled(answer.status), ending))
    return Exit.OK
