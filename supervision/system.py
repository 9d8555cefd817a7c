"""`ActorSystem`: a scheduler, the actors on it, and a home that keeps what they say."""

from __future__ import annotations

import logging
import math
import random
from contextlib import AsyncExitStack
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any, Concatenate, Never, ParamSpec, Self, TypeVar, cast, overload

import trio

from understudy.protocols.base import described, nearest
from understudy.protocols.errors import (
    InvalidName,
    NameTaken,
    NotPersistent,
    Stopping,
    UnknownActor,
    WouldDeadlock,
)
from understudy.protocols.lifecycle import SystemStatus
from understudy.supervision import pykka_rules
from understudy.supervision.arguments import check_arguments, check_class, check_positional
from understudy.supervision.blocking import at_once, in_thread
from understudy.supervision.cell import Cell
from understudy.supervision.clock import Clock, SystemClock
from understudy.supervision.files import Files
from understudy.supervision.futures import LOOP_THREADS
from understudy.supervision.guardian import Guardian
from understudy.supervision.home import Home, OwnedHome
from understudy.supervision.journal import Journals
from understudy.supervision.journaled import JournaledCell
from understudy.supervision.lifecycle import Lifecycle
from understudy.supervision.processes import NoProcesses, Processes
from understudy.supervision.reference import ActorRef
from understudy.supervision.scheduler import SLICE_S, STOPPED, Scheduler
from understudy.supervision.settings import Settings
from understudy.supervision.time_travel import replay_state
from understudy.supervision.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from pydantic import BaseModel

    from understudy.protocols.lifecycle import LifecycleEvent
    from understudy.supervision.actor import Actor
    from understudy.supervision.blocking import RunBlocking
    from understudy.supervision.guardian import Parent
    from understudy.supervision.in_thread import ThreadedSystem
    from understudy.supervision.living import LivingCell
    from understudy.supervision.persistent import PersistentActor

    JournalWatcher = Callable[[str, int, bytes], None]
    JournalHold = Callable[[str], int | None]

A = TypeVar("A", bound="Actor")
P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("understudy.system")

NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
NAME_LENGTH = 100


class ActorSystem:
    """Actors of one program, with or without a home. No global state: several run side by side.

    `async with ActorSystem(home) as system:` inside trio; `with ActorSystem.in_thread(home) as
    system:` from ordinary code. At the end of the block the actors are stopped in reverse order and
    the journals are flushed.

    Args:
        home: folder that keeps the journals, made if missing; None for actors in memory only.
        settings: sizes and times.
        clock: what time it is; the machine's by default.
        seed: of the random numbers that actors use (jitter and the like).
        files: the file system; a faulty one in tests.
        inline: for simulations: no thread is started or used. Journals are written, and blocking
            calls made, on the loop; so a whole system runs on a virtual clock, the same in each run.

    Attributes:
        home: the home's paths, None without one.
        owned: the home as this process holds it, while the block runs.
        proven: what readers know of journals, by name: incarnation and seq (see `prove`).
        run_blocking: `await system.run_blocking(function, *arguments)` makes a blocking call without
            holding up the loop: in a thread, or inline at once. See `RunBlocking`.

    Raises:
        HomeInUse, HomeNotWritable, NewerVersion: on entering, when the home can't be used.
    """

    scheduler: Scheduler
    nursery: trio.Nursery
    timers: Timers

    def __init__(
        self,
        home: Path | str | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        files: Files | None = None,
        inline: bool = False,
    ) -> None:
        files = files or Files()
        self.inline = inline
        self.run_blocking: RunBlocking = at_once if inline else in_thread
        self.home = None if home is None else Home(Path(home).expanduser().absolute(), files)
        self.owned: OwnedHome | None = None
        self.journals: Journals | None = None
        self.settings = settings or Settings()
        self.clock: Clock = clock or SystemClock()
        self.random = random.Random(seed)
        self.lifecycle = Lifecycle()
        self.observed = True
        self.stopping = False
        self._cells: dict[str, Cell] = {}
        self._started: dict[LivingCell, None] = {}
        self._unnamed = 0
        self._guardian = Guardian(self)
        self._stack = AsyncExitStack()
        self._journal_names: set[str] = set()
        self._journal_watchers: list[JournalWatcher] = []
        self._journal_holds: dict[str, JournalHold] = {}
        self.proven: dict[str, tuple[int, int]] = {}
        self._processes: Processes | None = None

    # -- the block

    async def __aenter__(self) -> Self:
        if not trio.lowlevel.in_trio_run():
            msg = (
                "expected a trio loop for `async with ActorSystem(...)`, such as `trio.run(main)`, got "
                "another one; `with ActorSystem.in_thread(...)` brings its own"
            )
            raise RuntimeError(msg)
        async with AsyncExitStack() as stack:
            if self.home is not None:
                # Before the nursery, which would wrap the error in a group.
                self.owned = stack.enter_context(self.home.own())
            self.nursery = await stack.enter_async_context(trio.open_nursery())
            # Inline, how fast the machine is must not decide who has the next turn.
            self.scheduler = Scheduler(self.nursery, math.inf if self.inline else SLICE_S)
            LOOP_THREADS[get_ident()] += 1
            pykka_rules.RUNNING.append(self)
            self.timers = Timers(self.clock)
            self._open_journals()
            self.scheduler.start()
            self.nursery.start_soon(self.timers.run, name="understudy timers")
            self._stack = stack.pop_all()
        return self

    @trio.lowlevel.enable_ki_protection  # Ctrl-C comes out of what is awaited here, never between two lines
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        cut: BaseException | None = None
        try:
            with trio.CancelScope(shield=True):
                await self.shutdown()
        except BaseException as raised:  # noqa: BLE001 - Ctrl-C, or no memory: the rest ends at once, then it goes on
            cut = raised
        self.nursery.cancel_scope.cancel()
        self.scheduler.close()
        LOOP_THREADS[get_ident()] -= 1
        pykka_rules.RUNNING.remove(self)
        try:
            if cut is not None:
                await self._stack.__aexit__(None, None, None)
                raise cut
            if isinstance(error, Exception | KeyboardInterrupt | SystemExit):
                # The block's own error goes on as it is; through the nursery it would come out in a group.
                await self._stack.__aexit__(None, None, None)
                return None
            return await self._stack.__aexit__(kind, error, traceback)
        finally:
            self.scheduler.release()

    @classmethod
    def in_thread(
        cls,
        home: Path | str | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        files: Files | None = None,
    ) -> ThreadedSystem:
        """A system whose loop has a thread of its own, for ordinary code; see `ThreadedSystem`."""
        from understudy.supervision.in_thread import ThreadedSystem  # noqa: PLC0415 - it needs this module

        return ThreadedSystem(cls(home, settings=settings, clock=clock, seed=seed, files=files))

    async def shutdown(self) -> None:
        """Stop all actors in reverse order of their start, and flush (RT-9). Once is enough."""
        self._on_loop("shutdown")
        if self.stopping:
            return
        self.stopping = True
        deadline_s = self.settings.stop_timeout_s
        for cell in reversed([*self._started]):
            await cell.stop("the system stops", deadline_s)
        for cell in reversed([cell for cell in self._cells.values() if cell.parent is self._guardian]):
            await cell.stop("the system stops", deadline_s)
        if self._processes is not None:
            await self._processes.close()
        if self.journals is not None:
            flush_s = self.settings.flush_timeout_s
            if not await self.run_blocking(self.journals.close, flush_s):
                log.error(
                    "the journals were not written within %s s", flush_s, extra={"action": "flush_timeout"}
                )

    def _open_journals(self) -> None:
        if self.home is None:
            return
        self.journals = Journals(
            self.home.journals, self.home.files, self.scheduler.call_soon, self.settings, inline=self.inline
        )
        self._journal_names = set(self.journals.names())

    # -- actors

    async def spawn(
        self, actor_class: type[A], *positional: Never, name: str | None = None, **arguments: Any
    ) -> ActorRef[A]:
        """Start an actor under the system's guardian; returns when it is recovered and started.

        Args:
            actor_class: its class; an instance is made with `arguments` now and at each restart.
            name: unique in the system; a persistent actor's journal has this name, so that a name
                that exists in the home is recovered. Made up when it is None.
            positional: nothing; an actor's arguments are given by name.
            arguments: keyword arguments of the class.

        Raises:
            NameTaken, InvalidName: the name is in use, or can't be one.
            JournalDamaged: the journal can't be read; the actor stays listed as blocked.
            Exception: what `__init__` or `on_start` raised; the actor is gone then.
            RuntimeError: the system's block is not open yet.
            TypeError: no class of an actor, or arguments that it does not take.
        """
        self._on_loop("spawn")
        check_positional(actor_class, positional)
        cell = self.make_cell(actor_class, name, arguments, self._guardian)
        try:
            await cell.start()
        except BaseException as error:
            self._guardian.start_failed(cell, error)
            raise
        return cell.ref

    def _on_loop(self, what: str) -> None:
        """Raise `WouldDeadlock` in any thread but the loop's: it would touch what belongs to the loop."""
        if hasattr(self, "scheduler") and get_ident() != self.scheduler.ident:
            msg = (
                f"expected the loop's own thread for {what} of an ActorSystem, got another: "
                "use the blocking methods of `ActorSystem.in_thread(...)`; in a task of asyncio, "
                "`await asyncio.to_thread(...)` them"
            )
            raise WouldDeadlock(msg)

    def make_cell(
        self, actor_class: type[Actor], name: str | None, arguments: Mapping[str, Any], parent: Parent | None
    ) -> Cell:
        """A cell that is not started yet, under its name.

        Raises:
            NameTaken, InvalidName, NotPersistent, Stopping.
            TypeError: no class of an actor, or arguments that it does not take.
        """
        check_class(actor_class)
        if self.stopping:
            msg = f"expected a running system to start {actor_class.__name__} in, got one that stops"
            raise Stopping(msg)
        if not hasattr(self, "scheduler"):
            msg = (
                f"expected a system whose block is open to start {actor_class.__name__} in: "
                "`async with ActorSystem(...) as system:`"
            )
            raise RuntimeError(msg)
        if name is None:
            self._unnamed += 1
            name = f"{actor_class.__name__}-{self._unnamed}"
        if name in self._cells:
            msg = f"expected a free name, got {name!r}, which {self._cells[name]} has"
            raise NameTaken(msg)
        check_name(name)
        check_arguments(actor_class, arguments)
        cell = actor_class._make_cell(self, name, dict(arguments), parent)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        self._cells[name] = cell
        if self.journals is not None and cell.persistent:
            self._journal_names.add(name)
        return cell

    def adopt_started(self, cell: Cell) -> None:
        """Take on an actor started with pykka's `start()`, to be stopped with the system."""
        self._started[cell] = None

    def forget(self, cell: LivingCell) -> None:
        """A cell has stopped: its name is free."""
        if self._cells.get(cell.name) is cell:
            del self._cells[cell.name]
        else:
            self._started.pop(cell, None)

    @overload
    def get(self, name: str) -> ActorRef[Any]: ...
    @overload
    def get(self, name: str, actor_class: type[A]) -> ActorRef[A]: ...
    def get(self, name: str, actor_class: type[Actor] | None = None) -> ActorRef[Any]:
        """The reference of the actor with that name; with a class, a reference to an actor of that class.

        Raises:
            UnknownActor: there is none, or it is of another class.
        """
        cell = self.cell(name)
        if actor_class is not None and not issubclass(cell.actor_class, actor_class):
            expected, got = actor_class.__name__, cell.actor_class.__name__
            msg = f"expected an actor of class {expected} under the name {name!r}, got one of class {got}"
            raise UnknownActor(msg)
        return cell.ref

    def cell(self, name: str) -> Cell:
        """The cell of that name; see `get`."""
        try:
            return self._cells[name]
        except KeyError:
            known = nearest(name, self._cells)
            msg = f"expected the name of an actor, got {name!r}; there are: {known}"
            raise UnknownActor(msg) from None

    def find(self, name: str) -> Cell | None:
        """The cell of that name, if there is one."""
        return self._cells.get(name)

    def cells(self) -> tuple[Cell, ...]:
        """All named cells, in order of their making."""
        return tuple(self._cells.values())

    def reference(self, to: ActorRef[Any] | str) -> ActorRef[Any]:
        """`to` itself, or the reference of that name."""
        return self.get(to) if isinstance(to, str) else to

    async def run(
        self,
        function: Callable[Concatenate[ActorSystem, P], Awaitable[T]],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T:
        """`await function(system, *arguments, **keywords)`: what `ThreadedSystem.run` does, on the loop."""
        self._on_loop("run")
        return await function(self, *arguments, **keywords)

    async def stop(self, name: str) -> None:
        """Stop an actor for good; overtakes its mailbox. Its journal stays.

        Raises:
            UnknownActor.
        """
        self._on_loop("stop")
        await self.cell(name).stop("stop requested", self.settings.stop_timeout_s)

    async def resume(self, name: str) -> None:
        """Let a halted actor go on after somebody looked at the disk (JR-8).

        Raises:
            UnknownActor.
            Refused: it is not halted.
            ActorHalted: the disk is still bad.
        """
        self._on_loop("resume")
        await self.cell(name).resume()

    def resume_later(self, cell: Cell, every_s: float) -> None:
        """Try to resume `cell` each `every_s` seconds until it works (`Settings.resume_every_s`)."""

        async def try_again() -> None:
            while cell.phase == "halted":
                await trio.sleep(every_s)
                try:
                    await cell.resume()
                except Exception as error:  # noqa: BLE001 - such as `on_start`'s: only this actor's matter
                    log.warning("%s: %s", cell, described(error), extra={"action": "resume_failed"})

        self.scheduler.start_soon(try_again)

    def subscribe(self, callback: Callable[[LifecycleEvent], None]) -> Callable[[], None]:
        """Have `callback` called on the loop with each lifecycle event (RT-8); it must not block.

        Returns the end of the subscription.
        """
        return self.lifecycle.subscribe(callback)

    # -- journals

    async def state_at(self, name: str, seq: int) -> BaseModel:
        """The state of a persistent actor that is spawned as of turn `seq`, as a copy of its own (JR-9).

        Seq 0 is the state before the first turn, the actor's `watermark` the last one that there is. It
        is made from the journal on another thread (see `replay_state`); the actor goes on meanwhile. A
        blocked one can be looked at too, as far as its journal can be read.

        Raises:
            UnknownActor: no actor of that name runs; `replay_state` reads journals without one.
            NotPersistent: it has no journal.
            SeqNotKept: there is no such turn, or not any more.
            JournalDamaged, NewerVersion, RecordNotUnderstood: the journal can't be read up to there.
            OSError: the disk.
        """
        self._on_loop("state_at")
        cell = self.cell(name)
        if self.home is None or not isinstance(cell, JournaledCell):
            msg = f"expected a persistent actor, got {cell}, which keeps no journal"
            raise NotPersistent(msg)
        actor_class = cast("type[PersistentActor[Any]]", cell.actor_class)
        journal = cell.journal
        return await self.run_blocking(
            replay_state, actor_class, self.home.files, journal.folder, seq, journal.durable
        )

    def journal_names(self) -> tuple[str, ...]:
        """The persistent actors that the home has a journal of, running or not, sorted."""
        return tuple(sorted(self._journal_names))

    def has_journal(self, name: str) -> bool:
        """Whether the home has a journal of that name."""
        return name in self._journal_names

    @property
    def journal_watched(self) -> bool:
        """Whether anybody subscribed to the journals."""
        return bool(self._journal_watchers)

    def subscribe_journals(self, callback: JournalWatcher) -> Callable[[], None]:
        """Have `callback(name, seq, lines)` called on the loop when lines have become durable.

        `lines` are whole journal lines, the last of which has `seq`; b"" when nobody had subscribed
        as they were written. A hint, not a record: who must not miss one reads the file from its
        cursor (rule P2). Returns the end of the subscription.
        """
        self._journal_watchers.append(callback)
        return lambda: self._journal_watchers.remove(callback)

    def hold_journals(self, reader: str, hold: JournalHold) -> Callable[[], None]:
        """Keep lines that a reader has not read yet from being removed (rule J7).

        `hold(name)` is called on the loop at each snapshot of the journal `name`: the last seq of it that
        the reader has read for good, 0 for none, or None when it does not read this journal. It takes the
        place of the one before of the same `reader`: what an incarnation that failed has held stays until
        the next one holds it. Returns the end of it.
        """
        self._journal_holds[reader] = hold

        def end() -> None:
            if self._journal_holds.get(reader) is hold:
                del self._journal_holds[reader]

        return end

    def prove(self, name: str, incarnation: int, seq: int) -> None:
        """Say that a reader has read the journal `name` up to `seq`, of that incarnation of it (rule J4).

        So these lines were durable: an actor whose file has lost some of them is blocked when it starts,
        instead of taking the end of the file for what a crash has left of an append.
        """
        self.proven[name] = (incarnation, seq)

    def journal_held(self, name: str) -> int | None:
        """The last seq of the journal that everybody who holds it has read; None when nobody does."""
        return min(
            (seq for hold in self._journal_holds.values() if (seq := hold(name)) is not None), default=None
        )

    def journal_grew(self, name: str, seq: int, lines: bytes) -> None:
        """Tell the subscribers; an error of one does not reach the others."""
        for callback in tuple(self._journal_watchers):
            try:
                callback(name, seq, lines)
            except BaseException:
                log.exception("a journal subscriber failed", extra={"action": "subscriber_failed"})

    @property
    def processes(self) -> Processes:
        """The system's child processes (rule H1).

        Raises:
            NotPersistent: the system has no home to mark them with.
        """
        if self._processes is None:
            if self.home is None:
                msg = "expected a system with a home to start processes in: ActorSystem(home)"
                raise NotPersistent(msg)
            kind = NoProcesses if self.inline else Processes
            self._processes = kind(self.home.path, self.scheduler.call_soon)
        return self._processes

    def status(self) -> SystemStatus:
        """All actors as they stand, parents before children, and what needs a person."""
        cells = [cell for cell in self.cells() if cell.state != STOPPED]
        return SystemStatus(
            home=None if self.home is None else str(self.home.path),
            halted=tuple(cell.halt_report() for cell in cells if cell.phase == "halted"),
            blocked=tuple(cell.halt_report() for cell in cells if cell.phase == "blocked"),
            given_up=self._guardian.given_up(),
            dead_letters=self.lifecycle.dead_letters,
            actors=tuple(cell.status() for cell in cells),
        )


def check_name(name: str) -> None:
    """Whether `name` can be an actor's: it also names a folder and stands in journal lines.

    Raises:
        InvalidName.
    """
    if not name or len(name) > NAME_LENGTH or name[0] == "." or not NAME_CHARACTERS.issuperset(name):
        msg = (
            f"expected a name of 1 to {NAME_LENGTH} letters, digits, '-', '_' and '.', "
            f"not starting with '.', got {name!r}"
        )
        raise InvalidName(msg)
