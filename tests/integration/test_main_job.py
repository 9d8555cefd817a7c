"""The main job: an input comes in, a task is carried out, its outcome is the reply."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from tests.unit.actors.stage import ManualClock, journal_events, until
from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.registry import CAST
from understudy.protocols.conversation import GetManagerStatus, SubmitInput
from understudy.protocols.lifecycle import ActorStarted
from understudy.protocols.tasks import CreateTask, TaskSpec

CONFIG = CastConfig(timezone="UTC", grace_s=1.0)
REPOSITORY = Path(__file__).resolve().parents[2]


async def say(system: ActorSystem, text: str) -> str:
    """Submit an input; its id."""
    accepted = await system.get("manager").ask_async(SubmitInput(text=text), timeout_s=5)
    return accepted.id


async def wait_answered(system: ActorSystem, timeout_s: float = 5.0) -> None:
    """Until each input has its final reply."""

    async def is_so() -> bool:
        status = await system.get("manager").ask_async(GetManagerStatus(), timeout_s=5)
        return status.run is None and not status.waiting and not status.open_inputs

    await until(system, is_so, timeout_s)


def replies(home: Path) -> list[tuple[tuple[str, ...], str]]:
    """All replies in the manager's journal: what they answer, and their text."""
    return [
        (tuple(message["in_reply_to"]), message["text"])
        for event in journal_events(home, "manager")
        for message in event.get("messages", ())
    ]


def reply_to(home: Path, name: str) -> str:
    """The one final reply to an input."""
    (text,) = [text for answered, text in replies(home) if name in answered]
    return text


@pytest.mark.req("WK-5")
async def test_the_cast_starts_in_its_order(tmp_path: Path) -> None:
    """Readers, then who decides, then who acts."""
    started: list[str] = []
    async with ActorSystem(tmp_path) as system:

        def note(event: object) -> None:
            if isinstance(event, ActorStarted):
                started.append(event.actor)

        system.lifecycle.subscribe(note)
        await start_cast(system, CONFIG)
    assert started == [*[role.name for role in CAST], "cast"]
    assert started == ["projection", "notifier", "manager", "cron", "workers", "cast"]


@pytest.mark.req("MG-2")
@pytest.mark.req("NT-1")
@pytest.mark.req("EN-5")
@pytest.mark.rule("E2")
async def test_the_outcome_of_a_command_is_the_one_reply_to_its_input(tmp_path: Path) -> None:
    """Input, run, task, notification, run, reply: with the output, and with the exit code (rule E2)."""
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, CONFIG)
        await say(system, "/run echo hello; echo oh >&2")
        await say(system, "/run exit 3")
        await say(system, "how are you?")
        await say(system, "/run no-such-command")
        await say(system, "/tasks")
        await wait_answered(system)
    assert reply_to(tmp_path, "input-1").splitlines()[1:] == ["hello", "oh"]
    assert "failed (exit code 3)" in reply_to(tmp_path, "input-2")
    assert "You said: how are you?" in reply_to(tmp_path, "input-3")
    assert "failed (exit code 127)" in reply_to(tmp_path, "input-4")
    assert "task-1" in reply_to(tmp_path, "input-5")
    assert Counter(name for answered, _text in replies(tmp_path) for name in answered) == {
        f"input-{number}": 1 for number in range(1, 6)
    }


@pytest.mark.req("CR-2")
async def test_a_schedule_makes_a_task_and_its_outcome_is_told(tmp_path: Path) -> None:
    """The input has its reply already; the outcome is a message of its own."""
    clock = ManualClock(datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp())
    async with ActorSystem(tmp_path, clock=clock) as system:
        await start_cast(system, CONFIG)
        await say(system, '/every "* * * * *" echo tick')
        await until(
            system, lambda: any(e["type"] == "ScheduleAdded" for e in journal_events(tmp_path, "cron"))
        )
        clock.advance(system, 60)
        await until(
            system, lambda: any("tick" in text for answered, text in replies(tmp_path) if not answered)
        )
    assert "sched-1 is set: echo tick" in reply_to(tmp_path, "input-1")
    (fired,) = [event for event in journal_events(tmp_path, "cron") if event["type"] == "ScheduleFired"]
    (created,) = [event for event in journal_events(tmp_path, "workers") if event["type"] == "TaskCreated"]
    assert created["spec"]["schedule"] == "sched-1"
    assert created["spec"]["nominal_at"] == fired["nominal_at"]


@pytest.mark.req("WK-2")
async def test_a_running_command_is_canceled_with_all_that_it_started(tmp_path: Path) -> None:
    """Its input gets the outcome; no process is left."""
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, CONFIG)
        await say(system, "/run sleep 61 & sleep 62; echo never")
        await until(
            system, lambda: any(e["type"] == "TaskStarted" for e in journal_events(tmp_path, "workers"))
        )
        with trio.fail_after(5):
            while not system.processes.living:
                await trio.lowlevel.checkpoint()
        await say(system, "/cancel task-1")
        await wait_answered(system)
        assert system.processes.living == ()
    assert "task-1 canceled (canceled by the user)" in reply_to(tmp_path, "input-1")
    assert "task-1 is being canceled" in reply_to(tmp_path, "input-2")


@pytest.mark.req("WK-2")
async def test_a_long_output_is_cut_in_the_reply_and_kept_in_a_file(tmp_path: Path) -> None:
    """The reply has its end, and says so; the record more; the file all."""
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, CONFIG)
        await say(system, "/run seq 1 40000")
        await wait_answered(system)
    whole = "".join(f"{number}\n" for number in range(1, 40_001))
    text = reply_to(tmp_path, "input-1")
    assert len(text) < 5_000
    assert "bytes left out" in text
    assert "39999\n40000\n" in text
    assert f"cut: {len(whole)} bytes in all" in text
    (finished,) = [e for e in journal_events(tmp_path, "workers") if e["type"] == "TaskFinished"]
    assert finished["output"]["text"] == whole[-65_536:]
    assert (tmp_path / finished["output"]["file"]).read_text() == whole


@pytest.mark.req("WK-2")
async def test_a_command_that_cannot_be_started_or_takes_too_long_has_failed(tmp_path: Path) -> None:
    """Tasks made by a program, without an input: told all the same, answering nothing."""
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, CONFIG)
        pool = system.get("workers")
        for spec in (
            TaskSpec(title="missing", command=("no-such-program",)),
            TaskSpec(title="slow", command=("sleep", "60"), timeout_s=0.05),
        ):
            await pool.ask_async(CreateTask(spec=spec), timeout_s=5)
        await until(system, lambda: len(replies(tmp_path)) == 2)
    texts = sorted(text for _answered, text in replies(tmp_path))
    assert "no-such-program" in texts[0]
    assert "timed out after 0.05 s" in texts[1]
    assert [answered for answered, _text in replies(tmp_path)] == [(), ()]


@pytest.mark.req("MG-2")
@pytest.mark.req("WK-5")
@pytest.mark.rule("E2")
@pytest.mark.parametrize("accepted", [4, 25])
async def test_a_kill_loses_no_input_and_answers_none_twice(tmp_path: Path, accepted: int) -> None:
    """The process is killed with work in flight; the next one finishes it (rule E2)."""
    names = _kill_after(tmp_path, accepted)
    assert len(names) >= accepted
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, CONFIG)
        await wait_answered(system, 30.0)
        assert await system.processes.end_leftovers() == []
    counts = Counter(name for answered, _text in replies(tmp_path) for name in answered)
    assert [name for name in names if counts[name] != 1] == []
    assert set(counts.values()) == {1}
    created = [e["id"] for e in journal_events(tmp_path, "workers") if e["type"] == "TaskCreated"]
    finished = [e["id"] for e in journal_events(tmp_path, "workers") if e["type"] == "TaskFinished"]
    assert sorted(created) == sorted(finished)
    traces = Counter(line for trace in (tmp_path / "traces").iterdir() for line in trace.read_text().split())
    assert set(traces.values()) == {1}, "no attempt is carried out twice"
    again = [mark for mark in traces if not mark.endswith("/1")]
    assert len(again) <= CONFIG.concurrency, "only what was in flight is run again"


def _kill_after(home: Path, accepted: int) -> list[str]:
    """Run the process until it has accepted so many inputs, and kill it; the ids that it printed."""
    command = [sys.executable, "-m", "tests.integration.main_job_process", str(home)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        names = [process.stdout.readline().strip() for _ in range(accepted)]
        os.kill(process.pid, signal.SIGKILL)
        names += process.stdout.read().split()
    return names


@pytest.mark.req("MG-2")
async def test_a_damaged_journal_blocks_its_actor_and_the_rest_goes_on(tmp_path: Path) -> None:
    """What needs that actor gets a reply that says so; what does not is done."""
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, CONFIG)
        await say(system, '/every "0 7 * * *" echo hi')
        await wait_answered(system)
        await until(system, lambda: len(journal_events(tmp_path, "cron")) == 2)
    (segment,) = (tmp_path / "state" / "journals" / "cron").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"echo hi", b"echo ho"))
    async with ActorSystem(tmp_path) as system:
        await start_cast(system, CONFIG)
        assert [report.actor for report in system.status().blocked] == ["cron"]
        await say(system, "/run echo still here")
        await say(system, '/every "0 8 * * *" echo too')
        await wait_answered(system)
    assert "still here" in reply_to(tmp_path, "input-2")
    assert "could not be handled" in reply_to(tmp_path, "input-3")
    assert "journal repair" in reply_to(tmp_path, "input-3")
