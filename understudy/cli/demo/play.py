"""The play: what is said and done, in order, and the evidence that it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import trio

from understudy.cli import records
from understudy.cli.answers import IdAnswer, MessagePage, SchedulePage, TaskPage
from understudy.cli.client import Client
from understudy.cli.demo import scenes
from understudy.cli.demo.checks import Evidence
from understudy.cli.demo.ledger import Ledger, read_ledger
from understudy.cli.demo.stage import Stage
from understudy.cli.exits import Exit, failure
from understudy.cli.send import InputBody
from understudy.supervision.home import Home

WAIT_S = 25.0
DARK_S = 1.2
_LONG_S = 2.0
_SHORT_S = 0.2
_LOOK_S = 0.02
_ROWS = 500

PROLOGUE = (
    "hello",
    "/run " + scenes.command("Who is there?", _SHORT_S),
    "/run " + scenes.command("The villain trips over his cloak", _SHORT_S, 3),
    "/at +1s " + scenes.command("A bell rings", _SHORT_S),
)
MAIN_SCENES = tuple(
    "/run " + scenes.command(line, seconds)
    for line, seconds in (
        ("To be, or not to be", _LONG_S),
        ("My kingdom for a horse", _LONG_S),
        ("All the world is a stage", _LONG_S),
        ("Out, out, brief candle", _LONG_S),
        ("Lend me your ears", _SHORT_S),
        ("The rest is silence", _SHORT_S),
    )
)
ON_STAGE = 4
GHOST = "/at +1s " + scenes.command("The ghost appears, a little late", _SHORT_S)
LAST_WORDS = "the show must go on"


class Audience(Protocol):
    """Who is told what happens, while it happens."""

    def opened(self, stage: Stage) -> None:
        """The first life listens."""
        ...

    def said(self, text: str, input_id: str) -> None:
        """An input was accepted."""
        ...

    def warmed_up(self) -> None:
        """Everything so far is answered."""
        ...

    def fell(self, pid: int, on_stage: int, before: Ledger) -> None:
        """The process was killed; what the journals had of it at that moment."""
        ...

    def rose(self, stage: Stage, dark_s: float) -> None:
        """The second life listens."""
        ...


@dataclass
class Play:
    """One performance on a home of its own."""

    home: Home
    stage: Stage
    audience: Audience
    accepted: list[str] = field(default_factory=list[str])

    @classmethod
    def of(cls, home: Path, errors: Path, audience: Audience) -> Play:
        """A play in `home`, which is empty still; the server's complaints go into the file `errors`."""
        scenes.lay_out(home)
        return cls(Home(home), Stage(home, errors), audience)

    async def perform(self) -> Evidence:
        """All three acts. The server of the second life still runs when this returns.

        Raises:
            CommandFailed: the server did not start, or something did not come about in time.
        """
        await self._first_act()
        ghost_due, key = await self._until_all_are_on_stage()
        pid, first_words = self.stage.pid, self.accepted[-1]
        port = int(self.stage.address.rpartition(":")[2])
        fell_at = time.monotonic()
        await self.stage.fall()
        first_cast = scenes.on_stage(scenes.read_book(self.home.path))
        before = read_ledger(self.home)
        self.audience.fell(pid, len(first_cast), before)
        await trio.sleep(max(ghost_due - time.monotonic(), 0.0))
        await self.stage.open(port)
        self.audience.rose(self.stage, time.monotonic() - fell_at)
        again = await self._last_act(key)
        return Evidence(
            accepted=tuple(self.accepted),
            ledger=read_ledger(self.home),
            before=before,
            notes=tuple(scenes.read_book(self.home.path)),
            first_cast=tuple(note.pid for note in first_cast),
            reports=tuple(records.verify(self.home, records.names(self.home))),
            same_key=(first_words, again),
        )

    async def _first_act(self) -> None:
        await self.stage.open()
        self.audience.opened(self.stage)
        async with Client(self.stage.address) as client:
            for text in PROLOGUE:
                await self._say(client, text)
            await self._until(client, self._all_is_done, "the prologue")
        self.audience.warmed_up()

    async def _until_all_are_on_stage(self) -> tuple[float, str]:
        """Start more than fits on stage; when the ghost is due (monotonic), and the last words' key."""
        async with Client(self.stage.address) as client:
            for text in MAIN_SCENES:
                await self._say(client, text)
            give_up_at = time.monotonic() + WAIT_S
            while len(scenes.on_stage(scenes.read_book(self.home.path))) < ON_STAGE:
                if time.monotonic() > give_up_at:
                    raise _late(f"{ON_STAGE} scenes on stage at once")
                await trio.sleep(_LOOK_S)
            await self._say(client, GHOST)
            ghost_due = time.monotonic() + DARK_S
            key = "last-words"
            await self._say(client, LAST_WORDS, key)
        return ghost_due, key

    async def _last_act(self, key: str) -> str:
        """Wait until everything is done; say the last words again; the id that they get."""
        async with Client(self.stage.address) as client:
            await self._until(client, self._all_is_done, "the end of every scene")
            answer = await client.post("/api/input", IdAnswer, InputBody(text=LAST_WORDS, key=key))
        return answer.id

    async def _say(self, client: Client, text: str, key: str | None = None) -> None:
        body = InputBody(text=text, key=key or f"cue-{len(self.accepted) + 1}")
        answer = await client.post("/api/input", IdAnswer, body)
        self.accepted.append(answer.id)
        self.audience.said(text, answer.id)

    async def _until(self, client: Client, done: Callable[[Client], Awaitable[bool]], what: str) -> None:
        """Look behind the open event stream, then whenever it says that something changed."""
        with trio.move_on_after(WAIT_S):
            async with client.events() as events:
                async for _ in events:
                    if await done(client):
                        return
        raise _late(what)

    async def _all_is_done(self, client: Client) -> bool:
        """Whether every input has its reply, every task its end, and nothing is due any more."""
        limit = {"limit": _ROWS}
        messages = (await client.get("/api/messages", MessagePage, limit)).messages
        answered = {name for message in messages for name in message.in_reply_to}
        if not answered.issuperset(self.accepted):
            return False
        tasks = (await client.get("/api/tasks", TaskPage, limit)).tasks
        schedules = (await client.get("/api/schedules", SchedulePage, limit)).schedules
        made = {task.schedule for task in tasks}
        return all(task.finished_at is not None for task in tasks) and all(
            one.status == "done" and one.id in made for one in schedules
        )


def _late(what: str) -> Exception:
    detail = f"waited {WAIT_S:.0f} s for {what}: is the machine very busy? Try again"
    return failure(Exit.TIMED_OUT, "The demo got stuck", detail)
