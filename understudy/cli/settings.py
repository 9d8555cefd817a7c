"""Where a command finds its home, and what it takes from the environment. Only the CLI reads that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import BaseModel, ValidationError

from understudy.cli.exits import Exit, failure
from understudy.cli.visible import is_utf8

DEFAULT_PORT = 7433
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class Environment(BaseModel):
    """The variables that the commands read, where they are not empty; an option on the command line wins.

    Attributes:
        home: `UNDERSTUDY_HOME`, the home's folder. A shell task has its own home there, so that
            `understudy send` inside a task talks to the server that runs it.
        host: `UNDERSTUDY_HOST`, the address that `serve` listens on.
        port: `UNDERSTUDY_PORT`, its port; 0 picks a free one.
        log_level: `UNDERSTUDY_LOG_LEVEL`, what `serve` logs.
    """

    home: Path | None = None
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    log_level: LogLevel = "INFO"


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """The options that every command has."""

    home: Annotated[Path | None, Parameter(show_default=False)] = None
    """The home's folder [default: $UNDERSTUDY_HOME, else ~/.understudy]."""

    json: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Print one JSON document; errors as a problem object on standard error."""


COMMON = Common()

KeyOption = Annotated[str | None, Parameter(help="Idempotency key: the same one counts once.")]


def environment() -> Environment:
    """The environment's settings.

    Raises:
        CommandFailed: a variable has a value that does not fit (exit code 2).
    """
    given = {field: os.environ.get(_variable(field)) for field in Environment.model_fields}
    try:
        return Environment.model_validate({field: value for field, value in given.items() if value})
    except ValidationError as error:
        first = error.errors()[0]
        name = _variable(str(first["loc"][0]))
        detail = f"the variable {name} does not fit: {first['msg']}, got {first['input']!r}"
        raise failure(Exit.USAGE, "Bad environment", detail) from error


def home_path(common: Common) -> Path:
    """The absolute path of the home: the option, else the variable, else `~/.understudy`.

    The default is one home for a person, not one for a folder: `understudy send` typed anywhere
    reaches the same server. A project that wants its own sets the variable or the option.

    Raises:
        CommandFailed: its path is not UTF-8 (exit code 2).
    """
    chosen = common.home or environment().home or Path("~/.understudy")
    home = chosen.expanduser().absolute()
    if not is_utf8(str(home)):
        detail = (
            f"expected a home whose path is UTF-8, got {os.fsencode(home)!r}: --home or "
            "UNDERSTUDY_HOME names another"
        )
        raise failure(Exit.USAGE, "Usage", detail)
    return home


def _variable(field: str) -> str:
    return f"UNDERSTUDY_{field.upper()}"
