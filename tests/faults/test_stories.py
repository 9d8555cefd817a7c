"""Twelve stories from the trackers of other systems: what broke there, played with real processes here.

Each test is one story. Those that need hours are played on a virtual clock, those that need a bad disk on one
that forgets what was not synced; all others have a real server and real signals.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.integration.serving import serving, understudy, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 30.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the home will be."""
    return tmp_path / "home"


def configure(home: Path, text: str) -> None:
    """Write the home's configuration."""
    (home / "config").mkdir(parents=True)
    (home / "config" / "understudy.toml").write_text(text)


def make_task(address: str, script: str, **fields: object) -> str:
    """Make a shell task; its id."""
    body = {"title": script, "command": ["/bin/sh", "-c", script], **fields}
    answer = httpx.post(f"{address}/api/tasks", json=body, trust_env=False)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def show(address: str, task: str) -> dict[str, Any]:
    """A task as the API shows it."""
    return httpx.get(f"{address}/api/tasks/{task}", trust_env=False).json()


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Look again and again, within `WAIT_S`."""
    end = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end, f"{what} did not come true within {WAIT_S:g} s"
        time.sleep(0.02)


def events(home: Path, journal: str, kind: str) -> list[dict[str, Any]]:
    """The data of a journal's events of one kind, in order."""
    folder = home / "state" / "journals" / journal
    lines = [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]
    return [event["data"] for line in lines for event in json.loads(line)["events"] if event["type"] == kind]


def lines_of(path: Path) -> list[str]:
    """The lines of a file that a task writes; none while it is not there."""
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.req("WK-5")
def test_kills_with_one_place_release_it(home: Path) -> None:
    """A slot that a killed worker had held is not taken for ever: its task goes on, and then the next one."""
    configure(home, "[cast]\nconcurrency = 1\nreruns = 2\n")
    running = home / "work/running"
    with serving(home) as server:
        first = make_task(server.address, "echo x >> running; exec sleep 600")
        second = make_task(server.address, "echo done")
        wait_until(lambda: len(lines_of(running)) == 1, "its start")
        server.kill()
    for starts in (2, 3):
        with serving(home) as server:
            wait_until(lambda starts=starts: len(lines_of(running)) == starts, f"start {starts}")
            assert show(server.address, second)["status"] == "pending"
            server.kill()
    with serving(home) as server:
        wait_until(lambda: show(server.address, second)["status"] == "succeeded", "the second task's end")
        over = show(server.address, first)
        assert (over["status"], over["source"]) == ("failed", "runtime")
        assert "went down under it 3 times" in over["why"]


@pytest.mark.req("WK-5")
def test_a_queue_of_one_goes_on_when_it_is_killed_between_two_tasks(home: Path) -> None:
    """All of it is done in order, whatever moment the kills hit."""
    configure(home, "[cast]\nconcurrency = 8\nqueue_limits = { line = 1 }\n")
    file = home / "work/order"
    with serving(home) as server:
        tasks = [
            make_task(server.address, f"sleep 0.1; echo {number} >> order", queue="line")
            for number in range(8)
        ]
        wait_until(lambda: bool(lines_of(file)), "the first task's end")
        server.kill()
    for done in (3, 6):
        with serving(home) as server:
            wait_until(lambda done=done: len(lines_of(file)) >= done, f"{done} tasks' end")
            server.kill()
    with serving(home) as server:
        wait_until(
            lambda: all(show(server.address, task)["status"] == "succeeded" for task in tasks),
            "the end of all",
        )
    done_in_order = [int(line) for line in lines_of(file)]
    assert done_in_order == sorted(done_in_order)
    again = sum(count - 1 for count in Counter(done_in_order).values())
    assert set(done_in_order) == set(range(8))
    assert again <= len(events(home, "workers", "TaskRequeued")) <= 3


@pytest.mark.req("JR-7")
@pytest.mark.rule("H2")
def test_a_second_runtime_on_one_home_is_refused_and_disturbs_nothing(home: Path) -> None:
    """Its refusal names the owner, whose work goes on; the home is free after the owner's end."""
    with serving(home) as server:
        task = make_task(server.address, "sleep 0.5; echo done")
        second = understudy("serve", "--port", "0", home=home)
        assert second.code == 4
        assert str(server.process.pid) in second.err
        wait_until(lambda: show(server.address, task)["status"] == "succeeded", "the task's end")
        server.kill()
    with serving(home) as server:
        assert show(server.address, task)["attempts"] == 1


@pytest.mark.rule("E3")
def test_a_server_that_was_stopped_past_a_timeout_refuses_the_late_outcome(home: Path) -> None:
    """The command ends well meanwhile, but nobody saw it in time: it is tried again."""
    with serving(home) as server:
        script = 'echo "$UNDERSTUDY_ATTEMPT" >> attempts; sleep 0.3; touch "ended-${UNDERSTUDY_ATTEMPT#*/}"'
        task = make_task(server.address, script, timeout_s=2.0, retries=1, retry_delay_s=0)
        wait_for(home / "work/attempts")
        server.signal(signal.SIGSTOP)
        wait_for(home / "work/ended-1")
        time.sleep(2.5)
        server.signal(signal.SIGCONT)
        wait_until(lambda: show(server.address, task)["status"] == "succeeded", "the second attempt's end")
        assert show(server.address, task)["attempts"] == 2
    assert lines_of(home / "work/attempts") == [f"{task}/1", f"{task}/2"]
    (retried,) = events(home, "workers", "TaskRetried")
    assert "timed out after 2 s" in retried["reason"]
    assert len(events(home, "workers", "TaskFinished")) == 1


@pytest.mark.rule("E3")
def test_a_command_that_was_stopped_past_its_timeout_is_gone_when_it_is_continued(home: Path) -> None:
    """SIGSTOP to the command itself: it can neither end late nor beside its own second attempt."""
    configure(home, "[cast]\ngrace_s = 0.2\n")
    with serving(home) as server:
        script = "echo $$ >> pids; sleep 1; echo late >> done"
        task = make_task(server.address, script, timeout_s=1.5, retries=1, retry_delay_s=0)
        wait_until(lambda: len(lines_of(home / "work/pids")) == 1, "its start")
        first = int(lines_of(home / "work/pids")[0])
        os.killpg(first, signal.SIGSTOP)
        wait_until(lambda: len(lines_of(home / "work/pids")) == 2, "the second attempt's start")
        with suppress(ProcessLookupError):  # where nobody reaps orphans, its group still has a zombie
            os.killpg(first, signal.SIGCONT)
        wait_until(lambda: show(server.address, task)["status"] == "succeeded", "the second attempt's end")
    assert lines_of(home / "work/done") == ["late"]


@pytest.mark.req("WK-2")
@pytest.mark.req("MG-2")
def test_a_cancel_that_races_a_retry_ends_canceled(home: Path) -> None:
    """Failing attempts one after the other, a cancel at any moment: it is canceled, once, and stays so."""
    with serving(home) as server:
        tasks = [
            make_task(server.address, "exit 1", retries=100, retry_delay_s=0.001 * number)
            for number in range(12)
        ]
        for number, task in enumerate(tasks):
            wait_until(lambda task=task: show(server.address, task)["attempts"] > 0, "its start")
            time.sleep(0.003 * number)
            answer = httpx.post(f"{server.address}/api/tasks/{task}/cancel", trust_env=False)
            assert answer.status_code == 202
        wait_until(
            lambda: all(show(server.address, task)["status"] == "canceled" for task in tasks), "their ends"
        )
        attempts = {task: show(server.address, task)["attempts"] for task in tasks}
    finished = Counter(event["id"] for event in events(home, "workers", "TaskFinished"))
    assert finished == dict.fromkeys(tasks, 1)
    with serving(home) as server:
        assert {task: show(server.address, task)["attempts"] for task in tasks} == attempts
