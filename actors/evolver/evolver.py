"""The evolver: learns from the conversation while nothing is to be done; off by default (MG-7)."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import trio
from pydantic import BaseModel, ConfigDict, Field

from understudy.actors.engines import Evolving
from understudy.protocols.base import described, encodable
from understudy.protocols.conversation import GetManagerStatus, GetRecentMessages, TakePersona
from understudy.protocols.engine import Persona
from understudy.protocols.errors import UnderstudyError
from understudy.protocols.evolution import (
    ConsiderEvolving,
    Evolved,
    EvolvingFailed,
    FailEvolving,
    FinishEvolving,
)
from understudy.supervision.boundary import contained_unless_cancelled
from understudy.supervision.persistent import PersistentActor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from understudy.actors.engines import Engine
    from understudy.supervision.files import Files
    from understudy.supervision.tasks import BackgroundTask

log = logging.getLogger("understudy.evolver")

KEPT_VERSIONS = 20
ASK_TIMEOUT_S = 30.0


class EvolverPolicy(BaseModel):
    """When the evolver may work. All times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idle_s: float = Field(default=900.0, gt=0)
    """The manager has had nothing to do for so long."""

    interval_s: float = Field(default=21_600.0, gt=0)
    """Between two tries, at least."""

    timeout_s: float = Field(default=300.0, gt=0)
    """An engine that takes longer has failed."""


class EvolverState(BaseModel):
    """The newest versions, oldest first; `tried_at` is when it last worked (epoch seconds), well or not."""

    versions: list[Persona] = Field(default_factory=list[Persona])
    tried_at: float | None = None
    seen: str | None = None

    def newest(self) -> Persona | None:
        """What holds now."""
        return self.versions[-1] if self.versions else None


class EvolverActor(PersistentActor[EvolverState]):
    """Has an engine update user profile and agent persona, in idle windows only.

    A window begins `idle_s` after the manager's last journal line; the next line ends it, and cancels
    the engine's call: no wake event ever waits for it. Between two lines there is one timer at most, and
    none when nothing was said since the last time. What was learned goes to the manager, for its next
    runs, and into files under `persona/` in the home, which are written from the journal.

    Args:
        engines: the manager's chain; the first that is `Evolving` does the work. With none there is
            nothing to do, and that is logged.
        policy: when.
        manager: the manager's name.
    """

    def __init__(
        self,
        *,
        engines: Sequence[Engine] = (),
        policy: EvolverPolicy | None = None,
        manager: str = "manager",
    ) -> None:
        super().__init__()
        home = self.system.home
        assert home is not None, "a persistent actor's system has a home"
        self._files = home.files
        self._folder = home.path / "persona"
        self._engine = next((engine for engine in engines if isinstance(engine, Evolving)), None)
        self._policy = policy or EvolverPolicy()
        self._manager = manager
        self._stirred_at = self.clock.time()
        self._window = 0  # counts the manager's lines: what was begun in another window is void
        self._armed = False
        self._working: BackgroundTask | None = None

    def on_start(self) -> None:
        """Write the files that are missing, and wait for the first window."""
        self._write_files()
        if self._engine is None:
            log.info("no engine of the chain can evolve: nothing to do", extra={"action": "evolver_idle"})
            return
        self.start_task(self._follow, name="follow the manager")
        self._arm(self._stirred_at + self._policy.idle_s)

    async def _follow(self) -> None:
        """A task, so that the subscription ends with the incarnation, however that ends."""
        unsubscribe = self.system.subscribe_journals(self._journal_grew)
        try:
            await trio.sleep_forever()
        finally:
            unsubscribe()

    def _journal_grew(self, name: str, _seq: int, _lines: bytes) -> None:
        """On the loop, when a line is durable: the manager has something to do, and comes first."""
        if name != self._manager:
            return
        self._stirred_at = self.clock.time()
        self._window += 1
        if self._working is not None:
            self._working.cancel()
        if not self._armed:
            self._armed = True
            self.start_timer("window", ConsiderEvolving(), delay_s=self._policy.idle_s)

    # -- turns

    def consider_evolving(self, _message: ConsiderEvolving) -> None:
        self._armed = False
        due_at = self._stirred_at + self._policy.idle_s
        if self.state.tried_at is not None:
            due_at = max(due_at, self.state.tried_at + self._policy.interval_s)
        if self.clock.time() < due_at:
            self._arm(due_at)
        elif self._working is None or self._working.done.is_set():
            self._working = self.start_task(
                self._evolve, self._window, self.state.newest(), self.state.seen, name="evolve"
            )

    def finish_evolving(self, message: FinishEvolving) -> None:
        if message.window != self._window:
            return
        before = self.state.newest()
        persona = Persona(
            version=1 if before is None else before.version + 1,
            profile=message.profile,
            persona=message.persona,
        )
        now = self.clock.time()
        self.emit(Evolved(persona=persona, at=now, engine=message.engine, seen=message.seen))
        self.send(self._manager, TakePersona(persona=persona))
        self._write_files()

    def fail_evolving(self, message: FailEvolving) -> None:
        log.warning("the engine could not evolve: %s", message.error, extra={"action": "evolve_failed"})
        self.emit(EvolvingFailed(at=self.clock.time(), error=message.error))
        if message.window == self._window:
            self._arm(self.clock.time() + self._policy.interval_s)

    def evolved(self, event: Evolved) -> None:
        state = self.state
        state.versions.append(event.persona)
        del state.versions[:-KEPT_VERSIONS]
        state.tried_at, state.seen = event.at, event.seen

    def evolving_failed(self, event: EvolvingFailed) -> None:
        self.state.tried_at = event.at

    # -- in the background

    async def _evolve(self, window: int, known: Persona | None, seen: str | None) -> None:
        """Cancelled by the manager's next line."""
        engine = self._engine
        assert isinstance(engine, Evolving)
        try:
            manager = self.system.get(self._manager)
            status = await manager.ask_async(GetManagerStatus(), timeout_s=ASK_TIMEOUT_S)
            recent = await manager.ask_async(GetRecentMessages(), timeout_s=ASK_TIMEOUT_S)
        except UnderstudyError as error:
            log.info("the manager can't be asked: %s", error, extra={"action": "evolver_idle"})
            return
        ids = [one.id for one in recent.messages]
        news = recent.messages[ids.index(seen) + 1 :] if seen in ids else recent.messages
        if status.run is not None or status.waiting or not news:
            return  # the manager's next line is the next chance
        report: FinishEvolving | FailEvolving
        try:
            with trio.fail_after(self._policy.timeout_s):
                profile, persona = await engine.evolve(news, known)
            report = FinishEvolving(
                window=window,
                engine=engine.name,
                profile=encodable(profile),
                persona=encodable(persona),
                seen=news[-1].id,
            )
        except trio.TooSlowError:
            error = f"no answer within {self._policy.timeout_s:g} s"
            report = FailEvolving(window=window, error=error)
        except BaseException as raised:  # noqa: BLE001 - whatever an engine raises
            failure = contained_unless_cancelled(raised)
            report = FailEvolving(window=window, error=described(failure))
        await self.ref.tell_async(report)

    def _arm(self, at_s: float) -> None:
        self._armed = True
        self.start_timer("window", ConsiderEvolving(), at_s=at_s)

    def _write_files(self) -> None:
        versions = tuple(self.state.versions)
        if versions:
            self.start_task(self._write, versions, name="write persona")

    async def _write(self, versions: tuple[Persona, ...]) -> None:
        try:
            await self.system.run_blocking(partial(write_versions, self._files, self._folder, versions))
        except OSError as error:
            log.warning("persona/ was not written: %s", error, extra={"action": "persona_not_written"})


def write_versions(files: Files, folder: Path, versions: Sequence[Persona]) -> None:
    """`profile-0003.md` and `persona-0003.md` for each version, and the newest as `profile.md`, `persona.md`.

    Each is put in place at once, and left alone when it is right. Blocks.
    """
    texts: dict[str, str] = {}
    for one in versions:
        for kind, text in (("profile", one.profile), ("persona", one.persona)):
            texts[f"{kind}-{one.version:04}.md"] = texts[f"{kind}.md"] = text.rstrip("\n") + "\n"
    files.make_folders(folder)
    for name, text in texts.items():
        path = folder / name
        try:
            old = files.read_all(path)
        except FileNotFoundError:
            old = None
        if old != text.encode():
            files.publish(path, text.encode())
