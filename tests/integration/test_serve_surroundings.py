"""`understudy serve` as daemons, terminals and careless folders have it; on real processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.serving import (
    START_S,
    UNDERSTUDY,
    WAIT_S,
    clean_environment,
    serving,
    understudy,
    wait_for,
)
from understudy.cli.server import owner_of


def _shell(script: str, home: Path) -> subprocess.Popen[bytes]:
    """A shell that becomes what `script` starts with "$@"."""
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *UNDERSTUDY, "serve", "--home", str(home), "--port", "0"],
        stdout=subprocess.PIPE,
        env=clean_environment(),
    )


def _wait_until_it_listens(home: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while (owner := owner_of(home)) is None or owner.address is None:
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < end, f"the server did not listen within {START_S} s"
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
    try:
        process.send_signal(number)
        return process.wait(WAIT_S)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_serve_runs_with_closed_standard_streams(closed: str, tmp_path: Path) -> None:
    """Daemons start it so; no file of the home gets the number of a standard stream."""
    process = _shell(f'exec "$@" {closed}', tmp_path / "home")
    try:
        _wait_until_it_listens(tmp_path / "home", process)
        opened = [Path(f"/proc/{process.pid}/fd/{number}").resolve() for number in range(3)]
        assert not any(path.is_relative_to(tmp_path) for path in opened)
    finally:
        code = _stop(process)
    assert code == 0


@pytest.mark.parametrize("command", ["status", "tasks list"])
def test_a_command_runs_without_standard_output(command: str, tmp_path: Path) -> None:
    """What it prints goes nowhere, and its exit code is the same as otherwise."""
    with serving(tmp_path / "home"):
        script = f'"$@" {command} --home {tmp_path / "home"} >&-'
        done = subprocess.run(
            ["/bin/sh", "-c", script, "sh", *UNDERSTUDY],
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env=clean_environment(),
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_serve_goes_on_when_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    """The line that says where it listens is not worth a server."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        [*UNDERSTUDY, "serve", "--home", str(tmp_path / "home"), "--port", "0"],
        stdout=writer,
        env=clean_environment(),
    )
    os.close(writer)
    try:
        _wait_until_it_listens(tmp_path / "home", process)
        assert understudy("status", home=tmp_path / "home").code == 0
    finally:
        code = _stop(process)
    assert code == 0


def test_a_closed_terminal_ends_serve_in_order(tmp_path: Path) -> None:
    """SIGHUP comes twice then, from the shell and from the kernel; neither is a crash."""
    with serving(tmp_path / "home") as server:
        server.signal(signal.SIGHUP)
        server.signal(signal.SIGHUP)
        assert server.wait() == 0


def test_serve_goes_on_under_nohup(tmp_path: Path) -> None:
    """A SIGHUP that is ignored at the start stays ignored."""
    process = _shell("trap '' HUP; exec \"$@\"", tmp_path / "home")
    try:
        _wait_until_it_listens(tmp_path / "home", process)
        process.send_signal(signal.SIGHUP)
        assert understudy("status", home=tmp_path / "home").code == 0
    finally:
        code = _stop(process)
    assert code == 0


def _open_to_all(home: Path) -> None:
    for name in ("logs", "work", "state"):
        (home / name).mkdir(parents=True)
        (home / name).chmod(0o777)
    (home / "logs" / "app.jsonl").touch()
    (home / "logs" / "app.jsonl").chmod(0o666)


@pytest.mark.parametrize("prepare", [Path.mkdir, _open_to_all], ids=["new", "open to all"])
def test_what_serve_makes_is_the_owners_alone(prepare: Callable[[Path], None], tmp_path: Path) -> None:
    """With umask 0, in a new home and in one whose folders and log are open to all."""
    home = tmp_path / "home"
    prepare(home)
    process = _shell('umask 0; exec "$@"', home)
    try:
        _wait_until_it_listens(home, process)
        made = home / "work" / "deep" / "down" / "made"
        command = ("sh", "-c", "umask 77; echo out; : > made")
        added = understudy("tasks", "add", "--home", str(home), "--workspace", "deep/down", "--", *command)
        assert added.code == 0, added.err
        wait_for(made)
    finally:
        _stop(process)
    found = {path.relative_to(home): stat.S_IMODE(path.lstat().st_mode) for path in home.rglob("*")}
    assert Path("work/deep/down/made") in found
    assert {str(path): oct(mode) for path, mode in found.items() if mode & 0o077} == {}


def _fifo(home: Path) -> None:
    (home / "logs").mkdir()
    os.mkfifo(home / "logs" / "app.jsonl")


def _folder(home: Path) -> None:
    (home / "logs" / "app.jsonl").mkdir(parents=True)


def _file(home: Path) -> None:
    (home / "logs").touch()


def _dangling(home: Path) -> None:
    (home / "logs").symlink_to(home / "nowhere")


@pytest.mark.parametrize("prepare", [_fifo, _folder, _file, _dangling])
def test_what_is_no_log_in_its_place_is_refused_in_words(
    prepare: Callable[[Path], None], tmp_path: Path
) -> None:
    """The start names the log's path and ends; a FIFO let it wait for ever for a reader."""
    prepare(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "understudy", "serve", "--home", str(tmp_path), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=clean_environment(),
    )
    assert done.returncode == 8
    assert "expected a file for the log" in done.stderr
    assert "Traceback" not in done.stderr
