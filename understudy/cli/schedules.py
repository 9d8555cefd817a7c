"""`cron list | add | enable | disable | remove | run | next`."""

from __future__ import annotations

import json
import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt
from pydantic import BaseModel, RootModel, ValidationError

from understudy.actors.cron import expressions, times
from understudy.actors.cron.machine import machine_zone
from understudy.actors.projection import detail_of
from understudy.cli.answers import ScheduleAnswer, SchedulePage
from understudy.cli.client import Client, Keyed, ask
from understudy.cli.exits import Exit, failure
from understudy.cli.offline import look_at, report_damage
from understudy.cli.output import Text, console, print_json, styled, table, when
from understudy.cli.server import address_of, require_home, require_server
from understudy.cli.settings import COMMON, Common, KeyOption, home_path
from understudy.protocols.errors import BadSchedule, NotFound, Refused
from understudy.protocols.read_model import ScheduleDetail
from understudy.protocols.schedules import Misfire, Overlap, ScheduleKind, ScheduleSpec, Waking
from understudy.protocols.tasks import DEFAULT_QUEUE

if TYPE_CHECKING:
    from pathlib import Path

app = App(name="cron", help="The schedules: what is due when, and what became of it.")

ScheduleId = Annotated[str, Parameter(help="The schedule's id, such as sched-1.")]
LIMIT = 20
RUNS = 5
_RUNS_MAX = 20
_TITLE_CHARACTERS = 80
_WIDE = 110  # below it, eight columns would be read letter by letter


Verb = Literal["enable", "disable", "remove", "run"]
_DONE = {"enable": "enabled", "disable": "disabled", "remove": "removed", "run": "fired"}


class NextRuns(BaseModel):
    """What `cron next --json` prints: nominal times, in seconds since the epoch."""

    timezone: str
    runs: list[float]


@app.command(name="list")
def list_schedules(
    *,
    limit: Annotated[PositiveInt, Parameter(alias="-n", help="How many, at most.")] = LIMIT,
    common: Common = COMMON,
) -> int:
    """List the schedules, newest first: from the server, or from the files when none runs."""
    home = home_path(common)
    address = address_of(home)
    code = Exit.OK
    if address is None:
        look = look_at(require_home(home))
        code = report_damage(look, as_json=common.json)
        rows, following = look.model.schedules.page(limit, None)
        page = SchedulePage(schedules=[detail_of(look.model, row, 1) for row in rows], next=following)
    else:
        page = ask(address, partial(_list, limit=limit))
    if common.json:
        print_json(page)
    else:
        _print_list(page)
    return code


async def _list(client: Client, limit: int) -> SchedulePage:
    rows, page = await client.read_list(
        "/api/schedules", SchedulePage, lambda page: page.schedules, limit, {"runs": 1}
    )
    return SchedulePage(schedules=rows, next=page.next)


def _print_list(page: SchedulePage) -> None:
    out = console()
    if not page.schedules:
        out.print(Text("no schedules"))
        return
    if out.width < _WIDE:
        rows = [[one.id, _state(one), when(one.next_at), one.title] for one in page.schedules]
        out.print(table(["id", "state", "next", "title"], rows))
    else:
        wide = [_row(one) for one in page.schedules]
        out.print(table(["id", "state", "due", "zone", "next", "fired", "not fired", "title"], wide))
    if page.next is not None:
        out.print(Text("there are more: --limit shows them", style="dim"))


def _row(one: ScheduleDetail) -> list[str | Text]:
    facts = [_due(one), one.timezone, when(one.next_at), str(one.firings), _not_fired(one), one.title]
    return [one.id, _state(one), *facts]


def _state(one: ScheduleDetail) -> Text:
    return styled(one.status) if one.problem is None else Text("unusable", style="yellow")


def _due(one: ScheduleDetail) -> str:
    if one.cron is not None or one.at is None:
        return one.cron or "once"
    return when(one.at) if one.problem else times.show(one.at, ZoneInfo(one.timezone))


def _not_fired(one: ScheduleDetail) -> str:
    """Why times of it made no task, as far as there were any."""
    parts = [f"can't fire: {one.problem}"] if one.problem else []
    parts += [f"{one.missed} missed"] if one.missed else []
    if one.skipped is not None:
        parts.append(f"{one.skipped.count} skipped: {one.skipped.task or one.skipped.rule} was in the way")
    return ", ".join(parts)


@app.command(help_flags=["--help"])  # `df -h` is a command to make a schedule of
def add(  # noqa: PLR0913 -- a schedule has so many facets; each is an option of its own
    *command: Annotated[
        str, Parameter(help="Program and arguments; behind `--` when one begins with a dash.")
    ],
    cron: Annotated[str | None, Parameter(help='When, such as "0 7 * * 1-5".')] = None,
    at: Annotated[str | None, Parameter(help="Or once: 2026-12-24T18:00, 18:00, +5m.")] = None,
    timezone: Annotated[str | None, Parameter(help="IANA zone of these; the home's by default.")] = None,
    title: Annotated[str | None, Parameter(help="Its name in lists; the command by default.")] = None,
    kind: Annotated[ScheduleKind, Parameter(help="A reminder needs no command.")] = "background",
    text: Annotated[str, Parameter(help="What a reminder says.")] = "",
    wake: Annotated[Waking, Parameter(help="`always`: tell the manager at each firing.")] = "done",
    misfire: Annotated[Misfire, Parameter(help="Of times that nobody could fire: which do fire.")] = "once",
    misfire_limit: Annotated[int, Parameter(help="How many of them, with `all`.")] = 10,
    misfire_grace: Annotated[float, Parameter(help="Less late than so many seconds is no misfire.")] = 60.0,
    overlap: Annotated[Overlap, Parameter(help="While a task of an earlier firing is active.")] = "allow",
    jitter: Annotated[float, Parameter(help="Each firing is up to so many seconds late.")] = 0.0,
    timeout: Annotated[float | None, Parameter(help="Bound of one attempt, in seconds.")] = None,
    retries: Annotated[int, Parameter(help="Attempts after a failed one.")] = 0,
    executor: Annotated[str, Parameter(help="What carries its tasks out.")] = "shell",
    function: Annotated[str, Parameter(help="The callable that the executor `python` calls.")] = "",
    arguments: Annotated[str, Parameter(help="Its arguments, as a JSON object.")] = "{}",
    queue: Annotated[str, Parameter(help="Its tasks share a limit, if it has one.")] = DEFAULT_QUEUE,
    priority: Annotated[int, Parameter(help="Of its tasks: a higher one starts first.")] = 0,
    workspace: Annotated[str | None, Parameter(help="Folder that its tasks work in.")] = None,
    common: Common = COMMON,
) -> int:
    """Make a schedule: each firing makes a task. Durable when this returns. Needs a server."""
    home = home_path(common)
    if (cron is None) == (at is None):
        detail = "expected either --cron EXPRESSION or --at TIME, got " + (
            "neither" if at is None else "both"
        )
        raise failure(Exit.USAGE, "Usage", detail)
    if not command and kind == "background" and executor == "shell":
        raise failure(Exit.USAGE, "Usage", "expected a COMMAND to run, got none; only a reminder needs none")
    fields = {
        "title": title or (" ".join(command) or function or text)[:_TITLE_CHARACTERS],
        "command": command,
        "cron": cron,
        "at": None if at is None else _time(at, timezone, home),
        "timezone": timezone,
        "kind": kind,
        "text": text,
        "wake": wake,
        "misfire": misfire,
        "misfire_limit": misfire_limit,
        "misfire_grace_s": misfire_grace,
        "overlap": overlap,
        "jitter_s": jitter,
        "timeout_s": timeout,
        "retries": retries,
        "executor": executor,
        "function": function,
        "arguments": arguments,
        "queue": queue,
        "priority": priority,
        "workspace": workspace,
    }
    try:
        spec = ScheduleSpec.model_validate(fields)
    except ValidationError as error:
        detail = "; ".join(_flaw(one["loc"], one["msg"], one["input"]) for one in error.errors())
        raise failure(Exit.USAGE, "Bad schedule", detail) from None
    address = require_server(home, "cron add")
    answer = ask(address, lambda client: client.post("/api/schedules", ScheduleAnswer, _body(spec)))
    if common.json:
        print_json(answer)
    else:
        console().print(Text(f"{answer.id}, next {when(answer.next_at)}"))
    return Exit.OK


def _time(at: str, timezone: str | None, home: Path) -> datetime | str:
    """What `/at` reckons from now, in the zone that the home's file names; a date's time the server reads."""
    # Here, since they cost the other commands a tenth of a second.
    from understudy.actors.engines import commands  # noqa: PLC0415
    from understudy.cli.config import read_config  # noqa: PLC0415

    if not commands.is_from_now(at):
        return at
    zone = times.find_zone(timezone or read_config(home).cast.timezone)
    try:
        return commands.moment(at, zone, time.time())
    except Refused:
        raise failure(Exit.USAGE, "Bad schedule", _bad_time(at)) from None


def _bad_time(given: object) -> str:
    return f"expected --at as a time such as 2026-12-24T18:00, 18:00 or +5m, got {given!r}"


def _flaw(where: tuple[int | str, ...], what: str, given: object) -> str:
    """What does not fit, under the option's name."""
    if where == ("at",):
        return _bad_time(given)
    option = f"--{where[0]}: ".replace("_s: ", ": ").replace("_", "-") if where else ""
    return option + what.removeprefix("Value error, ")


def _body(spec: ScheduleSpec) -> BaseModel:
    """The request that stands for it: where the message has JSON text and pairs, it has objects."""
    fields = spec.model_dump(mode="json", exclude_none=True)
    return RootModel(fields | {"arguments": json.loads(spec.arguments), "env": dict(spec.env)})


@app.command
def enable(schedule_id: ScheduleId, /, *, common: Common = COMMON) -> int:
    """Let a schedule fire again; what passed meanwhile is not made up for. Needs a server."""
    return _change(schedule_id, "enable", common)


@app.command
def disable(schedule_id: ScheduleId, /, *, common: Common = COMMON) -> int:
    """Keep a schedule, but let nothing fire. Needs a server."""
    return _change(schedule_id, "disable", common)


@app.command
def remove(schedule_id: ScheduleId, /, *, common: Common = COMMON) -> int:
    """Take a schedule away for good. Needs a server."""
    return _change(schedule_id, "remove", common)


@app.command
def run(schedule_id: ScheduleId, /, *, key: KeyOption = None, common: Common = COMMON) -> int:
    """Fire a schedule once now; when it is due next stays as it is. Durable. Needs a server."""
    return _change(schedule_id, "run", common, key)


def _change(schedule_id: str, verb: Verb, common: Common, key: str | None = None) -> int:
    address = require_server(home_path(common), f"cron {verb}")
    path = f"{_path(schedule_id)}/{verb}"
    answer = ask(address, lambda client: client.post(path, ScheduleAnswer, Keyed(key=key)))
    if common.json:
        print_json(answer)
    else:
        shown = verb == "enable" and answer.next_at is not None
        console().print(
            Text(f"{answer.id}: {_DONE[verb]}{f', next {when(answer.next_at)}' if shown else ''}")
        )
    return Exit.OK


@app.command(name="next")
def next_runs(
    what: Annotated[str, Parameter(help="A schedule's id, or an expression such as '0 7 * * 1-5'.")],
    /,
    *,
    count: Annotated[PositiveInt, Parameter(alias="-n", help="How many times, 20 at most.")] = RUNS,
    timezone: Annotated[
        str | None, Parameter(help="Zone of an expression; this machine's by default.")
    ] = None,
    common: Common = COMMON,
) -> int:
    """Show when a schedule is due next, or when one with that expression would be."""
    runs = min(count, _RUNS_MAX)
    code = Exit.OK
    if " " in what or what.startswith("@"):
        zone = times.find_zone(timezone or machine_zone())
        expressions.check(what)
        first = times.next_due(what, zone, time.time())
        answer = NextRuns(timezone=zone.key, runs=list(times.next_runs(what, zone, first, runs)))
    else:
        home = home_path(common)
        address = address_of(home)
        if address is None:
            look = look_at(require_home(home))
            code = report_damage(look, as_json=common.json)
            row = look.model.schedules.get(what)
            if row is None:
                raise NotFound(_unknown(home, what))
            detail = detail_of(look.model, row, runs)
        else:
            detail = ask(address, lambda client: client.get(_path(what), ScheduleDetail, {"runs": runs}))
        if detail.problem is not None:
            raise BadSchedule(f"{what} can't fire: {detail.problem}")
        answer = NextRuns(timezone=detail.timezone, runs=list(detail.next_runs))
    if common.json:
        print_json(answer)
    else:
        _print_runs(answer)
    return code


def _print_runs(answer: NextRuns) -> None:
    out = console()
    zone = ZoneInfo(answer.timezone)
    for moment in answer.runs:
        day = datetime.fromtimestamp(moment, zone).strftime("%a")
        out.print(Text(f"{day} {times.show(moment, zone)}"))
    if not answer.runs:
        out.print(Text("nothing is due: it is disabled, or done"))


def _unknown(home: Path, schedule_id: str) -> str:
    return f"{home} has no schedule {schedule_id!r}: `understudy cron list` shows those that there are"


def _path(schedule_id: str) -> str:
    """The schedule's path; an id with a slash is quoted, so that it names no other path."""
    return f"/api/schedules/{quote(schedule_id, safe='')}"
