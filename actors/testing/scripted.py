"""What the cast meets outside, scripted: commands, an engine that fails, a sink that fails."""

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
        if what == "hang":
            await trio.sleep_forever()
        if what == "huge":
            for _ in range(4):
                await attempt.write(b"much " * 10_000)
        await trio.sleep(self._chance.uniform(60, 900) if what == "slow" else self._chance.uniform(0, 5))
        await attempt.write(f"did {what}\n".encode())
        return 1 if what == "fail" or (what == "sometimes" and self._chance.random() < 0.5) else 0  # noqa: PLR2004


class FailingEngine(OfflineEngine):
    """The offline engine, which is slow and fails now and then."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    async def run(self, request: RunRequest, desk: Desk) -> RunAnswer:
        """As the offline engine's, or an error."""
        await trio.sleep(self._chance.expovariate(1.0))
        if self._chance.random() < 0.1:  # noqa: PLR2004 - one in ten
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
