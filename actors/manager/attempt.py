"""One attempt at a run, in the background: the session, the engine's answer, its correction (MG-3, MG-4)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, cast

import trio

from understudy.actors.manager.proposals import propose
from understudy.protocols.base import described, text_of
from understudy.protocols.engine import FailRun, FinishRun, RunAnswer
from understudy.protocols.errors import SessionInvalid
from understudy.supervision.boundary import contained_unless_cancelled
from understudy.supervision.wants import want_of

if TYPE_CHECKING:
    from understudy.actors.engines import Engine
    from understudy.actors.manager.desk import RunDesk
    from understudy.actors.manager.sessions import Sessions
    from understudy.protocols.engine import ActionProblem, Reply, RunRequest

log = logging.getLogger("understudy.manager")
WANT_RETRY_S: Final = 2.0


class Attempt:
    """Has `engine` answer `request`.

    Args:
        rounds: how often actions that can't be done are sent back.
        timeout_s: for all of it.
    """

    def __init__(
        self,
        engine: Engine,
        request: RunRequest,
        desk: RunDesk,
        sessions: Sessions,
        *,
        rounds: int,
        timeout_s: float,
    ) -> None:
        self._engine = engine
        self._request = request
        self._desk = desk
        self._sessions = sessions
        self._rounds = rounds
        self._timeout_s = timeout_s
        self._session_id = request.session_id
        self._rebuilt = ""

    async def carry_out(self) -> FinishRun | FailRun:
        """What came of it; never raises for what an engine does."""
        try:
            with trio.fail_after(self._timeout_s):
                report = await self._answered()
            report.model_dump_json()  # an answer that no journal can hold must fail here, not in the turn
        except trio.TooSlowError:
            return self._failed(f"no answer within {self._timeout_s:g} s")
        except BaseException as raised:  # noqa: BLE001 - whatever an engine raises is a failed attempt
            failure = contained_unless_cancelled(raised)
            if (want := want_of(failure)) is not None:
                return await self._once_there_is_room(want)
            return self._failed(text_of(failure) or type(failure).__name__)
        return report

    async def _once_there_is_room(self, want: str) -> FinishRun | FailRun:
        """Try again: the machine lacked something for the call, which is no failure of the engine's."""
        extra = {"action": "engine_waits", "want": want}
        log.warning("the engine waits for %s, which the machine lacks", want, extra=extra)
        self._desk.forget_after(0)
        await trio.sleep(WANT_RETRY_S)
        return await self.carry_out()

    async def _answered(self) -> FinishRun:
        """The engine's answer; its actions are sent back while they can't be done, and dropped at last."""
        self._session_id, self._rebuilt = await self._sessions.usable(self._engine, self._session_id)
        replies: tuple[Reply, ...] = ()
        problems: tuple[ActionProblem, ...] = ()
        for number in range(self._rounds + 1):
            answer = await self._called(number, problems)
            replies = answer.replies or replies
            said = len(self._desk.actions)  # what it proposed by calls was checked then, and stays
            problems = await propose(answer.actions, self._desk)
            if not problems:
                break
            self._desk.forget_after(said)
        self._sessions.begun(self._engine, self._session_id)
        return FinishRun(
            run=self._request.run,
            attempt=self._request.attempt,
            replies=replies,
            actions=self._desk.actions,
            session_id=self._session_id,
            rebuilt=self._rebuilt,
            problems=problems,
        )

    async def _called(self, number: int, problems: tuple[ActionProblem, ...]) -> RunAnswer:
        """Call the engine; once more without its session, if that turns out to be gone."""
        try:
            return await self._call(number, problems)
        except SessionInvalid as error:
            if self._session_id is None:
                raise
            self._rebuilt = described(error)
            self._sessions.lost(self._engine, self._session_id, self._rebuilt)
            self._session_id = None
            return await self._call(number, problems)

    async def _call(self, number: int, problems: tuple[ActionProblem, ...]) -> RunAnswer:
        update = {"session_id": self._session_id, "round": number, "problems": problems}
        answer = cast("object", await self._engine.run(self._request.model_copy(update=update), self._desk))
        if not isinstance(answer, RunAnswer):
            msg = f"expected a RunAnswer of engine {self._engine.name}, got {type(answer).__name__}"
            raise TypeError(msg)
        self._session_id = answer.session_id or self._session_id
        return answer

    def _failed(self, error: str) -> FailRun:
        return FailRun(run=self._request.run, attempt=self._request.attempt, error=error)
