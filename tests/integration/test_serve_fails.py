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

from tests.integration.serving import serving

MIB = 1024 * 1024


@pytest.mark.parametrize("backtrace", ["0", "1"])
def test_a_server_without_memory_ends_with_a_code(tmp_path: Path, backtrace: str) -> None:
    """By itself when a part of it is lost, else by one signal: the limit is set while it serves.

    Nobody reads what it prints, as under a supervisor that hangs.
    """
    with serving(tmp_path / "home", environment={"RUST_BACKTRACE": backtrace}) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (MIB, MIB))
        end = time.monotonic() + 3
        while server.process.poll() is None and time.monotonic() < end:
            with suppress(httpx.HTTPError):
                httpx.post(
                    f"{server.address}/api/input", json={"text": "x" * 60_000}, trust_env=False, timeout=1
                )
        if server.process.poll() is None:
            server.signal(signal.SIGTERM)
        assert server.wait(40) != 0


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
