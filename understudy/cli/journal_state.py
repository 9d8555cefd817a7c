"""`journal state | diff`: an actor's state as of a turn, and what changed between two (JR-9).

They take no lock and need no server: the state is made from the journal's files.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import Parameter
from cyclopts.types import NonNegativeInt
from pydantic import BaseModel

from understudy.actors.registry import ROLES
from understudy.cli import records
from understudy.cli.exits import Exit, failure
from understudy.cli.output import Text, console, print_json
from understudy.cli.server import require_home
from understudy.cli.settings import COMMON, Common, home_path
from understudy.supervision.persistent import PersistentActor
from understudy.supervision.state_diff import Change, diff_states
from understudy.supervision.time_travel import kept_seqs, replay_state

if TYPE_CHECKING:
    from understudy.supervision.home import Home

Name = Annotated[str, Parameter(help="The journal's name (an actor's).")]
Actor = Annotated[
    str | None,
    Parameter(help="The actor's class as `module:Class`, where it is not one of Understudy's own."),
]


class StateAnswer(BaseModel):
    """What `state --json` prints."""

    journal: str
    seq: int
    state: dict[str, Any]


class DiffAnswer(BaseModel):
    """What `diff --json` prints."""

    journal: str
    a: int
    b: int
    changes: list[Change]


def state(
    journal: Name,
    /,
    *,
    at: Annotated[NonNegativeInt | None, Parameter(help="The turn [default: the last].")] = None,
    actor: Actor = None,
    common: Common = COMMON,
) -> int:
    """Show an actor's state as it was after a turn, as JSON. Turn 0 is before the first.

    Exit code 5 when the journal does not keep that turn.
    """
    home, actor_class = require_home(home_path(common)), _class_of(journal, actor)
    folder = records.folder_of(home, journal)
    seq = kept_seqs(home.files, folder).last if at is None else at
    found = _state(home, journal, actor_class, seq)
    if common.json:
        print_json(StateAnswer(journal=journal, seq=seq, state=found.model_dump(mode="json")))
    else:
        sys.stdout.write(found.model_dump_json(indent=2) + "\n")
    return Exit.OK


def diff(
    journal: Name,
    a: Annotated[NonNegativeInt, Parameter(help="A turn.")],
    b: Annotated[NonNegativeInt, Parameter(help="Another one.")],
    /,
    *,
    actor: Actor = None,
    common: Common = COMMON,
) -> int:
    """Show what changed in an actor's state between two turns: each place by its path."""
    home, actor_class = require_home(home_path(common)), _class_of(journal, actor)
    changes = diff_states(_state(home, journal, actor_class, a), _state(home, journal, actor_class, b))
    if common.json:
        print_json(DiffAnswer(journal=journal, a=a, b=b, changes=changes))
        return Exit.OK
    out = console()
    for change in changes:
        out.print(_shown(change), soft_wrap=True)
    if not changes:
        out.print(Text("nothing changed"))
    return Exit.OK


def _shown(change: Change) -> Text:
    sign, style = {"add": ("+", "green"), "remove": ("-", "red"), "replace": ("~", "yellow")}[change.op]
    before = "" if change.op == "add" else f" {change.before!r}"
    arrow = " ->" if change.op == "replace" else ""
    after = "" if change.op == "remove" else f" {change.after!r}"
    return Text.assemble((f"{sign} ", style), (change.path or "/", "bold"), f"{before}{arrow}{after}")


def _state(home: Home, journal: str, actor_class: type[PersistentActor[Any]], seq: int) -> BaseModel:
    return replay_state(actor_class, home.files, records.folder_of(home, journal), seq)


def _class_of(journal: str, actor: str | None) -> type[PersistentActor[Any]]:
    """The class that knows the journal's events.

    Raises:
        CommandFailed: there is none, or it is not such a class.
    """
    if actor is None:
        found = next((role.actor for role in ROLES if role.name == journal), None)
        if found is None:
            own = ", ".join(role.name for role in ROLES)
            detail = f"{journal!r} is not one of {own}: name its class with `--actor module:Class`"
            raise failure(Exit.USAGE, "Usage", detail)
        return found
    module, _, name = actor.partition(":")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` would: the program's module is mostly there
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        detail = f"expected --actor module:Class that can be imported, got {actor!r}: {error}"
        raise failure(Exit.USAGE, "Usage", detail) from error
    finally:
        sys.path.pop(0)
    if not (isinstance(found, type) and issubclass(found, PersistentActor)):
        detail = f"expected --actor to name a PersistentActor, got {actor!r}, which is {found!r}"
        raise failure(Exit.USAGE, "Usage", detail)
    return cast("type[PersistentActor[Any]]", found)
