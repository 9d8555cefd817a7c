"""What is written from the read model: the history, `runtime-state.json`, and the model for a checkpoint."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import trio

from understudy.actors.projection import runtime_state
from understudy.actors.projection.history import History
from understudy.actors.projection.model_dump import ModelDump, dump_of
from understudy.actors.projection.model_file import file_name, read_model, remove_others, write_model
from understudy.protocols.errors import UnderstudyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from understudy.actors.projection.feed import Feed
    from understudy.protocols.read_model import Cursor, MessageRow
    from understudy.supervision.blocking import RunBlocking
    from understudy.supervision.clock import Clock
    from understudy.supervision.home import Home

log = logging.getLogger(__name__)

FOLDER = "projection"
CHECKPOINT_LINES = 1000
"""Lines between two checkpoints, at least; more when writing the model costs more."""
WRITE_PAUSE_S = 1.0
"""Between two looks at what is to be written."""
FAILED_PAUSE_S = 60.0
"""The longest pause after a failure to write; it doubles up to that."""
LOOK_PAUSE_S = 30.0
"""Between two looks at whether somebody else has written to `runtime-state.json` while nothing changed."""


class Draft(NamedTuple):
    """The model at one moment, to be written: its file's name, what it holds, how many lines it has read."""

    name: str
    dump: ModelDump
    applied: int


class Keeper:
    """Writes the files of a home that follow from its journals. Each can be deleted: it comes again.

    Args:
        home: whose files.
        feed: has the read model.
        timezone: IANA name of the zone in which the history's days begin.
        run_blocking: how the writing is kept off the loop.
        clock: of the pauses.
        taken: called with a model's file (its name) and cursors when that is durable.
        report: told in a sentence that somebody else had written to a file.
    """

    def __init__(
        self,
        home: Home,
        feed: Feed,
        timezone: str,
        run_blocking: RunBlocking,
        clock: Clock,
        taken: Callable[[str, tuple[Cursor, ...]], Awaitable[None]],
        report: Callable[[str], None],
    ) -> None:
        self.history = History(home.files, home.path / "history", timezone, run_blocking)
        self._state_file = runtime_state.RuntimeStateFile(home.files, home.state / "runtime-state.json")
        self._files = home.files
        self._folder = home.state / FOLDER
        self._feed = feed
        self._run_blocking = run_blocking
        self._clock = clock
        self._taken = taken
        self._report = report
        self._applied = 0
        self._seen = 0
        self._checkpointed = 0
        self._stated = -1
        self._look_at = 0.0
        self._checkpoints = 0
        self._first = True
        self._writing = trio.Lock()  # a stop writes while `run` may be at it: one file, one writer

    async def load(self, file: str | None) -> None:
        """Put the model of the newest checkpoint into the feed, where there is one."""
        if file is not None:
            kept = self._feed.model.kept
            model = await self._run_blocking(read_model, self._files, self._folder, file, kept)
            if model is not None:
                self._feed.model = model
                self._first = False
        await self._run_blocking(self.history.reset, self._feed.model.messages)

    def line_applied(self, messages: list[MessageRow]) -> None:
        """The read model has taken in a line; these messages are new or have changed with it."""
        self._applied += 1
        for row in messages:
            self.history.add(row)

    async def run(self) -> None:
        """Write what is to be written, at most once a second, until cancelled."""
        pause_s = WRITE_PAUSE_S
        while True:
            before = self._clock.monotonic()
            # The model is fixed before the history is written, so that the history has all that a checkpoint
            # covers. To wait for a moment when nothing else has come would be to wait for the end of a load.
            draft = self._draft() if self._is_due() else None
            self._seen = self._applied
            written = await self.write()
            if written and draft is not None:
                written = await self._take_checkpoint(draft)
            pause_s = WRITE_PAUSE_S if written else min(2 * pause_s, FAILED_PAUSE_S)
            await trio.sleep(max(pause_s, 20 * (self._clock.monotonic() - before)))

    async def write(self) -> bool:
        """Write the history and the runtime state where they have changed. Returns whether that worked."""
        async with self._writing:
            try:
                if self.history.dirty:
                    for name in await self.history.flush():
                        self._report(f"{name} was changed by somebody else, and is written anew")
                await self._write_state()
            except OSError as error:
                log.warning("history or state were not written: %s", error, extra={"action": "not_written"})
                return False
            return True

    async def _write_state(self) -> None:
        applied, now = self._applied, self._clock.monotonic()
        if applied == self._stated and now < self._look_at:
            return
        data = runtime_state.encode(self._feed.model)
        if await self._run_blocking(self._state_file.write, data):
            self._report(f"{self._state_file.path.name} was changed by somebody else, and is written anew")
        self._stated, self._look_at = applied, now + LOOK_PAUSE_S

    def _is_due(self) -> bool:
        """After a quarter as many lines as there are rows; sooner when nothing has come since the last look.

        So what is written stays in proportion to what is read, and what a start has to read again too.
        """
        fresh, rows = self._applied - self._checkpointed, self._feed.model.rows()
        if self._first or self._applied == self._seen:
            return fresh >= (1 if self._first else max(1, CHECKPOINT_LINES // 10, rows // 50))
        return fresh >= max(CHECKPOINT_LINES, rows // 4)

    def _draft(self) -> Draft:
        self._checkpoints += 1
        name = file_name(self._feed.epoch, self._checkpoints)
        return Draft(name, dump_of(self._feed.model), self._applied)

    async def _take_checkpoint(self, draft: Draft) -> bool:
        """Write and sync the model, then journal that it counts; the file before goes last."""
        try:
            await self._run_blocking(write_model, self._files, self._folder, draft.name, draft.dump)
            await self._taken(draft.name, draft.dump.cursors)
        except (OSError, UnderstudyError) as error:
            log.warning("no checkpoint was taken: %s", error, extra={"action": "checkpoint_failed"})
            return False
        await self._run_blocking(remove_others, self._files, self._folder, draft.name)
        self._checkpointed, self._first = draft.applied, False
        return True
