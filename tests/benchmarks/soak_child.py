"""The served system of a soak: `python -m tests.benchmarks.soak_child HOME`, until SIGTERM.

The whole cast and the HTTP API, as `understudy serve` has them, but for the command that each task runs:
a callable stands in for it, since processes at that rate would be a soak of the operating system.
It prints its address, and at its end what it counted.
"""

from __future__ import annotations

import logging
import signal
import sys
from functools import partial
from pathlib import Path

import trio
from pydantic import BaseModel

from tests.benchmarks.serving import LISTENING
from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.workers import CallableExecutor
from understudy.actors.workers.executor import Attempt
from understudy.protocols.lifecycle import ActorFailed, DeadLetter, JournalTrimmed, LifecycleEvent
from understudy.supervision.settings import Settings
from understudy.webui.server import serve_http

SETTINGS = Settings(
    segment_bytes=1 << 17, snapshot_bytes=1 << 17, keep_bytes=1 << 18, key_window=2_000, key_age_s=10.0
)
"""Small, so that growth ends within a minute: what is left must be a leak."""
CAST = CastConfig(timezone="UTC", concurrency=16, tasks_kept=2_000, messages_kept=2_000)
SHOWN = 20
"""Failures that are kept."""
FINISHED = b'"type":"TaskFinished"'


class Counted(BaseModel):
    """What happened in the child.

    Attributes:
        finished: lines of the pool's journal that end a task.
        trimmed: how often old lines of a journal were removed.
        failures: of actors, and messages that nobody handled; the first of them.
    """

    finished: int = 0
    trimmed: int = 0
    failures: list[str] = []

    def journal_grew(self, name: str, _seq: int, lines: bytes) -> None:
        """Lines are durable."""
        if name == "workers":
            self.finished += lines.count(FINISHED)

    def happened(self, event: LifecycleEvent) -> None:
        """Something happened to an actor."""
        self.trimmed += isinstance(event, JournalTrimmed)
        if isinstance(event, ActorFailed | DeadLetter) and len(self.failures) < SHOWN:
            self.failures.append(f"{type(event).__name__} {event.model_dump_json()}")


async def say_done(attempt: Attempt) -> None:
    """What each command is stood in for by: a line of output."""
    await attempt.write(f"{attempt.mark}: done, and here is what came of it\n".encode())


async def main(home: Path) -> Counted:
    """Serve `home` until SIGTERM."""
    counted = Counted()
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with ActorSystem(home, settings=SETTINGS) as system:
            system.subscribe(counted.happened)
            system.subscribe_journals(counted.journal_grew)
            await start_cast(system, CAST, executors={"shell": CallableExecutor(say_done)})
            async with trio.open_nursery() as nursery:
                url: str = await nursery.start(partial(serve_http, system, "127.0.0.1", 0))
                sys.stdout.write(f"{LISTENING}{url}\n")
                sys.stdout.flush()
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    break
    return counted


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    sys.stdout.write(trio.run(main, Path(sys.argv[1])).model_dump_json() + "\n")
