"""The gate of sessions: a hundred crashes, and each time the conversation goes on (NF-2, MG-3)."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.unit.actors.stage import journal_events
from understudy import ActorSystem, UnderstudyError
from understudy.actors.engines import ScriptedEngine
from understudy.actors.engines.scripted import Hang
from understudy.actors.manager import ManagerActor, RunPolicy
from understudy.protocols.conversation import SubmitInput
from understudy.protocols.errors import SessionInvalid
from understudy.supervision.testing.clock import VirtualClock
from understudy.supervision.testing.files import FaultyFiles

CRASHES = 100
POLICY = RunPolicy(retry_delay_s=1, resume_timeout_s=30, run_timeout_s=600)
WAYS = ("found", "gone", "hangs", "fails")
"""What becomes of the session when the engine is asked for it after a crash, in turns."""


def prepare(engine: ScriptedEngine, crash: int) -> None:
    """What the engine says when it is asked for the session: it knows it, has lost it, or says nothing.

    It is asked at the start and, where that told nothing, once more by the run.
    """
    match WAYS[crash % len(WAYS)]:
        case "gone":
            engine.resumes.append(SessionInvalid("that session is gone"))
        case "hangs":
            engine.resumes.extend([Hang(), Hang()])
        case "fails":
            engine.resumes.extend([ConnectionError("nobody listens")] * 2)
        case _:
            pass


@pytest.mark.req("NF-2")
@pytest.mark.req("MG-3")
async def test_the_conversation_goes_on_after_each_of_a_hundred_crashes(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The session is gone on with where the engine has it, and rebuilt where it has not: 100 of 100."""
    del autojump_clock
    caplog.set_level("CRITICAL", logger="understudy")
    files, clock = FaultyFiles(tmp_path), VirtualClock()
    recovered, numbers = 0, count(1)
    before: str | None = None
    engine = ScriptedEngine(name="main")
    for crash in range(CRASHES + 1):
        prepare(engine, crash)
        with suppress(OSError, UnderstudyError):
            async with ActorSystem(tmp_path / "home", files=files, clock=clock, inline=True) as system:
                manager = await system.spawn(ManagerActor, name="manager", engines=(engine,), policy=POLICY)
                said = f"input-{next(numbers)}"
                assert (await manager.ask_async(SubmitInput(text="go on"), timeout_s=5)).id == said
                while said in system.cell("manager").actor.state.inputs:
                    await trio.sleep(1)
                session = system.cell("manager").actor.state.sessions["main"]
                if crash:
                    kept = session == before
                    recovered += kept == (WAYS[crash % len(WAYS)] == "found")
                before = session
                files.crash_at(len(files.operations) + 1)
        files.power_failure()
    assert recovered == CRASHES
    rebuilt = [
        event for event in journal_events(tmp_path / "home", "manager") if event["type"] == "SessionRebuilt"
    ]
    assert len(rebuilt) == sum(WAYS[crash % len(WAYS)] != "found" for crash in range(1, CRASHES + 1))
    assert all(one["old"] != one["new"] for one in rebuilt)
