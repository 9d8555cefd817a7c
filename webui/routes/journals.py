"""The journals: what is kept, lines, the state as of a turn, and what changed between two (JR-9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from understudy.protocols.base import nearest
from understudy.protocols.errors import JournalDamaged, NotFound, UnderstudyError
from understudy.supervision.journal import JournalReader
from understudy.supervision.journaled import JournaledCell
from understudy.supervision.state_diff import Change, diff_states
from understudy.supervision.time_travel import kept_seqs
from understudy.webui.context import PAGE_ROWS, Ctx, Limit

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from understudy.supervision.files import Files
    from understudy.webui.context import Context

router = APIRouter(tags=["journals"])
LINES_BYTES = 1 << 20
"""Lines of a page; at least one is in it."""
STATE_BYTES = 16 << 20
CHANGES = 1000

Name = Annotated[str, Path(max_length=100, examples=["workers"])]
Seq = Annotated[int, Query(ge=0, description="a turn's number; 0 is before the first")]


class TooLarge(UnderstudyError):
    """The state is more than an answer may hold; the command line shows it whole."""

    code = "too_large"
    status = 413
    title = "Too large"


class JournalRow(BaseModel):
    """One journal, and which turns' states can be shown."""

    name: str
    running: bool = Field(description="its actor runs, or is blocked: its states can be shown here")
    first_seq: int = Field(description="the oldest state that can be made; 0 is before the first turn")
    last_seq: int


class JournalList(BaseModel):
    """The home's journals, by name."""

    journals: list[JournalRow]


class State(BaseModel):
    """A state as of a turn."""

    journal: str
    seq: int
    state: dict[str, Any]


class Diff(BaseModel):
    """What changed from turn `a` to turn `b`."""

    journal: str
    a: int
    b: int
    changes: list[Change]
    more: int = Field(description="changes beyond those that are shown")


@router.get("/api/journals")
async def list_journals(context: Ctx) -> JournalList:
    """The journals, and what is kept of each."""
    rows: list[JournalRow] = []
    for name in context.system.journal_names():
        files, folder = _place(context, name)
        durable = _durable(context, name)
        kept = await context.system.run_blocking(kept_seqs, files, folder, durable)
        running = context.system.find(name) is not None
        rows.append(JournalRow(name=name, running=running, first_seq=kept.first, last_seq=kept.last))
    return JournalList(journals=rows)


@router.get("/api/journals/{name}/lines")
async def show_lines(
    context: Ctx,
    name: Name,
    after: Seq = 0,
    limit: Limit = PAGE_ROWS,
) -> Response:
    """Turns as they are in the file, oldest first: `{"lines": […], "next": the next page's after}`."""
    files, folder = _place(context, name)
    durable = _durable(context, name)
    lines, following = await context.system.run_blocking(_read, files, folder, after, limit, durable)
    body = b",".join(line.rstrip() for line in lines)
    tail = b"null" if following is None else b"%d" % following
    return Response(b'{"lines":[%b],"next":%b}' % (body, tail), media_type="application/json")


@router.get("/api/journals/{name}/state")
async def show_state(context: Ctx, name: Name, at: Seq) -> State:
    """A running actor's state as it was after turn `at`."""
    _place(context, name)
    state = await context.system.state_at(name, at)
    dumped = await context.system.run_blocking(_dump, name, state)
    return State.model_construct(journal=name, seq=at, state=dumped)


@router.get("/api/journals/{name}/diff")
async def show_diff(context: Ctx, name: Name, a: Seq, b: Seq) -> Diff:
    """What changed in a running actor's state from turn `a` to turn `b`."""
    _place(context, name)
    before, after = await context.system.state_at(name, a), await context.system.state_at(name, b)
    changes = await context.system.run_blocking(diff_states, before, after)
    return Diff(journal=name, a=a, b=b, changes=changes[:CHANGES], more=max(0, len(changes) - CHANGES))


def _place(context: Context, name: str) -> tuple[Files, FilePath]:
    """How and where the journal is read.

    Raises:
        NotFound: the home has no such journal.
    """
    home = context.system.home
    if home is None or not context.system.has_journal(name):
        known = nearest(name, context.system.journal_names())
        raise NotFound(f"expected the name of a journal, got {name!r}; there are: {known}")
    return home.files, home.journals / name


def _durable(context: Context, name: str) -> int | None:
    """The last durable turn of a running actor; None when it does not run, or is blocked since its start."""
    cell = context.system.find(name)
    return cell.journal.durable if isinstance(cell, JournaledCell) else None


def _read(
    files: Files, folder: FilePath, after: int, limit: int, durable: int | None
) -> tuple[list[bytes], int | None]:
    """At most `limit` lines and `LINES_BYTES`, and the `after` of the next page when there is one.

    Raises:
        JournalDamaged: right behind `after`; what can be read before damage is a page of its own.
    """
    found: list[bytes] = []
    size, seq = 0, after
    try:
        for chunk in JournalReader(files, folder, after).read():
            for index, line in enumerate(chunk.lines):
                if durable is not None and chunk.first_seq + index > durable:
                    return found, None
                if len(found) == limit or (found and size + len(line) > LINES_BYTES):
                    return found, seq
                found.append(line)
                size, seq = size + len(line), chunk.first_seq + index
    except JournalDamaged:
        if not found:
            raise
        return found, seq
    return found, None


def _dump(name: str, state: BaseModel) -> dict[str, Any]:
    size = len(state.model_dump_json())
    if size > STATE_BYTES:
        raise TooLarge(
            f"expected a state of at most {STATE_BYTES} bytes, got {size}: "
            f"use `understudy journal state {name}`"
        )
    return state.model_dump(mode="json")
