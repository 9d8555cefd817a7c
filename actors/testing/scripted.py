"""What the cast meets outside, scripted: commands, a callable, engines that fail, a sink that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from understudy.actors.engines import OfflineEngine

if TYPE_CHECKING:
    from random import Random

    from understudy.actors.engines.engine import Desk
    from understudy.actors.workers import Attempt
    from understudy.protocols.engine import RunAnswer, RunRequest
    from understudy.protocols.notifications import Delivery


class ScriptedCommands:
    """In the place of the shell: the last word of a command says what becomes of an attempt.

    `ok`, `fail`, `sometimes` (fails now and then), `slow` (minutes), `hang` (for ever), `huge` (much output).

    Attributes:
        began: the token of every attempt that was begun, in order.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.began: list[tuple[str, int]] = []

    async def run(self, attempt: Attempt) -> int:
        """See `Executor`."""
        self.began.append((attempt.task, attempt.number))
        words = " ".join(attempt.command).split()
        what = words[-1] if words else "ok"
        if what == "huge":
            for _ in range(4):
                await attempt.write(b"much " * 10_000)
        failed = await _went_wrong(self._chance, what)
        await attempt.write(f"did {what}\n".encode())
        return int(failed)


class ScriptedCall:
    """A callable of the program around the cast, which does what its argument says, as a command would."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    async def call(self, what: str) -> str:
        """What it did, or an error."""
        if await _went_wrong(self._chance, what):
            msg = f"could not do {what}"
            raise ValueError(msg)
        return f"did {what}"


async def _went_wrong(chance: Random, what: str) -> bool:
    """Take the time that it takes; whether it failed."""
    if what == "hang":
        await trio.sleep_forever()
    await trio.sleep(chance.uniform(60, 900) if what == "slow" else chance.uniform(0, 5))
    return what == "fail" or (what == "sometimes" and chance.random() < 0.5)  # noqa: PLR2004


class FailingEngine(OfflineEngine):
    """The offline engine, which is slow and fails now and then.

    Args:
        name: in the chain.
        chance: all its choices.
        fails: how often, of 1.
    """

    def __init__(self, name: str, chance: Random, fails: float) -> None:
        self.name = name
        self._chance = chance
        self._fails = fails

    async def run(self, request: RunRequest, desk: Desk) -> RunAnswer:
        """As the offline engine's, or an error."""
        await trio.sleep(self._chance.expovariate(1.0))
        if self._chance.random() < self._fails:
            msg = "the model is down"
            raise OSError(msg)
        return await super().run(request, desk)


class FailingReceiver:
    """What a callback sink calls: it fails now and then, also after it has taken the delivery.

    Attributes:
        taken: how often each delivery was taken, by id.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.taken: dict[str, int] = {}

    async def __call__(self, delivery: Delivery) -> None:
        """Take it, or fail, or both."""
        await trio.sleep(self._chance.expovariate(2.0))
        if self._chance.random() < 0.2:  # noqa: PLR2004 - one in five
            msg = "nobody is there"
            raise OSError(msg)
        self.taken[delivery.id] = self.taken.get(delivery.id, 0) + 1
        if self._chance.random() < 0.1:  # noqa: PLR2004 - one in ten
            msg = "gone before it could say so"
            raise OSError(msg)
