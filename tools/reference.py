"""Write the pages of docs/reference/ that follow from the code: settings, errors, the cast.

python tools/reference.py            write them
python tools/reference.py --check    exit code 1 when one of them is not what the code says
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel

from understudy.actors.cast import CastConfig
from understudy.actors.evolver import EvolverPolicy
from understudy.actors.manager import RunPolicy
from understudy.actors.notifier import CallbackConfig, FileConfig, WebhookConfig
from understudy.actors.registry import ROLES
from understudy.protocols import (
    conversation,
    engine,
    errors,
    evolution,
    lifecycle,
    notifications,
    proposals,
    read_model,
    schedules,
    tasks,
)
from understudy.protocols.base import Event, Frozen, Message
from understudy.protocols.errors import UnderstudyError
from understudy.supervision.settings import Settings

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Made by tools/reference.py from the code: change it there, then run it again. -->"
TABLE_CELL = str.maketrans({"|": "\\|", "\n": " "})

CONVERSATIONS = (
    ("The conversation", "`manager`", (conversation, engine, proposals)),
    ("Tasks", "`workers`", (tasks,)),
    ("Schedules", "`cron`", (schedules,)),
    ("Notifications", "`notifier`", (notifications,)),
    ("The evolver", "`evolver`", (evolution,)),
    ("The read model", "`projection`", (read_model,)),
)


def settings_page() -> str:
    """The fields of `Settings` and `CastConfig`."""
    return page(
        "Settings",
        "`ActorSystem(home, settings=Settings(...))`. A frozen pydantic model; the library reads no "
        "environment. Sizes are in bytes, times in seconds.",
        fields_table(Settings),
        "## Of the cast",
        "`start_cast(system, CastConfig(...))` of `understudy.actors.cast`.",
        fields_table(CastConfig),
        "### Of the manager's runs",
        "`CastConfig(runs=RunPolicy(...))` of `understudy.actors.manager`; in the file `[cast.runs]`.",
        fields_table(RunPolicy),
        "### Of the evolver",
        "`CastConfig(evolver=EvolverPolicy(...))` of `understudy.actors.evolver`; in the file the table "
        "`[cast.evolver]`, which may be empty.",
        fields_table(EvolverPolicy),
        "## Of a home",
        "`understudy serve` reads `HOME/config/understudy.toml` once, at its start: the table `[runtime]` "
        "has the settings above, `[cast]` those of the built-in actors, and `[http]` has `users`: further "
        'users of the machine who are answered, by name or number, or `"all"` '
        "([security](../explanation/security.md)), and `[log]` how much of the log is kept: `file_bytes` a "
        "file (16 MiB), of which the newest `files` stay (5). What is not there has its default; what does "
        "not fit is said with file and key, and the server does not start (exit code 2), since half of the "
        "settings would be a server that nobody asked for. Only a sink that does not fit stops nothing: "
        "`understudy status` names it as a problem, the other sinks are used, and what waits for it goes on "
        "when it fits again.",
        '```toml\n[cast]\nconcurrency = 8\ntimezone = "Europe/Zurich"\n\n'
        "[runtime]\nsnapshot_bytes = 1_000_000\n```",
        "## Of a sink",
        "An entry of `CastConfig.sinks`, or a table `[[cast.sinks]]` of the file with its `kind`. "
        "[Notify other programs when tasks end](../how-to/notifications.md) shows them.",
        fields_table(WebhookConfig, own=False),
        *(sink_part(kind) for kind in (WebhookConfig, FileConfig, CallbackConfig)),
    )


def sink_part(kind: type[BaseModel]) -> str:
    """What one kind of sink has besides the fields of all."""
    named = f"`{kind.__name__}`, `kind` {default_of(kind, 'kind')}"
    return f"{named}: {first_lines(kind)}\n\n{fields_table(kind, own=True)}"


def errors_page() -> str:
    """Every error with its code, status and what it means."""
    rows = [
        (f"`{kind.__name__}`", f"`{kind.code}`", f"{kind.status}", parent_of(kind), first_lines(kind))
        for kind in descendants(UnderstudyError)
        if kind.__module__ == errors.__name__
    ]
    return page(
        "Errors",
        "All are `UnderstudyError`s. `code` is stable; over HTTP it is in the problem object, and `status` "
        "is the answer's status. Those that a caller may want to catch can be imported from `understudy`, "
        "the rest from `understudy.protocols.errors`.",
        table(("error", "code", "HTTP", "is a", "means"), rows),
    )


def cast_page() -> str:
    """The actors of `serve`, what they are told, what they record."""
    parts = [
        table(
            ("journal", "class", "what it does"),
            [(f"`{r.name}`", f"`{r.actor.__name__}`", r.about) for r in ROLES],
        )
    ]
    for title, actor, modules in CONVERSATIONS:
        commands = [row(kind) for module in modules for kind in members(module, Message)]
        events = [row(kind) for module in modules for kind in members(module, Event)]
        parts.append(f"## {title}: {actor}")
        parts.append(table(("command", "fields", "answer", "means"), commands))
        if events:
            without_answer = [(name, fields, means) for name, fields, _, means in events]
            parts.append(table(("event", "fields", "means"), without_answer))
    parts.append("## Of every actor: lifecycle events")
    parts.append(
        "`system.lifecycle.subscribe(callback)`. They are not journaled. Each has `actor` and `time` "
        "(seconds since the epoch)."
    )
    lifecycle_rows = [row(kind) for kind in members(lifecycle, lifecycle.LifecycleEvent)]
    parts.append(table(("event", "fields", "means"), [(n, f, m) for n, f, _, m in lifecycle_rows]))
    return page(
        "Commands and events of the cast",
        "The actors that `understudy serve` starts, in this order, under the supervisor `cast`. Commands are "
        "messages that may be refused; events are what the actor's journal holds (`jq` shows them). "
        "Models and their fields are in `understudy.protocols`.",
        *parts,
    )


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "cast.md": cast_page,
}


def row(kind: type[Frozen]) -> tuple[str, str, str, str]:
    """Name, fields, type of the answer, and meaning of a message or event."""
    own = [
        name
        for name in kind.model_fields
        if name not in ("actor", "time") or kind.__module__ != lifecycle.__name__
    ]
    fields = ", ".join(f"`{name}`" if kind.model_fields[name].is_required() else f"`{name}`?" for name in own)
    return f"`{kind.__name__}`", fields or "-", answer_of(kind), first_lines(kind)


def answer_of(kind: type[Frozen]) -> str:
    """What a command is answered with: the argument of its `Message[...]`."""
    for base in kind.__mro__:
        arguments = base.__dict__.get("__pydantic_generic_metadata__", {}).get("args", ())
        if arguments:
            answer = arguments[0]
            return "-" if answer in (None, type(None)) else f"`{getattr(answer, '__name__', answer)}`"
    return "-"


def members(module: object, kind: type[Frozen]) -> Iterator[type[Frozen]]:
    """The classes of that kind which the module defines, in its order."""
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, kind)
            and value.__module__ == getattr(module, "__name__", "")
            and value is not lifecycle.LifecycleEvent
            and value.__pydantic_generic_metadata__["origin"] is None
        ):
            yield value


def descendants(kind: type[UnderstudyError]) -> Iterator[type[UnderstudyError]]:
    """`kind` and all that derive from it, parents first, in the order of their definition."""
    yield kind
    for child in kind.__subclasses__():
        yield from descendants(child)


def parent_of(kind: type[UnderstudyError]) -> str:
    """The bases that say something: not the root."""
    bases = (base for base in kind.__bases__ if base not in (UnderstudyError, Exception))
    return ", ".join(
        f"`pykka.{base.__name__}`" if base.__module__.startswith("pykka") else f"`{base.__name__}`"
        for base in bases
    )


def first_lines(kind: type) -> str:
    """The first paragraph of the docstring."""
    return inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]


def fields_table(model: type[BaseModel], *, own: bool | None = None) -> str:
    """The fields of a model with defaults, bounds and what their docstrings say.

    Args:
        model: which.
        own: only those of its class, or only those of the class that it extends.
    """
    base = model.__mro__[1]
    assert issubclass(base, BaseModel)
    inherited = {} if base is BaseModel else field_docs(base)
    says = inherited | field_docs(model)
    rows = [
        (f"`{name}`", default_of(model, name), ", ".join(bounds(model, name)) or "-", says[name])
        for name in model.model_fields
        if name != "kind" and (own is None or own == (name not in base.model_fields))
    ]
    return table(("setting", "default", "bounds", "means"), rows)


def default_of(model: type[BaseModel], name: str) -> str:
    """A field's default; large numbers with separators."""
    field = model.model_fields[name]
    if field.is_required():
        return "-"
    if field.default_factory is not None:
        return "the machine's"
    if isinstance(field.default, BaseModel):
        return "see below"
    return f"`{field.default:_}`" if isinstance(field.default, int | float) else f"`{field.default}`"


def bounds(model: type[BaseModel], name: str) -> Iterator[str]:
    """A field's bounds."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    for constraint in model.model_fields[name].metadata:
        for word, sign in signs.items():
            if (value := getattr(constraint, word, None)) is not None:
                yield f"{sign} {value:,}"


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """What is said of each field: in a string below it, or in the class's `Attributes:`."""
    (definition,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for line in inspect.cleandoc(model.__doc__ or "").partition("Attributes:")[2].splitlines():
        name, colon, text = line.strip().partition(": ")
        if colon and name in model.model_fields:
            found[name] = sentence(text)
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
        ):
            assert isinstance(below.value, ast.Constant)
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def sentence(text: str) -> str:
    """With a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.translate(TABLE_CELL) for cell in line) + " |" for line in lines)


def page(title: str, *parts: str) -> str:
    """A page of these paragraphs."""
    return "\n\n".join((f"# {title}", NOTE, *parts)) + "\n"


def main() -> int:
    """Write or check; returns the exit code."""
    stale = [name for name, make in PAGES.items() if text_of(FOLDER / name) != make()]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"docs/reference/{name} is not what the code says: run `python tools/reference.py`")
        return 1 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(PAGES[name]())
        print(f"wrote docs/reference/{name}")
    return 0


def text_of(path: Path) -> str:
    """What the file holds; nothing when it is not there."""
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
