"""Child processes, real ones: started, read, ended. Linux; macOS is untested."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
import trio

from understudy.protocols.errors import (
    BadWorkingFolder,
    CommandNotExecutable,
    CommandNotFound,
    CommandNotStarted,
    Stopping,
)
from understudy.supervision import leftovers
from understudy.supervision.child_output import ChildOutput
from understudy.supervision.processes import Child, Processes
from understudy.supervision.spawning import Launcher, SpawnThread

pytestmark = [pytest.mark.req("WK-2"), pytest.mark.rule("H1")]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
WAIT_S = 5.0
PYTHON = shlex.quote(sys.executable)
SETSID = f"{PYTHON} -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])'"


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    """The processes of a home of this test; what is left at the end is ended."""
    service = Processes(tmp_path / "home", trio.lowlevel.current_trio_token().run_sync_soon)
    yield service
    with trio.fail_after(WAIT_S):
        await service.close(0.1)


async def start(processes: Processes, *command: str, env: dict[str, str] | None = None) -> Child:
    """Start a command for attempt task-1/1."""
    with trio.fail_after(WAIT_S):
        return await processes.spawn(command, cwd=Path.cwd(), env=env, mark="task-1/1")


async def shell(processes: Processes, script: str) -> Child:
    """Start a shell with a script."""
    return await start(processes, "sh", "-c", script)


async def read_all(child: Child) -> bytes:
    """All output until its end."""
    output = b""
    with trio.fail_after(WAIT_S):
        while chunk := await child.receive_output():
            output += chunk
    return output


async def read_line(child: Child) -> str:
    """The first line of the output."""
    output = b""
    with trio.fail_after(WAIT_S):
        while b"\n" not in output:
            chunk = await child.receive_output()
            assert chunk, f"ended without a line: {output!r}"
            output += chunk
    return output.partition(b"\n")[0].decode()


def run_shell(script: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Run a script beside the system, in a session of its own, its output in a pipe."""
    return subprocess.Popen(
        ["/bin/sh", "-c", script],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )


def zeros(count: int) -> str:
    """A shell command that prints so many zero bytes, 100,000 at a time."""
    return f"{PYTHON} -c 'import os; [os.write(1, bytes(100_000)) for _ in range({count // 100_000})]'"


def printed_line(process: subprocess.Popen[bytes]) -> str:
    """The first line that it prints."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], WAIT_S)[0], "it prints nothing"
    return process.stdout.readline().decode()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing else tells of."""
    with trio.fail_after(WAIT_S):
        while not condition():
            await trio.sleep(0.01)


async def test_output_is_merged_and_the_exit_code_returned(processes: Processes) -> None:
    """What a child writes to both streams arrives in order, and then its exit code."""
    child = await shell(processes, "echo out; echo err >&2; echo out again; exit 7")
    assert await read_all(child) == b"out\nerr\nout again\n"
    with trio.fail_after(WAIT_S):
        assert await child.wait() == 7


async def test_a_child_has_a_session_of_its_own_the_marks_and_nothing_to_read(
    processes: Processes, tmp_path: Path
) -> None:
    """Rule H1: own session and group, home and attempt in the environment, stdin is empty."""
    script = "import os; print(os.getpgid(0), os.getsid(0), os.read(0, 1))"
    child = await shell(processes, f"{PYTHON} -c '{script}'; echo $UNDERSTUDY_HOME $UNDERSTUDY_ATTEMPT")
    group_session_and_input, marks = (await read_all(child)).decode().splitlines()
    assert group_session_and_input == f"{child.pid} {child.pid} b''"
    assert marks == f"{tmp_path / 'home'} task-1/1"


async def test_the_given_environment_is_the_whole_one(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of ours does not reach a child that was given an environment, odd names do."""
    monkeypatch.setenv("OF_THE_RUNTIME", "1")
    child = await start(processes, "env", env={"PATH": os.environ["PATH"], "a.b": "odd"})
    names = {line.partition("=")[0] for line in (await read_all(child)).decode().splitlines()}
    assert names == {"PATH", "a.b", leftovers.HOME_MARK, leftovers.ATTEMPT_MARK}


async def test_no_descriptor_of_ours_reaches_a_child(processes: Processes, tmp_path: Path) -> None:
    """A lock file opened inheritable is not open in the child: it would keep the home locked."""
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(lock, True)  # noqa: FBT003
    try:
        child = await shell(processes, "ls -l /proc/self/fd")
        assert "lock" not in (await read_all(child)).decode()
    finally:
        os.close(lock)


async def test_end_ends_grandchildren_too(processes: Processes) -> None:
    """SIGTERM goes to the whole group, not to its leader only."""
    child = await shell(processes, "sleep 1000 & echo $!; wait")
    grandchild = psutil.Process(int(await read_line(child)))
    with trio.fail_after(WAIT_S):
        await child.end(WAIT_S)
    assert child.returncode == -15
    assert not leftovers.is_alive(grandchild)
    assert processes.living == ()


async def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(processes: Processes) -> None:
    """The leader and its group are gone when `end` returns, and not before the grace is over."""
    child = await shell(processes, 'trap "" TERM; echo ready; while :; do sleep 1; done')
    await read_line(child)
    began = trio.current_time()
    with trio.fail_after(WAIT_S):
        await child.end(0.2)
    assert child.returncode == -9
    assert trio.current_time() - began >= 0.2
    assert not leftovers.group_lives(child.pid)


async def test_a_child_that_handles_sigterm_has_its_grace(processes: Processes) -> None:
    """A child may clean up, print and choose its exit code before the grace is over."""
    child = await shell(
        processes, 'trap "echo cleaned; exit 3" TERM; echo ready; while :; do sleep 0.05; done'
    )
    await read_line(child)
    with trio.fail_after(WAIT_S):
        await child.end(WAIT_S)
    assert child.returncode == 3
    assert (await read_all(child)).endswith(b"cleaned\n")  # the shell may say that its sleep was ended


async def test_ending_works_when_the_leader_is_gone_and_its_group_is_not(processes: Processes) -> None:
    """`end` reaches a group whose leader has exited; a member that ignores SIGTERM is killed."""
    child = await shell(processes, '(trap "" TERM; echo up; exec sleep 1000) & exit 0')
    await read_line(child)
    with trio.fail_after(WAIT_S):
        assert await child.wait() == 0
        assert leftovers.group_lives(child.pid)
        await child.end(0.05)
    assert not leftovers.group_lives(child.pid)


async def test_a_grandchild_that_holds_the_pipe_does_not_hold_the_caller(processes: Processes) -> None:
    """After the leader's exit the output ends, and the group with it."""
    child = await shell(processes, "echo hello; sleep 1000 & exit 4")
    assert await read_all(child) == b"hello\n"
    with trio.fail_after(WAIT_S):
        assert await child.wait() == 4
        await child.end(0.0)
    assert not leftovers.group_lives(child.pid)


async def test_a_group_ends_with_its_leader_also_when_it_holds_no_pipe(processes: Processes) -> None:
    """What a command leaves in the background does not outlive it."""
    child = await shell(processes, "sleep 1000 >/dev/null 2>&1 & echo $!")
    grandchild = psutil.Process(int(await read_line(child)))
    await until(lambda: not leftovers.is_alive(grandchild))
    await until(lambda: processes.living == ())


async def test_a_process_that_left_the_group_does_not_hold_the_caller(processes: Processes) -> None:
    """Somebody outside of the group who keeps the pipe open holds up neither output nor end."""
    child = await shell(processes, f"{SETSID} sleep 1000 & echo $!")
    straggler = psutil.Process(int((await read_all(child)).decode()))
    await until(lambda: processes.living == ())
    assert leftovers.is_alive(straggler)
    with trio.fail_after(WAIT_S):
        found = await processes.end_leftovers(grace_s=1.0)
    assert [(one.pid, one.mark, one.ended) for one in found] == [(straggler.pid, "task-1/1", True)]


async def test_end_ends_also_those_of_the_attempt_that_left_the_group(processes: Processes) -> None:
    """A canceled attempt leaves nothing that could get in the way of the next one."""
    child = await shell(processes, f"{SETSID} sleep 1000 & echo $!; wait")
    straggler = psutil.Process(int(await read_line(child)))
    with trio.fail_after(WAIT_S):
        await child.end(1.0)
    assert not leftovers.is_alive(straggler)


async def test_closing_ends_also_those_that_left_their_groups(tmp_path: Path) -> None:
    """A process that outlived its command in a session of its own does not outlive the system."""
    processes = Processes(tmp_path, trio.lowlevel.current_trio_token().run_sync_soon)
    child = await shell(processes, f"{SETSID} sleep 1000 >/dev/null & echo $!")
    straggler = psutil.Process(int(await read_line(child)))
    await until(lambda: processes.living == ())
    assert leftovers.is_alive(straggler)
    with trio.fail_after(WAIT_S):
        await processes.close()
    assert not leftovers.is_alive(straggler)


async def test_a_gigabyte_of_output_needs_no_memory(processes: Processes) -> None:
    """The reader decides what is kept: a gigabyte passes through less than 32 MiB."""
    process = psutil.Process()
    before = process.memory_info().rss
    most = total = 0
    child = await shell(processes, zeros(1_000_000_000))
    with trio.fail_after(60.0):
        while chunk := await child.receive_output():
            total += len(chunk)
            most = max(most, process.memory_info().rss - before)
    assert total == 1_000_000_000
    assert most < 32 * 2**20
    assert child.dropped_bytes == 0


async def test_a_full_buffer_makes_the_child_wait_for_the_reader() -> None:
    """A reader that takes its time gets every byte; what waits for it stays within the bound."""
    with run_shell(zeros(1_000_000)) as head:
        assert head.stdout is not None
        output = ChildOutput(os.dup(head.stdout.fileno()), bound_bytes=1000)
        total = 0
        with trio.fail_after(WAIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(output.pump)
                while chunk := await output.take():
                    assert len(chunk) <= 1000 + 65536
                    total += len(chunk)
                    await trio.testing.wait_all_tasks_blocked()
        assert (total, output.dropped_bytes) == (1_000_000, 0)
        output.close()


async def test_a_child_that_nobody_reads_is_not_blocked_for_good() -> None:
    """Without a reader the oldest output is dropped and counted, the newest is kept."""
    script = f"{zeros(1_000_000)}; echo last"
    with run_shell(script) as child:
        assert child.stdout is not None
        output = ChildOutput(os.dup(child.stdout.fileno()), bound_bytes=100_000, patience_s=0.01)
        with trio.fail_after(WAIT_S):
            await output.pump()
            kept = await output.take()
        assert kept.endswith(b"last\n")
        assert len(kept) + output.dropped_bytes == 1_000_005
        assert len(kept) <= 100_000 + 65536
        output.close()


async def test_no_zombie_is_left(processes: Processes) -> None:
    """An exit is noticed and reaped although nobody waits for the child."""
    child = await shell(processes, "exit 0")
    await until(lambda: child.returncode == 0)
    assert not psutil.pid_exists(child.pid)
    await until(lambda: processes.living == ())


@linux_only
async def test_exits_are_noticed_by_a_thread_where_there_is_no_pidfd(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old kernel, or macOS: a thread waits instead, with the same result."""

    def no_pidfd(pid: int) -> int:
        raise OSError(38, "Function not implemented", str(pid))

    monkeypatch.setattr(os, "pidfd_open", no_pidfd)
    child = await shell(processes, "exit 5")
    with trio.fail_after(WAIT_S):
        assert await child.wait() == 5
    assert not psutil.pid_exists(child.pid)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("no-such-command", "'no-such-command', which is not on PATH: install it, or write where it is"),
        ("./no/such/file", "'./no/such/file', which is not in /"),
        ("/no/such/file", "'/no/such/file', which does not exist"),
    ],
)
async def test_a_command_that_does_not_exist_is_named(processes: Processes, command: str, told: str) -> None:
    """The error says which command was not found, and carries it; PATH is long, and no help in a list."""
    with pytest.raises(CommandNotFound, match=f"^expected a command, got {re.escape(told)}") as caught:
        await start(processes, command, "argument", env={"PATH": "/long/path:/longer/path"})
    assert "/longer" not in str(caught.value)
    assert caught.value.command == (command, "argument")


async def test_a_file_that_is_no_program_is_named(processes: Processes, tmp_path: Path) -> None:
    """A file without the x bit, and a folder, are found but not executable."""
    file = tmp_path / "notes.txt"
    file.write_text("not a program")
    with pytest.raises(CommandNotExecutable, match=r"notes\.txt"):
        await start(processes, str(file))
    with pytest.raises(CommandNotExecutable):
        await start(processes, str(tmp_path))


async def test_a_bad_working_folder_is_named(processes: Processes, tmp_path: Path) -> None:
    """A missing folder and a file in its place are told apart from a missing command."""
    file = tmp_path / "file"
    file.touch()
    for folder, reason in ((tmp_path / "missing", "does not exist"), (file, "is not a folder")):
        with pytest.raises(BadWorkingFolder, match=f"{folder.name}.*{reason}"):
            await processes.spawn(["true"], cwd=folder, mark="task-1/1")


@pytest.mark.parametrize("command", [(), ("",), ("true", "nul\0byte")])
async def test_a_command_that_no_system_can_start_is_refused(
    processes: Processes, command: tuple[str, ...]
) -> None:
    """No words, an empty word, a NUL: a typed error, and nothing is left behind."""
    with pytest.raises(CommandNotStarted):
        await start(processes, *command)
    assert processes.living == ()


async def test_a_program_is_looked_for_in_the_childs_path_and_folder(
    processes: Processes, tmp_path: Path
) -> None:
    """PATH is that of the given environment; a relative path is relative to the working folder."""
    program = tmp_path / "own-program"
    program.write_text("#!/bin/sh\necho $0\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    child = await start(processes, "own-program", env={"PATH": str(tmp_path)})
    assert await read_all(child) == f"{program}\n".encode()
    child = await processes.spawn(["./own-program"], cwd=tmp_path, mark="task-1/1")
    assert await read_all(child) == b"./own-program\n"


@linux_only
@pytest.mark.parametrize("mechanism", ["setpriv", "preexec_fn"])
async def test_children_die_when_the_thread_that_started_them_ends(
    monkeypatch: pytest.MonkeyPatch, mechanism: str
) -> None:
    """Rule H1: both ways to ask for the parent-death signal work, and it follows the spawning thread."""

    def nowhere(name: str) -> None:
        """There is no such program."""

    if mechanism == "preexec_fn":
        monkeypatch.setattr(shutil, "which", nowhere)
    elif shutil.which("setpriv") is None:
        pytest.skip("no setpriv here")
    thread = SpawnThread(trio.lowlevel.current_trio_token().run_sync_soon)
    script = "echo runs; exec sleep 1000"
    start = partial(Launcher().start, ["sh", "-c", script], cwd=Path.cwd(), env=os.environ)
    with trio.fail_after(WAIT_S):
        process, pipe = await thread.run(start)
        await trio.lowlevel.wait_readable(pipe)  # it runs, so it has asked for the signal
        assert process.poll() is None
        await thread.close()
    os.close(pipe)
    assert process.wait(WAIT_S) == -9


async def test_closing_ends_all_children_and_the_spawning_thread(tmp_path: Path) -> None:
    """After `close` no child and no thread is left, and a start is refused."""
    processes = Processes(tmp_path, trio.lowlevel.current_trio_token().run_sync_soon)
    children = [await shell(processes, "sleep 1000 & wait") for _ in range(3)]
    with trio.fail_after(WAIT_S):
        await processes.close(1.0)
        assert [await child.wait() for child in children] == [-15] * 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("understudy-")]
    with pytest.raises(Stopping):
        await start(processes, "true")


def test_a_loop_that_ends_without_a_shutdown_leaves_no_child(tmp_path: Path) -> None:
    """An error that tears down trio itself ends the children too, and reaps them."""

    async def main() -> int:
        processes = Processes(tmp_path, trio.lowlevel.current_trio_token().run_sync_soon)
        return (await shell(processes, "sleep 1000 & wait")).pid

    pid = trio.run(main)
    assert not psutil.pid_exists(pid)
    assert leftovers.find(tmp_path) == []


async def test_a_cancelled_start_leaves_no_unknown_child(processes: Processes) -> None:
    """A caller that is cancelled while the child starts gets it nevertheless, and can end it."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await processes.spawn(["sleep", "1000"], cwd=Path.cwd(), mark="task-1/1")
    (child,) = processes.living
    with trio.CancelScope() as scope:
        scope.cancel()
        await child.end(WAIT_S)
    with trio.fail_after(WAIT_S):
        assert await child.wait() in (-15, -9)


async def test_leaving_the_context_ends_the_group(processes: Processes) -> None:
    """A child used as a context manager does not outlive it."""
    child = await shell(processes, "sleep 1000 & wait")
    with trio.fail_after(WAIT_S):
        async with child:
            pass
    assert not leftovers.group_lives(child.pid)


StartBeside = Callable[[dict[str, str]], Awaitable[psutil.Process]]


@pytest.fixture
def bystander() -> Iterator[StartBeside]:
    """Starts processes beside the system, in a session of their own; ends them afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    async def start_one(marks: dict[str, str]) -> psutil.Process:
        started.append(run_shell("exec sleep 1000", marks))
        process = psutil.Process(started[-1].pid)
        await until(lambda: process.name() == "sleep" and marks.items() <= process.environ().items())
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate(timeout=WAIT_S)


async def test_leftovers_spare_everybody_else(
    processes: Processes, tmp_path: Path, bystander: StartBeside
) -> None:
    """Another home's process, a person's exported variable and a living child are not leftovers."""
    home = tmp_path / "home"
    another = await bystander(leftovers.marks(tmp_path / "another", "task-1/1"))
    exported = await bystander({leftovers.HOME_MARK: str(home)})
    unmarked = await bystander({})
    living = await start(processes, "sleep", "1000")
    left = await bystander(leftovers.marks(home, "task-9/2"))
    with trio.fail_after(WAIT_S):
        found = await processes.end_leftovers(grace_s=1.0)
    assert [(one.pid, one.mark, one.command, one.ended) for one in found] == [
        (left.pid, "task-9/2", "sleep 1000", True)
    ]
    assert all(leftovers.is_alive(one) for one in (another, exported, unmarked, psutil.Process(living.pid)))


async def test_a_home_within_a_home_is_spared(
    processes: Processes, tmp_path: Path, bystander: StartBeside
) -> None:
    """A session that a process of another home belongs to is not ended whole."""
    home, inner = tmp_path / "home", tmp_path / "inner"
    inner_marks = " ".join(f"{name}={value}" for name, value in leftovers.marks(inner, "task-2/1").items())
    script = f"env {inner_marks} sleep 1000 & echo $!; wait"
    with run_shell(script, leftovers.marks(home, "task-1/1")) as outer:
        inner_process = psutil.Process(int(printed_line(outer)))
        try:
            await until(lambda: inner_process.environ().get(leftovers.HOME_MARK) == str(inner))
            with trio.fail_after(WAIT_S):
                found = await processes.end_leftovers(grace_s=1.0)
            assert [one.pid for one in found] == [outer.pid]
            assert leftovers.is_alive(inner_process)
        finally:
            with suppress(psutil.NoSuchProcess):
                inner_process.kill()


async def test_processes_that_vanish_or_can_not_be_read_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at all processes copes with those that go meanwhile and those of which it may not know."""

    def vanished(process: psutil.Process) -> dict[str, str]:
        raise psutil.NoSuchProcess(process.pid)

    def forbidden(process: psutil.Process) -> dict[str, str]:
        raise psutil.AccessDenied(process.pid)

    for environ in (vanished, forbidden):
        monkeypatch.setattr(psutil.Process, "environ", environ)
        assert leftovers.find(tmp_path) == []


async def test_a_zombie_is_no_leftover(tmp_path: Path, bystander: StartBeside) -> None:
    """A process that is dead and not reaped by its parent can't be ended, and is not reported."""
    dead = await bystander(leftovers.marks(tmp_path, "task-1/1"))
    assert [one.process.pid for one in leftovers.find(tmp_path)] == [dead.pid]
    dead.kill()
    await until(lambda: dead.status() == psutil.STATUS_ZOMBIE)
    assert leftovers.find(tmp_path) == []
