"""An engine for tests: it does what a script says, and remembers what it was asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from understudy.protocols.engine import Reply, RunAnswer, RunRequest, UserInput
from understudy.protocols.errors import SessionInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from understudy.actors.engines.engine import Desk
    from understudy.protocols.engine import HistoryMessage, Persona


@dataclass(frozen=True, slots=True)
class Hang:
    """The call does not return, until it is cancelled."""


@dataclass(frozen=True, slots=True)
class LoseSession:
    """The session is gone, when the call has one; else the next step is taken."""


@dataclass(frozen=True, slots=True)
class Act:
    """Answer as by default, with these actions as data: valid or not."""

    actions: tuple[object, ...]
    text: str = "done"


Calls = Callable[["RunRequest", "Desk"], Awaitable[RunAnswer | None]]
"""A step of your own; None goes on to the next."""

Step = RunAnswer | Exception | trio.Event | Hang | LoseSession | Act | Calls


class TwoAtOnce(AssertionError):
    """The engine was called while a call was under way: single flight is broken (MG-1)."""


class ScriptedEngine:
    """Takes a step of its script with each call of `run`; when there is none left, echoes the inputs.

    Steps:
        `RunAnswer`: is the answer.
        an exception: is raised.
        `trio.Event`: is waited for, then the next step is taken.
        `Hang`, `LoseSession`, `Act`: see there.
        a function of request and desk: is awaited; its answer, if it has one, is the answer.

    Attributes:
        requests: what `run` was called with, each call.
        resumed: the sessions that `resume` was called with.
        evolved: what `evolve` was called with.
        steps: what is still to come; may be added to at any time.
        resumes: the same for `resume`, of which a step may be an exception, an event or a `Hang`.
        busy: whether a call of `run` is under way.
        broken: the second of two calls at once, if that ever was; it also raises `TwoAtOnce`.

    Args:
        steps: the script.
        name: the engine's name.
        sessions: whether answers name a session.
    """

    def __init__(self, steps: Iterable[Step] = (), *, name: str = "scripted", sessions: bool = True) -> None:
        self.name = name
        self.steps: deque[Step] = deque(steps)
        self.resumes: deque[Exception | trio.Event | Hang] = deque()
        self.requests: list[RunRequest] = []
        self.resumed: list[str] = []
        self.evolved: list[tuple[HistoryMessage, ...]] = []
        self.busy = False
        self.broken: RunRequest | None = None
        self._sessions = sessions
        self._begun = 0
        self._news = trio.Event()

    async def run(self, request: RunRequest, desk: Desk) -> RunAnswer:
        """See the class."""
        if self.busy:
            self.broken = request
            raise TwoAtOnce(f"expected one call at a time, got {request.run}/{request.attempt} during one")
        self.requests.append(request)
        self.busy = True
        self._news.set()
        try:
            return await self._take_steps(request, desk)
        finally:
            self.busy = False

    async def _take_steps(self, request: RunRequest, desk: Desk) -> RunAnswer:
        while self.steps:
            step = self.steps.popleft()
            if isinstance(step, RunAnswer):
                return step
            if isinstance(step, Act):
                return self._answer(request, step.text, step.actions)
            if isinstance(step, LoseSession):
                if request.session_id is not None:
                    raise SessionInvalid(f"session {request.session_id} is gone")
            elif isinstance(step, Exception | trio.Event | Hang):
                await _wait(step)
            elif (answer := await step(request, desk)) is not None:
                return answer
        return self._answer(request)

    def _answer(self, request: RunRequest, text: str = "", actions: Sequence[object] = ()) -> RunAnswer:
        """A reply to each input: `text`, or an echo."""
        session = request.session_id
        if session is None and self._sessions:
            self._begun += 1
            session = f"{self.name}-session-{self._begun}"
        inputs = [wake for wake in request.batch if isinstance(wake, UserInput)]
        replies = tuple(Reply(text=text or f"echo {one.text}", in_reply_to=(one.id,)) for one in inputs)
        return RunAnswer(replies=replies, session_id=session, actions=tuple(actions))

    async def resume(self, session_id: str) -> None:
        """Finds each session again, but for what `resumes` says."""
        self.resumed.append(session_id)
        self._news.set()
        if self.resumes:
            await _wait(self.resumes.popleft())

    async def evolve(self, messages: tuple[HistoryMessage, ...], persona: Persona | None) -> tuple[str, str]:
        """Counts what it learned from; takes a step first when there is one that is no answer."""
        self.evolved.append(messages)
        self._news.set()
        while self.steps and isinstance(self.steps[0], Exception | trio.Event | Hang):
            await _wait(self.steps.popleft())  # pyright: ignore[reportArgumentType] - looked at above
        known = 0 if persona is None else persona.version
        return f"profile {known + 1} of {len(messages)} messages", f"persona {known + 1}"

    async def wait_calls(self, count: int, timeout_s: float = 5.0) -> RunRequest:
        """Until `run` was called that often.

        Returns:
            the last request.

        Raises:
            trio.TooSlowError: not in time.
        """
        await self.wait_until(lambda: len(self.requests) >= count, timeout_s)
        return self.requests[-1]

    async def wait_until(self, is_so: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Look after each call of this engine, until `is_so`.

        Raises:
            trio.TooSlowError: not in time.
        """
        with trio.fail_after(timeout_s):
            while not is_so():
                self._news = trio.Event()
                await self._news.wait()


async def _wait(step: Exception | trio.Event | Hang) -> None:
    if isinstance(step, Exception):
        raise step
    if isinstance(step, trio.Event):
        await step.wait()
    else:
        await trio.sleep_forever()
