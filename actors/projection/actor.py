"""`ProjectionActor`: the read model's owner. Its own journal holds only checkpoints (rule P1)."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

import trio
from pydantic import BaseModel, ConfigDict

from understudy.actors.cron.machine import machine_zone
from understudy.actors.projection.feed import Feed
from understudy.actors.projection.follower import Follower
from understudy.actors.projection.keeper import Keeper
from understudy.actors.projection.live import Live, problems_of
from understudy.actors.projection.live_rows import LIVE_PAUSE_S
from understudy.actors.projection.model import Kept
from understudy.protocols.errors import NotPersistent, UnderstudyError
from understudy.protocols.lifecycle import ActorStarted, JournalTrimmed
from understudy.protocols.read_model import Checkpoint, CheckpointTaken, Cursor, MessageRow
from understudy.supervision.persistent import PersistentActor
from understudy.supervision.turns import PersistentCell

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.actors.projection.fold import Folded
    from understudy.protocols.lifecycle import LifecycleEvent
    from understudy.protocols.read_model import LiveRow
    from understudy.supervision.system import ActorSystem

log = logging.getLogger(__name__)

NAME = "projection"
REFRESH_PAUSE_S = 1.0
"""Between two looks at the actors, while somebody watches."""


class Unavailable(UnderstudyError):
    """The read model is not there at the moment: the projection starts, or has stopped."""

    code = "projection_unavailable"
    status = 503
    title = "Read model unavailable"


class FollowingFailed(UnderstudyError):
    """The read model can't go on: a bug, or the disk. It is tried again without end, with backoff.

    It must not count against the supervisor's intensity: a viewer's trouble would end the work.
    """

    code = "following_failed"


class ProjectionState(BaseModel):
    """The newest checkpoint: its file by name (None before the first), and the cursors of that file."""

    model_config = ConfigDict(extra="forbid")

    file: str | None = None
    cursors: tuple[Cursor, ...] = ()


class ProjectionActor(PersistentActor[ProjectionState]):
    """Follows every journal but its own, and keeps files of what it has read.

    Delete its journal and its files and it builds them again from the others.

    Args:
        timezone: IANA name of the zone in which the history's days begin; None for the machine's.
        kept: how much of what is over the read model has.
    """

    def __init__(self, timezone: str | None = None, kept: Kept | None = None) -> None:
        super().__init__()
        home = self.system.home
        if home is None:
            raise NotPersistent("expected a system with a home to follow the journals of, got one without")
        self.feed = Feed(self._new_epoch(0), kept)
        self.ready = trio.Event()
        self._release: Callable[[], None] = _nothing
        self._live = Live(self.feed)
        run_blocking = self.system.run_blocking
        self._keeper = Keeper(
            home,
            self.feed,
            timezone or machine_zone(),
            run_blocking,
            self.clock,
            self._taken,
            self._overwritten,
        )
        self.follower = Follower(
            self.feed,
            home.files,
            home.journals,
            self.name,
            self._build_anew,
            self._applied,
            run_blocking,
            self._state_at,
        )

    async def _state_at(self, journal: str, seq: int) -> BaseModel:
        """What stands in for the lines up to `seq`, which are gone; so are the history's messages in them."""
        if journal == "manager":
            self._keeper.history.add_to_files()
        return await self.system.state_at(journal, seq)

    def _read_for_good(self, journal: str) -> int | None:
        """How far a checkpoint has the journal: lines behind that must stay, or a restart would lack them."""
        if journal == self.name:
            return None
        return next((cursor.seq for cursor in self.state.cursors if cursor.journal == journal), 0)

    def _new_epoch(self, last: int) -> int:
        """Later than all before, also those of files that were deleted: the time says so (rule P2)."""
        return max(last + 1, int(self.clock.time() * 1000))

    def _build_anew(self) -> int:
        """The follower begins again from zero: so does the history."""
        self._keeper.history.reset(())
        return self._new_epoch(self.feed.epoch)

    # -- turns

    def on_start(self) -> None:
        # Before the file is read: meanwhile the others start, and trim their journals.
        self._release = self.system.hold_journals(self.name, self._read_for_good)
        self.start_task(self._run, self.state.file, name="follow")

    async def on_stop(self) -> None:
        """Write what the history still lacks; what fails is written at the next start."""
        self._release()
        self.feed.close()
        if self.ready.is_set():
            await self._keeper.write()

    def checkpoint(self, message: Checkpoint) -> None:
        self.emit(CheckpointTaken(file=message.file, cursors=message.cursors))

    def checkpoint_taken(self, event: CheckpointTaken) -> None:
        self.state.file = event.file
        self.state.cursors = event.cursors

    # -- in the background, beside the turns

    async def _run(self, file: str | None) -> None:
        try:
            await self._keeper.load(file)
            with self._subscribed():
                self._look_at_all()
                await self.follower.catch_up()
                self.ready.set()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.follower.run)
                    nursery.start_soon(self._keeper.run)
                    nursery.start_soon(self._keep_fresh)
                    nursery.start_soon(self._keep_live)
        except Exception as error:
            raise FollowingFailed(f"the read model could not go on: {error!r}") from error
        finally:
            self.feed.close()

    def _subscribed(self) -> ExitStack:
        stack = ExitStack()
        self._live.remember(self.system.lifecycle.recent)
        stack.callback(self.system.subscribe_journals(self.follower.lines_are_durable))
        stack.callback(self.system.lifecycle.subscribe(self._happened))
        self.feed.refresh = self._refresh
        return stack

    def _look_at_all(self) -> None:
        for cell in self.system.cells():
            self._look_at(cell.name)

    def _look_at(self, actor: str) -> None:
        """Take an actor's journal in, if it has one that was opened."""
        watermark = _watermark(self.system, actor)
        if watermark is not None:
            self.follower.journal_is_open(actor, watermark)

    def _happened(self, event: LifecycleEvent) -> None:
        if isinstance(event, ActorStarted):
            self._look_at(event.actor)
        elif isinstance(event, JournalTrimmed):
            self.follower.journal_was_trimmed(event.actor)
        self._live.happened(event)

    def _refresh(self) -> None:
        self._live.refresh(self.system.status(), problems_of(self.system))

    async def _keep_fresh(self) -> None:
        """Look at the actors while somebody watches; at most a twentieth of the time."""
        while True:
            await self.feed.watched()
            before = self.clock.monotonic()
            self._refresh()
            await trio.sleep(max(REFRESH_PAUSE_S, 20 * (self.clock.monotonic() - before)))

    async def _keep_live(self) -> None:
        """Pass on what running attempts say of themselves."""
        while True:
            await self.feed.live.said()
            self.feed.flush_live()
            await trio.sleep(LIVE_PAUSE_S)

    def _applied(self, folded: Folded) -> None:
        if folded.problem is not None:
            extra = {"action": "line_not_folded"}
            log.error("the read model lacks something: %s", folded.problem, extra=extra)
        self._keeper.line_applied(
            [change.row for change in folded.changes if isinstance(change.row, MessageRow)]
        )

    async def _taken(self, file: str, cursors: tuple[Cursor, ...]) -> None:
        """Journal that a model's file counts."""
        await self.ref.ask_async(Checkpoint(file=file, cursors=cursors), timeout_s=30)

    def _overwritten(self, text: str) -> None:
        """Somebody else has written to a file of ours."""
        log.warning("%s", text, extra={"action": "file_overwritten"})
        self._live.report(self.name, "FileOverwritten", text, self.clock.time())


def _nothing() -> None:
    """Nothing is held yet."""


def feed_of(system: ActorSystem) -> Feed:
    """The read model and its changes.

    Raises:
        Unavailable: the projection is not running.
    """
    cell = system.find(NAME)
    actor = None if cell is None else cell.actor
    if not isinstance(actor, ProjectionActor) or not actor.ready.is_set():
        raise Unavailable(
            "expected the projection to be ready, got one that starts or has stopped: try again"
        )
    return actor.feed


async def wait_until_ready(system: ActorSystem, timeout_s: float) -> bool:
    """Wait until the read model has what all open journals have made durable by now.

    Returns:
        whether it got there in time; False where there is no projection.
    """
    cell = system.find(NAME)
    if cell is None or not isinstance(cell.actor, ProjectionActor):
        return False
    with trio.move_on_after(timeout_s):
        await cell.actor.ready.wait()
        for other in system.cells():
            if (watermark := _watermark(system, other.name)) is not None and other.name != NAME:
                await cell.actor.follower.level(other.name, watermark)
        return True
    return False


async def wait_until_shown(system: ActorSystem, journal: str, timeout_s: float) -> bool:
    """Wait until the read model has everything that `journal` has made durable by now.

    So that who was answered reads what they wrote. Bounded: a read model that is behind must not hold
    up an answer that is true already.

    Returns:
        whether the model got there in time.
    """
    reader = system.find(NAME)
    actor = None if reader is None else reader.actor
    watermark = _watermark(system, journal)
    if watermark is None or not isinstance(actor, ProjectionActor) or actor.feed.closed:
        return False
    with trio.move_on_after(timeout_s):
        await actor.follower.level(journal, watermark)
        return True
    return False


def show_live(system: ActorSystem, row: LiveRow) -> None:
    """Show viewers what a running attempt says of itself; nothing happens where there is no projection.

    See `Feed.publish_live`: at most ten words a second of a task are passed on, and the row goes with its
    attempt.
    """
    reader = system.find(NAME)
    actor = None if reader is None else reader.actor
    if isinstance(actor, ProjectionActor):
        actor.feed.publish_live(row)


def _watermark(system: ActorSystem, actor: str) -> int | None:
    """Up to where the actor's journal is durable; None while it was not read yet, or there is none."""
    cell = system.find(actor)
    return cell.watermark if isinstance(cell, PersistentCell) and cell.recovered else None
