"""What commands print: rich for people, JSON for programs.

Nothing that comes from outside is ever read as rich markup or acts on the terminal: cells and lines are
`Text`, which shows control characters instead of sending them, also into a pipe.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table
from rich.text import Text as RichText

from understudy.cli.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.style import Style

    from understudy.cli.exits import Problem

NARROW = 60
WIDE = 80
_PIPED_WIDTH = 160
_WHOLE = {"id", "state", "phase", "attempts", "fired"}
_STYLES = {
    "succeeded": "green",
    "running": "cyan",
    "pending": "yellow",
    "failed": "red",
    "dead": "red",
    "queued": "yellow",
    "canceled": "magenta",
    "halted": "bold red",
    "blocked": "bold red",
    "damaged": "bold red",
    "whole": "green",
    "user": "bold",
    "assistant": "cyan",
    "system": "yellow",
}


class Text(RichText):
    """rich's text, with control characters made visible."""

    def __init__(self, text: str = "", style: str | Style = "", **settings: Any) -> None:
        super().__init__(visible(text), style, **settings)

    def append(self, text: RichText | str, style: str | Style | None = None) -> Self:
        """Add text at the end."""
        super().append(visible(text) if isinstance(text, str) else text, style)
        return self

    @classmethod
    def assemble(cls, *parts: str | RichText | tuple[str, str | Style], **settings: Any) -> Self:
        """The parts in a row; a tuple is a text and its style."""
        made = cls(**settings)
        for part in parts:
            made.append(*part) if isinstance(part, tuple) else made.append(part)
        return made


class _Console(Console):
    """rich's, which would end the process itself, with exit code 1, when the reader has gone."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError


def print_nowhere() -> None:
    """Drop from now on what is printed: who read it has gone, and each further write would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def console(*, error: bool = False, quiet: bool = False) -> Console:
    """A console on the present standard output (or error): no escape codes in a pipe or with NO_COLOR.

    FORCE_COLOR sends them into a pipe too; NO_COLOR and TERM=dumb win over it.

    A pipe has no width; a wide one is assumed unless COLUMNS says otherwise, so that `grep` finds
    whole lines.
    """
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _PIPED_WIDTH
    return _Console(file=stream, width=width, highlight=False, quiet=quiet, color_system=_colors())


def help_console() -> Console:
    """A console for the pages of `--help`."""
    return _Console(color_system=_colors())


def _colors() -> Literal["auto"] | None:
    return None if os.environ.get("NO_COLOR") else "auto"  # rich alone would send bold with NO_COLOR


def print_json(document: BaseModel | dict[str, object], *, error: bool = False) -> None:
    """Print one JSON document on a line of its own."""
    stream = sys.stderr if error else sys.stdout
    text = to_json(document).decode()
    if stream.encoding.lower().replace("-", "") != "utf8":  # what the encoding lacks is escaped, not lost
        text = json.dumps(json.loads(text))
    stream.write(text + "\n")
    stream.flush()


def styled(word: str) -> Text:
    """A state or role in its colour."""
    return Text(word, style=_STYLES.get(word, ""))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    header: bool = True,
    cut: Mapping[str, int] | None = None,
) -> Table:
    """A plain table that folds its cells instead of cutting them, for terminals of any width.

    Ids, states and the like are short and stay in one piece.

    Args:
        columns: their names.
        rows: a cell for each.
        header: whether the names are shown.
        cut: columns that are cut off at a number of characters instead of folded.
    """
    made = Table(box=None, pad_edge=False, show_header=header)
    made.padding = (0, 2, 0, 0)
    widths = cut or {}
    for column in columns:
        width = widths.get(column)
        style = "fold" if width is None else "ellipsis"
        whole = width is not None or column in _WHOLE
        made.add_column(column, header_style="dim", overflow=style, no_wrap=whole, max_width=width)
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made


def when(epoch_s: float | None) -> str:
    """A time of day for people, in the local zone; with the date when it is another day."""
    if epoch_s is None:
        return "-"
    moment = datetime.fromtimestamp(epoch_s).astimezone()
    today = datetime.now().astimezone().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M:%S")


def print_problem(problem: Problem, *, as_json: bool) -> None:
    """Tell what went wrong on standard error."""
    if as_json:
        print_json(problem, error=True)
        return
    text = Text.assemble((problem.title, "bold red"), f": {problem.detail}")
    console(error=True).print(text, soft_wrap=True)
