"""The engines' sessions after a start: each is looked for once, before it is used (MG-3)."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import trio

from understudy.actors.engines import Resumable
from understudy.protocols.base import described
from understudy.protocols.errors import SessionInvalid
from understudy.supervision.boundary import contained_unless_cancelled

if TYPE_CHECKING:
    from understudy.actors.engines import Engine

log = logging.getLogger("understudy.manager")


class Usable(NamedTuple):
    """The session to go on with, or None and why the one that was kept is no good."""

    session_id: str | None
    why_not: str = ""


class Sessions:
    """Of one incarnation of the manager; in memory, for its background tasks only.

    Args:
        timeout_s: a resume that takes longer has failed.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._good: set[tuple[str, str]] = set()
        self._gone: dict[tuple[str, str], str] = {}
        self._locks: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)

    async def usable(self, engine: Engine, session_id: str | None) -> Usable:
        """The session, once the engine has found it again.

        When it can't in time, the engine goes on without it (S0: a resume that fails degrades to a new
        session and holds nobody up).
        """
        if session_id is None or not isinstance(engine, Resumable):
            return Usable(session_id)
        key = engine.name, session_id
        async with self._locks[engine.name]:  # one resume at a time; who comes second uses its outcome
            if key not in self._good and key not in self._gone:
                why_not = await self._resume(engine, session_id)
            else:
                why_not = self._gone.get(key, "")
        return Usable(None if why_not else session_id, why_not)

    async def _resume(self, engine: Resumable, session_id: str) -> str:
        """Why the session can't be gone on with; empty when it can."""
        try:
            with trio.fail_after(self._timeout_s):
                await engine.resume(session_id)
        except SessionInvalid as error:
            why_not = described(error)
            self.lost(engine, session_id, why_not)
        except trio.TooSlowError:
            why_not = f"it was not found again within {self._timeout_s:g} s"
        except BaseException as error:  # noqa: BLE001 - whatever an engine raises
            why_not = described(contained_unless_cancelled(error))
        else:
            self._good.add((engine.name, session_id))
            return ""
        return why_not

    def lost(self, engine: Engine | Resumable, session_id: str, why: str) -> None:
        """The engine says that this session is gone."""
        log.warning("session %s of %s: %s", session_id, engine.name, why, extra={"action": "session_lost"})
        self._gone[engine.name, session_id] = why

    def begun(self, engine: Engine, session_id: str | None) -> None:
        """The engine answered under this session: it need not be looked for."""
        if session_id is not None:
            self._good.add((engine.name, session_id))
