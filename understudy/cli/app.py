"""The `understudy` command: its subcommands, and how errors become messages and exit codes.

cyclopts rather than typer: annotations alone make the options, and shared ones are a dataclass.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from io import TextIOWrapper
from typing import TYPE_CHECKING, cast

from cyclopts import App, CycloptsError, UnknownOptionError, UnusedCliTokensError

from understudy.cli.entry import installed_version
from understudy.cli.exits import CommandFailed, Exit, Problem, failure, problem_of
from understudy.cli.output import help_console, print_nowhere, print_problem
from understudy.cli.visible import is_utf8
from understudy.protocols.errors import UnderstudyError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BROKEN_PIPE = 141


app = App(
    name="understudy",
    help="Supervised, durable actors and the work system built from them. "
    "When an actor falls, its understudy takes the stage and knows every line.",
    version=installed_version,
    result_action="return_value",
)
# By name, so that a command loads only what it needs: `send` does not wait for the web server's import.
app.command(
    "understudy.cli.demo:demo", name="demo", help="Show the main job with a real kill -9 in the middle."
)
app.command("understudy.cli.serve:serve", name="serve", help="Run the home until a signal ends it.")
app.command("understudy.cli.send:send", name="send", help="Say something to the manager.")
app.command(
    "understudy.cli.status:status", name="status", help="Show what runs, what waits, what needs a person."
)
app.command("understudy.cli.tasks:app", name="tasks", help="The tasks: list, show, add, cancel.")
app.command(
    "understudy.cli.notifications:app",
    name="notifications",
    help="What sinks were not told yet: list, retry.",
)
app.command(
    "understudy.cli.schedules:app",
    name="cron",
    help="The schedules: list, add, enable, disable, remove, next.",
)
app.command(
    "understudy.cli.journal:app",
    name="journal",
    help="The journals: tail, verify, repair, export, state, diff.",
)
app.command("understudy.cli.resume:resume", name="resume", help="Let halted actors go on.")


def run(arguments: Sequence[str]) -> int:
    """Run one command; never raises for what a user can meet.

    Returns:
        the exit code, see `Exit`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # what others wrote may not fit the terminal's encoding
    given = list(arguments)
    as_json = "--json" in given[: given.index("--")] if "--" in given else "--json" in given
    app.console = help_console()
    try:
        _require_utf8(given)
        try:
            command, bound, _ = app.parse_args(
                _common_behind_command(given), exit_on_error=False, print_error=False
            )
        finally:  # what was imported stays: the collector need not look through it again
            gc.freeze()
            gc.enable()
        result: object = command(*bound.args, **bound.kwargs)
        sys.stdout.flush()
    except BrokenPipeError:
        print_nowhere()
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the edge: everything becomes a message and a code
        problem = _problem(_unwrapped(error))
        print_problem(problem, as_json=as_json)
        return problem.exit
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:  # a nursery was open when Ctrl-C came
            raise
        return int(Exit.INTERRUPTED)
    return result if isinstance(result, int) else int(Exit.OK)


def _require_utf8(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no UTF-8: requests, journals and answers are JSON, which can't hold them.

    Raises:
        CommandFailed: an argument has some (exit code 2).
    """
    for place, text in enumerate(arguments, 1):
        if not is_utf8(text):
            detail = (
                f"expected arguments in UTF-8, got {os.fsencode(text)!r} as number {place}. Rename the file, "
                "or name it by a pattern that a shell expands: sh -c 'cat r?sum?.txt'"
            )
            raise failure(Exit.USAGE, "Usage", detail)


def _common_behind_command(arguments: list[str]) -> list[str]:
    """The same arguments with `--home` and `--json` behind the command when they stand before it."""
    command: list[str] = []
    common: list[str] = []
    rest, at = list(arguments), app
    while rest:
        if rest[0] == "--json" or rest[0].startswith("--home="):
            common.append(rest.pop(0))
        elif rest[0] == "--home":
            common += rest[:2]
            del rest[:2]
        elif not rest[0].startswith("-") and rest[0] in at:
            at = at[rest[0]]
            command.append(rest.pop(0))
        else:
            break
    return [*command, *common, *rest] if command else rest


def _unwrapped(error: Exception) -> Exception:
    """The one error inside of nested groups: nurseries wrap also what is alone."""
    if isinstance(error, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", error)
        return _unwrapped(group.exceptions[0]) if len(group.exceptions) == 1 else group
    return error


def _problem(error: Exception) -> Problem:
    if isinstance(error, CommandFailed):
        return error.problem
    if isinstance(error, UnderstudyError):
        return problem_of(error)
    if isinstance(error, CycloptsError):
        return Problem(title="Usage", detail=_usage(error), code="usage", exit=int(Exit.USAGE))
    if isinstance(error, OSError):
        return Problem(title="Failed", detail=str(error), code="os_error")
    traceback.print_exception(error)
    detail = f"{type(error).__name__}: {error}. This is a defect of Understudy; the lines above say where"
    return Problem(title="Unexpected error", detail=detail, code="unexpected")


def _usage(error: CycloptsError) -> str:
    """What does not fit, and the help of the command that it was given to."""
    what = str(error).partition(" Available commands:")[0].rstrip(".")  # that list is cut off; --help has all
    if isinstance(error, UnusedCliTokensError):
        more = " ".join(error.unused_tokens or ())
        what = f"expected nothing behind the arguments, got {more!r}; a text with spaces needs quotes"
    if isinstance(error, UnknownOptionError) and error.command_chain == ("cron", "add"):
        what += "; put -- before a COMMAND with options of its own"
    command = " ".join(["understudy", *(error.command_chain or ())])
    end = "" if what.endswith("?") else "."
    return f"{what}{end} `{command} --help` shows what fits"
