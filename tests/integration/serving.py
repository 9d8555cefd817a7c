"""A real `understudy serve` in a process of its own, and the commands beside it. All waits are bounded."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S = 20.0
WAIT_S = 20.0
UNDERSTUDY = (sys.executable, "-m", "understudy")


def clean_environment(**more: str) -> dict[str, str]:
    """Ours, without what would change how the commands behave."""
    left_out = ("UNDERSTUDY_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return kept | more


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, object]:
        """The JSON document that it printed."""
        return json.loads(self.out)

    @property
    def problem(self) -> dict[str, object]:
        """The problem object on its standard error."""
        return json.loads(self.err)


def understudy(*arguments: str, home: Path | None = None, **environment: str) -> Done:
    """Run a command to its end."""
    chosen = () if home is None else ("--home", str(home))
    done = subprocess.run(
        [*UNDERSTUDY, *arguments, *chosen],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean_environment(**environment),
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Served:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[str], line: str) -> None:
        self.process = process
        self.line = line
        self.address = json.loads(line)["listening"] if line.startswith("{") else line.split()[2]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server, and to nobody else."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """Its exit code."""
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """End it in order."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)
        self.wait()


@contextmanager
def serving(home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Generator[Served]:
    """A server of `home` on a free port; ended, by force where needed, at the end of the block."""
    process = subprocess.Popen(
        [*UNDERSTUDY, "serve", "--home", str(home), "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(**(environment or {})),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield Served(process, _first_line(process))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_S)
    line = process.stdout.readline() if ready else ""
    if not line.startswith(("listening on ", "{")):
        process.kill()
        _, errors = process.communicate()
        raise AssertionError(f"expected the server to listen within {START_S} s, got {line!r}: {errors}")
    return line


def wait_for(path: Path, timeout_s: float = WAIT_S) -> None:
    """Wait until a task has made `path`."""
    end = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come within {timeout_s} s"
        time.sleep(0.01)
