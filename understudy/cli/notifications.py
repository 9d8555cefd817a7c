"""`notifications list | retry`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt
from pydantic import BaseModel

from understudy.actors.notifier import NotifierActor
from understudy.actors.notifier.state import NotifierState
from understudy.cli import records
from understudy.cli.answers import DeliveryPage, RetriedAnswer
from understudy.cli.client import PAGE_ROWS, Client, ask
from understudy.cli.exits import Exit, failure
from understudy.cli.output import Text, console, print_json, styled, table, when
from understudy.cli.server import address_of, require_home, require_server
from understudy.cli.settings import COMMON, Common, home_path
from understudy.protocols.notifications import DeliveryStatus, DeliveryView, ListDeliveries
from understudy.supervision.time_travel import kept_seqs, replay_state

if TYPE_CHECKING:
    from understudy.supervision.home import Home

app = App(
    name="notifications", help="Deliveries to sinks that are not made: what waits, and the dead letters."
)

LIMIT = 20
NAME = "notifier"
_WIDE = 100  # an id takes 23 of these
Sink = Annotated[str | None, Parameter(help="Only of this sink.")]


class RetryBody(BaseModel):
    """The body of `POST /api/notifications/retry`."""

    ids: list[str] | None = None
    sink: str | None = None


@app.command(name="list")
def list_deliveries(
    *,
    limit: Annotated[PositiveInt, Parameter(alias="-n", help="How many, at most.")] = LIMIT,
    status: Annotated[DeliveryStatus | None, Parameter(help="Only those; dead for dead letters.")] = None,
    sink: Sink = None,
    common: Common = COMMON,
) -> int:
    """List what sinks were not told yet, newest first: from the server, or from the files when none runs."""
    home = home_path(common)
    address = address_of(home)
    if address is None:
        page = _from_files(require_home(home), limit, status, sink)
    else:
        wanted: dict[str, str | int] = {
            name: value for name, value in (("status", status), ("sink", sink)) if value is not None
        }
        page = ask(address, partial(_list, limit=limit, wanted=wanted))
    if common.json:
        print_json(page)
    else:
        _print_list(page)
    return Exit.OK


async def _list(client: Client, limit: int, wanted: dict[str, str | int]) -> DeliveryPage:
    rows, page = await client.read_list(
        "/api/notifications", DeliveryPage, lambda page: page.deliveries, limit, wanted
    )
    return page.model_copy(update={"deliveries": rows})


def _from_files(home: Home, limit: int, status: DeliveryStatus | None, sink: str | None) -> DeliveryPage:
    """The same from the notifier's state, as its journal has it."""
    state = NotifierState()
    if NAME in records.names(home):
        folder = records.folder_of(home, NAME)
        state = replay_state(NotifierActor, home.files, folder, kept_seqs(home.files, folder).last)
    found: list[DeliveryView] = []
    before: int | None = None
    while True:
        room = min(limit - len(found), PAGE_ROWS)
        page = state.page(ListDeliveries(status=status, sink=sink, limit=room, before=before))
        found += page.deliveries
        before = page.next
        if before is None or len(found) >= limit:
            following = None if before is None else str(before)
            return DeliveryPage(deliveries=found, queued=page.queued, dead=page.dead, next=following)


def _print_list(page: DeliveryPage) -> None:
    out = console()
    if page.deliveries:
        wide = out.width >= _WIDE
        columns = ["id", "state", "sink", "about"] + (["attempts", "next", "error"] if wide else [])
        rows = [_row(view)[: len(columns)] for view in page.deliveries]
        out.print(table(columns, rows))
    out.print(Text(f"{page.queued} wait, {page.dead} dead letters", style="dim"))
    if page.next is not None:
        out.print(Text("there are more: --limit shows them", style="dim"))


def _row(view: DeliveryView) -> list[str | Text]:
    due = when(view.retry_at)
    return [view.id, styled(view.status), view.sink, view.about, str(view.attempts), due, view.error]


@app.command
def retry(
    *ids: Annotated[str, Parameter(help="Deliveries, as the list shows them.")],
    dead: Annotated[bool, Parameter(name="--all", negative="", help="All dead letters.")] = False,
    sink: Sink = None,
    common: Common = COMMON,
) -> int:
    """Try deliveries again now, each with as many attempts as a new one. Needs a running server."""
    if bool(ids) == dead or (ids and sink is not None):
        detail = "expected ids of deliveries, or --all (with --sink NAME for those of one sink)"
        raise failure(Exit.USAGE, "Usage", detail)
    address = require_server(home_path(common), "notifications retry")
    body = RetryBody(ids=None if dead else list(ids), sink=sink)
    answer = ask(address, lambda client: client.post("/api/notifications/retry", RetriedAnswer, body))
    if common.json:
        print_json(answer)
    else:
        console().print(Text(f"tried again: {', '.join(answer.ids)}" if answer.ids else "no dead letters"))
    return Exit.OK
