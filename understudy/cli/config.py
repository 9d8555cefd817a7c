"""`HOME/config/understudy.toml`: how `serve` runs this home. Written by people, read once at the start."""

from __future__ import annotations

import os
import pwd
import tomllib
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, TypeAdapter, ValidationError

from understudy.actors.cast import CastConfig
from understudy.actors.notifier import SinkConfig, check_files
from understudy.actors.workers.admission import BUILT_IN, check_profiles
from understudy.cli.exits import Exit, failure
from understudy.cli.redaction import redact
from understudy.protocols.errors import NotConfigured
from understudy.protocols.lifecycle import Problem
from understudy.supervision.home import Home
from understudy.supervision.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

CONFIG_FILE = "config/understudy.toml"


class HttpConfig(BaseModel):
    """Who is answered besides the owner's processes and root's: `users` by name or number, or `all`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: tuple[str | int, ...] | Literal["all"] = ()

    def uids(self) -> tuple[tuple[int, ...] | None, tuple[Problem, ...]]:
        """Their numbers, None for all; and what is wrong with names that this machine does not know."""
        if self.users == "all":
            return None, ()
        found: list[int] = []
        problems: list[Problem] = []
        for user in self.users:
            try:
                found.append(user if isinstance(user, int) else pwd.getpwnam(user).pw_uid)
            except KeyError:
                problems.append(_user_problem(str(user)))
        return tuple(found), tuple(problems)


def _user_problem(user: str) -> Problem:
    reason = f"http.users: this machine has no user {user!r}, so no process of theirs is answered"
    remedy = f"change or remove the name in {CONFIG_FILE}, and start again"
    return Problem(kind="configuration", name=user[:64], reason=reason, remedy=remedy)


class LogConfig(BaseModel):
    """How much of the log is kept: files of `file_bytes`, of which the newest `files` stay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_bytes: int = Field(default=16 << 20, ge=64 << 10)
    files: int = Field(default=5, ge=2, le=1000)


class HomeConfig(BaseModel):
    """The file's tables; each may be missing, and so may each of its keys.

    Attributes:
        cast: what the actors are made with.
        http: who is answered.
        log: how much of the log is kept.
        runtime: sizes and times of journals and turns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cast: CastConfig = Field(default_factory=CastConfig)
    http: HttpConfig = Field(default_factory=HttpConfig)
    log: LogConfig = Field(default_factory=LogConfig)
    runtime: Settings = Field(default_factory=Settings)
    _problems: tuple[Problem, ...] = PrivateAttr(())

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The sinks of the file that can't be used now; the others are in `cast`."""
        return self._problems

    def with_problems(self, problems: tuple[Problem, ...]) -> HomeConfig:
        """This configuration, beside what of the file can't be used."""
        self._problems = problems
        return self


def read_config(home: Path) -> HomeConfig:
    """What the home's file says; the defaults when there is none.

    A sink that does not fit is a problem of the configuration and stops nothing. Everything else does: half
    of the settings would be a server that nobody asked for.

    Raises:
        CommandFailed: it can't be read, or says something that does not fit (exit code 2).
    """
    path = home / CONFIG_FILE
    try:
        _check_regular(path)
        found = tomllib.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):  # a home that is a file is told where it is opened
        found = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise failure(Exit.USAGE, "Bad configuration", f"{path}: expected TOML, got: {error}") from error
    found, problems = _usable_sinks(home, found)
    try:
        config = HomeConfig.model_validate(found, context={"environment": os.environ})
        check_profiles(config.cast.profiles, BUILT_IN)
    except ValidationError as error:
        # From None: its own text shows what was given, secrets too.
        flaws = "; ".join(
            _told(flaw["type"], flaw["loc"], flaw["msg"], flaw["input"]) for flaw in error.errors()
        )
        detail = f"{path}: {flaws}. Change it, or remove it for the defaults"
        raise failure(Exit.USAGE, "Bad configuration", detail) from None
    except (NotConfigured, ValueError) as error:
        detail = f"{path}: cast.{error}. Change it, or remove it for the defaults"
        raise failure(Exit.USAGE, "Bad configuration", detail) from None
    return config.with_problems(problems)


_SINK: TypeAdapter[SinkConfig] = TypeAdapter(SinkConfig)


def _usable_sinks(home: Path, found: dict[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """The file's tables with those sinks that can be used, and what is wrong with the others."""
    table = found.get("cast")
    tables = cast("dict[str, Any]", table) if isinstance(table, dict) else {}
    sinks = tables.get("sinks")
    if not isinstance(sinks, list):
        return found, ()
    good: list[SinkConfig] = []
    problems: list[Problem] = []
    for place, given in enumerate(cast("list[Any]", sinks)):
        try:
            sink = _SINK.validate_python(given, context={"environment": os.environ})
            check_files(Home(home), [sink])
            if sink.name in {other.name for other in good}:
                raise ValueError(f"expected sinks of different names, got another {sink.name}")
        except ValidationError as error:
            why = "; ".join(
                _told(flaw["type"], ("cast", "sinks", place, *flaw["loc"]), flaw["msg"], flaw["input"])
                for flaw in error.errors()
            )
            problems.append(_sink_problem(place, given, why))
        except ValueError as error:
            problems.append(_sink_problem(place, given, f"cast.{str(error).removeprefix('cast.')}"))
        else:
            good.append(sink)
    return {**found, "cast": {**tables, "sinks": good}}, tuple(problems)


def _sink_problem(place: int, given: object, why: str) -> Problem:
    name = cast("dict[str, object]", given).get("name") if isinstance(given, dict) else None
    remedy = f"change or remove it in {CONFIG_FILE}, and start again: what waits for it goes on then"
    return Problem(kind="sink", name=str(name or place)[:64], reason=why, remedy=remedy)


def _check_regular(path: Path) -> None:
    """A FIFO that nobody writes to would keep the server waiting, and a device might never end."""
    if not path.exists() or path.is_file():
        return
    kind = "a folder" if path.is_dir() else "a FIFO" if path.is_fifo() else "a device or a socket"
    detail = (
        f"{path}: expected a file of TOML, got {kind}. Put a file in its place, or remove it for the defaults"
    )
    raise failure(Exit.USAGE, "Bad configuration", detail)


def _told(kind: str, where: tuple[int | str, ...], what: str, given: object) -> str:
    """A flaw in words; without what was given where that may hold a secret, as it may for a sink."""
    place = ".".join(str(part) for part in where)
    if kind == "extra_forbidden":
        return f"{place}: there is no such setting (docs/reference/settings.md lists them)"
    told = f"{place}: {what.removeprefix('Value error, ')}"
    if "sinks" in where or isinstance(given, dict | list) or kind == "value_error":  # ours say what they got
        return told
    return f"{told}, got {redact(given, str(where[-1]))!r}"
