"""Wants: what the machine lacks halts or delays, and fails nothing."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
import trio

from tests.unit.actors.stage import Stage
from tests.unit.supervision.bank import Account, Deposit
from understudy import ActorSystem, Settings
from understudy.protocols.errors import OutOfResources
from understudy.supervision.blocking import in_thread
from understudy.supervision.journal.pool import Pool
from understudy.supervision.journal.writer import Writer
from understudy.supervision.spawning import Launcher, SpawnThread
from understudy.supervision.wants import want_of


def no_threads(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    """Let no thread start whose name begins so."""
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name.startswith(wanted):
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (OSError(errno.EMFILE, "too many"), "file descriptors"),
        (OSError(errno.ENFILE, "too many"), "file descriptors"),
        (OSError(errno.ENOMEM, "none"), "memory"),
        (BlockingIOError(errno.EAGAIN, "fork"), "processes"),
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "threads"),
        (ExceptionGroup("both", [ValueError(), MemoryError()]), "memory"),
        (OSError(errno.ENOSPC, "full"), None),
        (RuntimeError("other"), None),
        (ValueError("EMFILE"), None),
    ],
)
def test_a_want_is_known_by_the_error_or_its_cause(error: Exception, want: str | None) -> None:
    """Directly, and below the error that somebody has made of it."""
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = error
    assert (want_of(error), want_of(wrapped)) == (want, want)


def test_lists_of_calls_run_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller does it all; threads that can be started later help then."""
    pool, done = Pool(4), list[int]()
    with monkeypatch.context() as patch:
        no_threads(patch, "journal-sync")
        pool.run([lambda number=number: done.append(number) for number in range(5)])
    assert sorted(done) == [0, 1, 2, 3, 4]
    pool.run([lambda: done.append(9) for _ in range(5)])
    assert done.count(9) == 5
    pool.close()


async def test_an_actor_whose_lines_found_no_memory_halts_and_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's thread survives whatever is raised in it; the sender hears that the outcome is unknown."""
    commit, failing = Writer._commit, [True]  # pyright: ignore[reportPrivateUsage]

    def fail(self: Writer, batch: object) -> None:
        if failing:
            raise MemoryError
        commit(self, batch)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Writer, "_commit", fail)
    monkeypatch.setattr("understudy.supervision.journaled.RESUME_EVERY_S", 0.01)
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="alice")
        with pytest.raises(Exception, match="MemoryError"):
            await account.ask_async(Deposit(cents=1), timeout_s=5)
        (halt,) = system.status().halted
        assert "MemoryError" in halt.error
        failing.clear()
        with trio.fail_after(5):
            while system.status().halted:
                await trio.sleep(0.01)
        await account.ask_async(Deposit(cents=2), timeout_s=5)


async def test_other_errors_of_the_disk_still_wait_for_a_person() -> None:
    """Only wants end by themselves."""
    assert Settings().resume_every_s is None
    assert want_of(OSError(errno.EIO, "bad")) is None


async def test_a_blocking_call_without_a_thread_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function was not called; its own errors of that name are not taken for it."""

    async def refuse(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        msg = "can't start new thread"
        raise RuntimeError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", refuse)
        with pytest.raises(OutOfResources, match="threads") as caught:
            await in_thread(lambda: 1)
    assert caught.value.want == "threads"

    def own() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        await in_thread(own)


async def test_the_thread_that_starts_commands_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first try without a thread leaves nothing behind that keeps the second from working."""
    thread = SpawnThread(trio.lowlevel.current_trio_token().run_sync_soon)
    with monkeypatch.context() as patch:
        no_threads(patch, "understudy-spawn")
        with pytest.raises(OutOfResources, match="threads"):
            await thread.run(lambda: 1)
    assert await thread.run(lambda: 2) == 2
    await thread.close()


@pytest.mark.parametrize(("code", "want"), [(errno.EMFILE, "file descriptors"), (errno.EAGAIN, "processes")])
def test_a_command_that_can_not_start_now_is_no_bad_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, want: str
) -> None:
    """`OutOfResources`, not `CommandNotStarted`; nothing is left open."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, "none left")

    launcher = Launcher()
    process, pipe = launcher.start(["/bin/true"], cwd=tmp_path, env={})
    process.wait()
    with open(pipe, "rb"):  # noqa: PTH123 - a descriptor
        pass
    monkeypatch.setattr("subprocess.Popen", refuse)
    with pytest.raises(OutOfResources) as caught:
        launcher.start(["/bin/true"], cwd=tmp_path, env={})
    assert caught.value.want == want


async def test_an_attempt_that_could_not_begin_waits_and_uses_up_no_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often; the task says what it waits for, and a real failure still counts."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        await stage.create()
        for number in (1, 2, 3):
            await stage.script.wait_started(f"task-1/{number}")
            stage.script.end(f"task-1/{number}", OutOfResources("none left", want="file descriptors"))
        await stage.wait_status("task-1", "pending")
        assert "waits for file descriptors" in (await stage.view("task-1")).reason
        await stage.script.wait_started("task-1/4")
        stage.script.end("task-1/4", 1)
        (result,) = await stage.wait_told(1)
    assert (result.status, result.attempt) == ("failed", 4)


@pytest.mark.parametrize("raised", [MemoryError(), RuntimeError("can't start new thread")])
async def test_what_a_command_raises_after_it_began_is_a_failure(tmp_path: Path, raised: Exception) -> None:
    """Only what says that nothing began is waited for."""
    async with ActorSystem(tmp_path) as system:
        stage = await Stage.set(system)
        await stage.create()
        await stage.script.wait_started("task-1/1")
        stage.script.end("task-1/1", raised)
        (result,) = await stage.wait_told(1)
    assert result.status == "failed"
