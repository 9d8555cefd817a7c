"""Commands that follow a task, or let one run again, beside a real server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.serving import UNDERSTUDY, clean_environment, serving, understudy


@pytest.mark.req("CLI-1")
def test_logs_follow_a_running_task_and_end_as_it_does(tmp_path: Path) -> None:
    """Each line is printed while the task still runs, once; the exit code says how it ended."""
    home = tmp_path / "home"
    script = 'for n in 1 2 3; do echo line $n; while [ ! -e "$0$n" ]; do sleep 0.05; done; done; exit 4'
    whole = "line 1\nline 2\nline 3\n"
    with serving(home) as server:
        understudy("tasks", "add", "--", "sh", "-c", script, str(tmp_path / "go"), UNDERSTUDY_HOME=str(home))
        command = [*UNDERSTUDY, "tasks", "logs", "task-1", "-f", "--home", str(home)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=clean_environment()
        ) as follower:
            assert follower.stdout is not None
            for number in (1, 2, 3):
                assert follower.stdout.readline() == f"line {number}\n"
                assert follower.poll() is None
                assert f"line {number}" in understudy("tasks", "show", "task-1", home=home).out
                (tmp_path / f"go{number}").touch()
            assert (follower.stdout.read(), follower.wait(30)) == ("", 1)
        assert understudy("tasks", "logs", "task-1", home=home).out == whole
        assert server.stop() == 0
    assert understudy("tasks", "logs", "task-1", home=home).out == whole
    assert understudy("tasks", "logs", "task-7", home=home).code == 5


def test_long_output_is_printed_whole_with_a_server_and_without(tmp_path: Path) -> None:
    """More than a record keeps, in several parts, with characters of several bytes across their bounds."""
    home = tmp_path / "home"
    with serving(home) as server:
        understudy("tasks", "add", "--", "sh", "-c", "seq 300000 | sed 's/$/ é€/'", UNDERSTUDY_HOME=str(home))
        assert understudy("tasks", "wait", "task-1", home=home).code == 0
        expected = "".join(f"{number} é€\n" for number in range(1, 300_001))
        assert understudy("tasks", "logs", "task-1", home=home).out == expected
        assert server.stop() == 0
    assert understudy("tasks", "logs", "task-1", home=home).out == expected


def test_wait_tells_how_tasks_ended_and_retry_runs_their_work_again(tmp_path: Path) -> None:
    """A key makes one further task; what succeeded is not retried."""
    home = tmp_path / "home"
    with serving(home):
        understudy("tasks", "add", "--", "sh", "-c", f"test -e {tmp_path}/there", UNDERSTUDY_HOME=str(home))
        understudy("tasks", "add", "--", "true", UNDERSTUDY_HOME=str(home))
        understudy("tasks", "add", "--", "sleep", "60", UNDERSTUDY_HOME=str(home))
        done = understudy("tasks", "wait", "task-2", "task-1", home=home)
        assert (done.code, [line.split(":")[0] for line in done.out.splitlines()]) == (
            1,
            ["task-2", "task-1"],
        )
        late = understudy("tasks", "wait", "task-3", "--timeout", "0.2", "--json", home=home)
        assert (late.code, late.problem["id"]) == (9, "task-3")
        (tmp_path / "there").touch()
        for _ in range(2):
            assert understudy("tasks", "retry", "task-1", "--key", "k", home=home).out == "task-4\n"
        assert understudy("tasks", "wait", "task-4", home=home).code == 0
        refused = understudy("tasks", "retry", "task-2", home=home)
        assert (refused.code, "it has succeeded" in refused.err) == (6, True)


def test_a_schedule_is_fired_by_hand_and_its_times_stay(tmp_path: Path) -> None:
    """Also one that is disabled; under a key, once."""
    home = tmp_path / "home"
    with serving(home):
        understudy("cron", "add", "--cron", "0 0 1 1 *", "--", "echo", "by hand", UNDERSTUDY_HOME=str(home))
        before = understudy("cron", "list", "--json", home=home).document["schedules"]
        for _ in range(2):
            assert understudy("cron", "run", "sched-1", "--key", "k", home=home).out == "sched-1: fired\n"
        assert understudy("tasks", "wait", "task-1", home=home).code == 0
        assert understudy("cron", "list", "--json", home=home).document["schedules"] == before
        understudy("cron", "disable", "sched-1", home=home)
        assert understudy("cron", "run", "sched-1", home=home).code == 0
        assert understudy("tasks", "wait", "task-2", home=home).code == 0
        assert understudy("tasks", "logs", "task-2", home=home).out == "by hand\n"
        assert understudy("tasks", "show", "task-3", home=home).code == 5
