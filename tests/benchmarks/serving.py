"""`understudy serve` as a child process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

WAIT_S = 60.0
LISTENING = "listening on "


@dataclass(frozen=True)
class Served:
    """A server that takes requests.

    Attributes:
        address: its URL.
        pid: its process.
    """

    address: str
    pid: int


@contextlib.contextmanager
def server(home: Path) -> Generator[Served]:
    """`understudy serve` on `home`, on a free port; ended by its pid."""
    command = [
        str(Path(sys.executable).with_name("understudy")),
        "serve",
        "--home",
        str(home),
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield Served(_address(process), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)


def _address(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if LISTENING in line:
            return line.partition(LISTENING)[2].strip()
    msg = f"expected the server to say {LISTENING!r}, it ended with {process.wait()}"
    raise RuntimeError(msg)
