"""A server that a part of is gone ends, with a code that is not 0, whatever is left of it."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.integration.serving import Served, serving

MIB = 1024 * 1024


@pytest.mark.parametrize("backtrace", ["0", "1"])
def test_a_server_without_memory_ends_with_a_code_or_goes_on_when_there_is_some(
    tmp_path: Path, backtrace: str
) -> None:
    """By itself when a part of it is lost; else it takes an input again, and a signal ends it in order.

    Nobody reads what it prints, as under a supervisor that hangs.
    """
    with serving(tmp_path / "home", environment={"RUST_BACKTRACE": backtrace}) as server:
        _starve(server)
        if server.process.poll() is not None:
            assert server.process.returncode != 0
            return
        resource.prlimit(
            server.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        end = time.monotonic() + 20
        while server.process.poll() is None and not _takes_input(server) and time.monotonic() < end:
            time.sleep(0.1)
        if server.process.poll() is None:
            assert _takes_input(server)
            assert server.stop() == 0
        else:
            assert server.process.returncode != 0


def test_a_signal_ends_a_server_that_has_no_memory(tmp_path: Path) -> None:
    """In order where that goes, else after its time."""
    with serving(tmp_path / "home") as server:
        _starve(server)
        if server.process.poll() is None:
            server.signal(signal.SIGTERM)
        assert server.wait(40) is not None


def _starve(server: Served) -> None:
    """Take all its room away, and make it want more."""
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (MIB, resource.RLIM_INFINITY))
    end = time.monotonic() + 3
    while server.process.poll() is None and time.monotonic() < end:
        _takes_input(server)


def _takes_input(server: Served) -> bool:
    body = {"text": "x" * 60_000}
    with suppress(httpx.HTTPError):
        answer = httpx.post(f"{server.address}/api/input", json=body, trust_env=False, timeout=1)
        return answer.is_success
    return False


@pytest.mark.parametrize("stuck", ["PyDLL", "CDLL"])
def test_a_server_that_is_stuck_inside_a_library_ends_when_its_time_is_up(stuck: str) -> None:
    """With the interpreter's lock held, and without: no handler of Python's is called any more."""
    code = (
        "import ctypes\n"
        "from understudy.cli.signals import StopSignals\n"
        "with StopSignals() as signals:\n"
        "    signals.end_within(0.2, 7)\n"
        "    lock = ctypes.create_string_buffer(64)\n"
        f"    library = ctypes.{stuck}(None)\n"
        "    for _ in range(2): library.pthread_mutex_lock(lock)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=30, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("part", ["understudy intake", "understudy timers"])
def test_a_part_of_the_loop_that_dies_ends_the_server(part: str, tmp_path: Path) -> None:
    """Such as a MemoryError in the task that takes in what other threads post."""
    code = (
        "import sys, trio\n"
        "from understudy.cli import serve as module\n"
        "from understudy.cli import main\n"
        "start = module._Server._tell\n"
        "def tell(self, url, pid):\n"
        "    start(self, url, pid)\n"
        "    def find(task):\n"
        "        for nursery in task.child_nurseries:\n"
        "            for child in nursery.child_tasks:\n"
        f"                if child.name == {part!r}:\n"
        "                    return nursery\n"
        "                if (found := find(child)): return found\n"
        "    async def die(): raise MemoryError\n"
        "    find(trio.lowlevel.current_root_task()).start_soon(die)\n"
        "module._Server._tell = tell\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "--home", str(tmp_path / "home"), "--port", "0"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done.stderr.decode()[-2000:]
