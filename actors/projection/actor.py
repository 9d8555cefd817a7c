"""`ProjectionActor`: the read model's owner. Its own journal holds only checkpoints (rule P1)."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

import trio
from pydantic import BaseModel, ConfigDict

from understudy.actors.cron.times import machine_zone
from understudy.actors.projection.feed import Feed
from understudy.actors.projection.follower import Follower
from understudy.actors.projection.history import History
from understudy.actors.projection.live import Live
from understudy.actors.projection.live_rows import LIVE_PAUSE_S
from understudy.actors.projection.model import Kept
from understudy.actors.projection.model_dump import dump_of
from understudy.actors.projection.model_file import file_name, read_model, remove_others, write_model
from understudy.protocols.errors import NotPersistent, UnderstudyError
from understudy.protocols.lifecycle import ActorStarted
from understudy.protocols.read_model import Checkpoint, CheckpointTaken, Cursor, MessageRow
from understudy.supervision.persistent import PersistentActor
from understudy.supervision.turns import PersistentCell

if TYPE_CHECKING:
    from understudy.actors.projection.fold import Folded
    from understudy.protocols.lifecycle import LifecycleEvent
    from understudy.protocols.read_model import LiveRow
    from understudy.supervision.system import ActorSystem

log = logging.getLogger(__name__)

NAME = "projection"
CHECKPOINT_LINES = 1000
"""Lines between two checkpoints, at least; more when writing the model costs more."""
WRITE_PAUSE_S = 1.0
"""Between two looks at what is to be written: history, and the model for a checkpoint."""
FAILED_PAUSE_S = 60.0
"""The longest pause after a failure to write; it doubles up to that."""
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
        self._live = Live(self.feed)
        self._files = home.files
        self._folder = home.state / NAME
        run_blocking = self.system.run_blocking
        self._history = History(home.files, home.path / "history", timezone or machine_zone(), run_blocking)
        self.follower = Follower(
            self.feed,
            home.files,
            home.journals,
            self.name,
            self._build_anew,
            self._applied,
            run_blocking,
        )
        self._written_lines = 0
        self._checkpoints = 0

    def _new_epoch(self, last: int) -> int:
        """Later than all before, also those of files that were deleted: the time says so (rule P2)."""
        return max(last + 1, int(self.clock.time() * 1000))

    def _build_anew(self) -> int:
        """The follower begins again from zero: so does the history."""
        self._history.reset(())
        return self._new_epoch(self.feed.epoch)

    # -- turns

    def on_start(self) -> None:
        self.start_task(self._run, self.state.file, name="follow")

    async def on_stop(self) -> None:
        """Write what the history still lacks; what fails is written at the next start."""
        self.feed.close()
        if self.ready.is_set():
            await self._write_history()

    def checkpoint(self, message: Checkpoint) -> None:
        self.emit(CheckpointTaken(file=message.file, cursors=message.cursors))

    def checkpoint_taken(self, event: CheckpointTaken) -> None:
        self.state.file = event.file
        self.state.cursors = event.cursors

    # -- in the background, beside the turns

    async def _run(self, file: str | None) -> None:
        try:
            await self._load(file)
            with self._subscribed():
                self._look_at_all()
                await self.follower.catch_up()
                self.ready.set()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.follower.run)
                    nursery.start_soon(self._keep_files)
                    nursery.start_soon(self._keep_fresh)
                    nursery.start_soon(self._keep_live)
        except Exception as error:
            raise FollowingFailed(f"the read model could not go on: {error!r}") from error
        finally:
            self.feed.close()

    async def _load(self, file: str | None) -> None:
        if file is not None:
            read = self.system.run_blocking
            model = await read(read_model, self._files, self._folder, file, self.feed.model.kept)
            if model is not None:
                self.feed.model = model
        await self.system.run_blocking(self._history.reset, self.feed.model.messages)

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
        self._live.happened(event)

    def _refresh(self) -> None:
        self._live.refresh(self.system.status())

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
        for change in folded.changes:
            if isinstance(change.row, MessageRow):
                self._history.add(change.row)

    # -- files

    async def _keep_files(self) -> None:
        pause_s = WRITE_PAUSE_S
        while True:
            before = self.clock.monotonic()
            written = not self._history.dirty or await self._write_history()
            if written and self._is_due():
                written = await self._take_checkpoint()
            pause_s = WRITE_PAUSE_S if written else min(2 * pause_s, FAILED_PAUSE_S)
            await trio.sleep(max(pause_s, 20 * (self.clock.monotonic() - before)))

    def _is_due(self) -> bool:
        """A checkpoint follows a catch-up, then each time that as many lines came as there are rows."""
        fresh = self.follower.applied_lines - self._written_lines
        least = max(CHECKPOINT_LINES, self.feed.model.rows()) if self._written_lines else 1
        return fresh >= least and not self._history.dirty

    async def _write_history(self) -> bool:
        try:
            await self._history.flush()
        except OSError as error:
            log.warning("the history was not written: %s", error, extra={"action": "history_failed"})
            return False
        return True

    async def _take_checkpoint(self) -> bool:
        """Write and sync the model, then journal that it counts; the file before goes last."""
        self._checkpoints += 1
        name, dump = file_name(self.feed.epoch, self._checkpoints), dump_of(self.feed.model)
        lines = self.follower.applied_lines
        try:
            await self.system.run_blocking(write_model, self._files, self._folder, name, dump)
            await self.ref.ask_async(Checkpoint(file=name, cursors=dump.cursors), timeout_s=30)
        except (OSError, UnderstudyError) as error:
            log.warning("no checkpoint was taken: %s", error, extra={"action": "checkpoint_failed"})
            return False
        await self.system.run_blocking(remove_others, self._files, self._folder, name)
        self._written_lines = lines
        return True


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
