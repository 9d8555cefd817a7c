"""A runtime is killed while a task of it runs: nothing of the task may live on (rule H1)."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import trio

from understudy.supervision import leftovers
from understudy.supervision.processes import Processes

pytestmark = [pytest.mark.req("WK-5"), pytest.mark.rule("H1")]
WAIT_S = 5.0

RUNTIME = """
import sys, trio
from pathlib import Path
from understudy.supervision.processes import Processes

async def main():
    post = trio.lowlevel.current_trio_token().run_sync_soon
    processes = Processes(Path(sys.argv[1]), post)
    child = await processes.spawn(["sh", "-c", sys.argv[2]], cwd=Path.cwd(), mark="task-7/1")
    output = b""
    while output.count(b"\\n") < 3:
        output += await child.receive_output()
    print(child.pid, *output.decode().split(), flush=True)
    await trio.sleep_forever()

trio.run(main)
"""
# A background process of the group, one that made itself a session, and one of that session whose
# environment is clean.
SETSID = (
    f"{shlex.quote(sys.executable)} -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])'"
)
TASK = f"""
sleep 1000 & echo $!
{SETSID} sh -c 'echo $$; env -i sleep 1000 & echo $!; wait' &
wait
"""


@dataclass
class Runtime:
    """A runtime in a process of its own, with one task; pids of the task's leader and the others."""

    process: subprocess.Popen[bytes]
    leader: psutil.Process
    grandchildren: list[psutil.Process]


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """A runtime with a task, ended process by process after the test."""
    with subprocess.Popen(
        [sys.executable, "-c", RUNTIME, str(tmp_path / "home"), TASK], stdout=subprocess.PIPE
    ) as process:
        try:
            leader, *others = [psutil.Process(int(pid)) for pid in printed_line(process).split()]
            yield Runtime(process, leader, others)
        finally:
            process.kill()
            for found in leftovers.find(tmp_path / "home"):
                with suppress(psutil.NoSuchProcess):
                    found.process.kill()


def run_marked(script: str, home: Path) -> subprocess.Popen[bytes]:
    """Run a script as an earlier run of `home` would have; returns when it has printed a line."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", script],
        env={**os.environ, **leftovers.marks(home, "task-3/1")},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    printed_line(process)
    return process


def printed_line(process: subprocess.Popen[bytes]) -> str:
    """The first line that it prints."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], WAIT_S)[0], "it prints nothing"
    return process.stdout.readline().decode()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
async def test_a_killed_runtime_takes_its_direct_child_with_it_and_recovery_the_rest(
    runtime: Runtime, tmp_path: Path
) -> None:
    """After SIGKILL the leader is gone at once; grandchildren live until the next system looks."""
    os.kill(runtime.process.pid, signal.SIGKILL)
    runtime.process.wait(WAIT_S)
    with trio.fail_after(WAIT_S):
        while leftovers.is_alive(runtime.leader):
            await trio.sleep(0.001)
    assert [leftovers.is_alive(one) for one in runtime.grandchildren] == [True, True, True]

    processes = Processes(tmp_path / "home", trio.lowlevel.current_trio_token().run_sync_soon)
    with trio.fail_after(WAIT_S):
        found = await processes.end_leftovers(grace_s=1.0)
        await processes.close()
    assert {one.pid for one in found} == {one.pid for one in runtime.grandchildren}
    assert {(one.mark, one.ended) for one in found} == {("task-7/1", True)}
    assert not any(leftovers.is_alive(one) for one in runtime.grandchildren)


async def test_leftovers_that_ignore_sigterm_or_are_stopped_are_killed(tmp_path: Path) -> None:
    """The grace ends with SIGKILL, which also ends what was stopped."""
    with (
        run_marked('trap "" TERM; echo ready; while :; do sleep 1; done', tmp_path) as stubborn,
        run_marked("echo ready; exec sleep 1000", tmp_path) as stopped,
    ):
        os.kill(stopped.pid, signal.SIGSTOP)
        processes = Processes(tmp_path, trio.lowlevel.current_trio_token().run_sync_soon)
        try:
            with trio.fail_after(WAIT_S):
                found = await processes.end_leftovers(grace_s=0.1)
                await processes.close()
        finally:
            stubborn.kill()
            stopped.kill()
    assert {stubborn.pid, stopped.pid} <= {one.pid for one in found}
    assert all(one.ended for one in found)
