"""`status`: the whole in one look, from the server, or from the files when none runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pydantic import BaseModel
from rich.console import Console

from understudy.actors.cron import schedule_problem, times
from understudy.actors.projection import ReadModel
from understudy.cli.answers import ActorPage, ServerStatus, TaskCounts
from understudy.cli.client import Client, ask
from understudy.cli.exits import CommandFailed, Exit
from understudy.cli.journal import place_of, state_of
from understudy.cli.offline import look_at
from understudy.cli.output import WIDE, Text, console, print_json, styled, table, when
from understudy.cli.server import owner_of, require_home
from understudy.cli.settings import COMMON, Common, home_path
from understudy.protocols.lifecycle import Halt, Problem
from understudy.protocols.read_model import ActorRow, Incident, ManagerRow
from understudy.supervision.journal import JournalReport

_ACTORS = 100
_INCIDENTS = 5
_THREADS = 5


class StatusAnswer(BaseModel):
    """What `status --json` prints.

    Attributes:
        state: of a running system `ok`, `degraded` or `halted`; `resting` when no server runs,
            `damaged` when none runs and a journal is damaged.
        pid: of the process that owns the home, None when nobody does; `address` is where it serves.
        abandoned_threads: attempts whose callable was given up, since it never returned, and still runs.
        problems: stored and configured items that can't be used now; everything else goes on.
        actors: of a running system; `journals` of a resting one.
    """

    home: str
    state: str
    running: bool
    pid: int | None = None
    address: str | None = None
    halted: list[Halt] = []
    blocked: list[Halt] = []
    problems: list[Problem] = []
    manager: ManagerRow = ManagerRow()
    tasks: TaskCounts = TaskCounts()
    abandoned_threads: list[str] = []
    messages: int = 0
    schedules: int = 0
    actors: list[ActorRow] = []
    incidents: list[Incident] = []
    journals: list[JournalReport] = []
    not_understood: list[str] = []


def status(*, common: Common = COMMON) -> int:
    """Show what runs, what waits, and what needs a person.

    Exit code 7 when a journal is damaged, 1 when an actor is halted.
    """
    home = home_path(common)
    owner = owner_of(home)
    if owner is not None and owner.address is not None:
        answer = ask(owner.address, partial(_from_server, home=home, pid=owner.pid))
    else:
        answer = _from_files(home, None if owner is None else owner.pid)
    if common.json:
        print_json(answer)
    else:
        _print(answer)
    return _code(answer)


def _code(answer: StatusAnswer) -> Exit:
    """Scripts that watch a home see by the code whether it needs a person."""
    if answer.blocked or not all(report.whole for report in answer.journals):
        return Exit.DAMAGED
    return Exit.FAILED if answer.halted else Exit.OK


async def _from_server(client: Client, home: Path, pid: int) -> StatusAnswer:
    found = await client.get("/api/status", ServerStatus)
    actors = await client.get("/api/actors", ActorPage, {"limit": _ACTORS})
    fields = found.model_dump(include=set(StatusAnswer.model_fields))
    return StatusAnswer.model_validate(
        fields
        | {"home": str(home), "running": True, "pid": pid, "address": client.address}
        | {"actors": [actor.model_dump() for actor in reversed(actors.actors)]}
    )


def _from_files(home: Path, pid: int | None) -> StatusAnswer:
    look = look_at(require_home(home))
    return StatusAnswer(
        home=str(home),
        state="resting" if look.whole else "damaged",
        running=False,
        pid=pid,
        manager=look.model.manager,
        tasks=TaskCounts.model_validate(dict(look.model.tasks.counts)),
        messages=len(look.model.messages),
        schedules=len(look.model.schedules),
        problems=_problems(home, look.model),
        journals=look.reports,
        not_understood=look.not_folded,
    )


def _problems(home: Path, model: ReadModel) -> list[Problem]:
    """The stored and configured items that a server could not use now."""
    found = [(row, times.problem_of(row.cron, row.timezone)) for row in model.schedules]
    shown = [schedule_problem(row.id, why) for row, why in found if why is not None and row.status != "done"]
    return shown + list(_configured_problems(home))


def _configured_problems(home: Path) -> tuple[Problem, ...]:
    from understudy.cli.config import CONFIG_FILE, read_config  # noqa: PLC0415 - other commands need not wait

    if not (home / CONFIG_FILE).exists():
        return ()
    try:
        return read_config(home).problems
    except CommandFailed as error:
        remedy = "change it: `understudy serve` does not start before"
        return (Problem(kind="configuration", name=CONFIG_FILE, reason=error.problem.detail, remedy=remedy),)


def _print(answer: StatusAnswer) -> None:
    out = console()
    counts = ", ".join(f"{count} {state}" for state, count in answer.tasks if count) or "none"
    manager = f"runs {answer.manager.run}" if answer.manager.run else "idle"
    waiting = f", {answer.manager.waiting} wake events wait" if answer.manager.waiting else ""
    facts: list[list[str | Text]] = [
        ["home", answer.home],
        ["state", styled(answer.state)],
        ["server", _server(answer)],
        ["manager", manager + waiting],
        ["tasks", counts],
        ["messages", str(answer.messages)],
        ["schedules", str(answer.schedules)],
    ]
    if answer.abandoned_threads:
        facts.insert(-2, ["threads", _threads(answer.abandoned_threads)])
    out.print(table(["", ""], facts, header=False))
    _print_needs(out, answer)
    if answer.actors:
        out.print()
        out.print(_actors(out, answer.actors))
    if answer.journals:
        out.print()
        rows = [[one.name, state_of(one), str(one.lines)] for one in answer.journals]
        out.print(table(["journal", "state", "turns"], rows))
    for incident in answer.incidents[:_INCIDENTS]:
        out.print(
            Text(f"{when(incident.at)} {incident.actor}: {incident.kind}: {incident.text}", style="dim")
        )


def _threads(attempts: list[str]) -> Text:
    shown = ", ".join(attempts[:_THREADS]) + (", …" if len(attempts) > _THREADS else "")
    return Text(f"{len(attempts)} never returned and run on until the server ends: {shown}", style="yellow")


def _server(answer: StatusAnswer) -> str:
    if answer.address is not None:
        return f"{answer.address}, process {answer.pid}"
    if answer.pid is not None:
        return f"process {answer.pid} has the home, but does not listen (yet)"
    return "none runs; this is what the files say"


def _print_needs(out: Console, answer: StatusAnswer) -> None:
    """What needs a person, with what to do."""
    for halt in [*answer.halted, *answer.blocked]:
        out.print(
            Text.assemble((f"{halt.actor}: ", "bold red"), f"{halt.error}. {halt.advice}"), soft_wrap=True
        )
    for problem in answer.problems:
        name = f"{problem.kind} {problem.name}: "
        out.print(
            Text.assemble((name, "bold yellow"), f"{problem.reason}. To mend it: {problem.remedy}."),
            soft_wrap=True,
        )
    for report in answer.journals:
        for damage in report.damage:
            text = (
                f"{place_of(damage)}. `understudy journal verify` shows all, `journal repair` sets it aside"
            )
            out.print(Text.assemble((f"{report.name}: ", "bold red"), text), soft_wrap=True)
    for line in answer.not_understood[:_INCIDENTS]:
        out.print(Text(f"not understood: {line}", style="yellow"), soft_wrap=True)


def _actors(out: Console, actors: list[ActorRow]) -> object:
    if out.width < WIDE:
        rows = [[one.name, styled(one.phase), str(one.restarts)] for one in actors]
        return table(["actor", "phase", "restarts"], rows)
    depth = _depths(actors)
    wide = [
        [
            "  " * depth[one.name] + one.name,
            styled(one.phase),
            str(one.mailbox),
            str(one.restarts),
            "-" if one.watermark is None else str(one.watermark),
            one.problem or one.last_failure or "",
        ]
        for one in actors
    ]
    return table(["actor", "phase", "mailbox", "restarts", "turns", "last failure"], wide)


def _depths(actors: list[ActorRow]) -> dict[str, int]:
    """How deep each actor hangs; parents come before their children."""
    depth: dict[str, int] = {}
    for one in actors:
        depth[one.name] = depth[one.parent] + 1 if one.parent in depth else 0
    return depth
