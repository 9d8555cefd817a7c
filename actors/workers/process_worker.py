"""A worker process: takes one call after the other. Run as a script; imports the standard library only.

It reads lines of JSON from the socket whose descriptor it is given, and writes lines of JSON:
`{"out": text}`, `{"progress": 0.5, "note": text}`, and at the end of a call `{"value": JSON or null}` or
`{"error": text}`. It ends when the socket is closed.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import pickle
import runpy
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

MAIN = "__understudy_main__"


class Line:
    """The line to the pool."""

    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=number)
        self._socket.settimeout(None)  # the pool's end is not, and made both
        self._reading = self._socket.makefile("rb")

    def read(self) -> dict[str, Any] | None:
        """The next call; None when there will be none."""
        line = self._reading.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def say(self, **what: object) -> None:
        """Tell the pool something."""
        self._socket.sendall(json.dumps(what).encode() + b"\n")


class Printed(io.TextIOBase):
    """What is printed goes over the line, so that it is told apart by calls."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str, /) -> int:
        """Send it."""
        if text:
            self._line.say(out=text)
        return len(text)


class ProcessContext:
    """The `TaskContext` of a callable in a process."""

    def __init__(self, line: Line, task: str, attempt: int) -> None:
        self._line = line
        self.task = task
        self.attempt = attempt

    @property
    def canceled(self) -> bool:
        """Never seen: a process that is to end gets SIGTERM."""
        return False

    def progress(self, done: float, note: str = "") -> None:
        """See `TaskContext`."""
        self._line.say(progress=done, note=note)

    def write(self, text: str) -> None:
        """See `TaskContext`."""
        self._line.say(out=text)


def serve(line: Line) -> None:
    """Take calls until there are no more."""
    sys.stdout = sys.stderr = Printed(line)
    home, environment = os.getcwd(), dict(os.environ)  # noqa: PTH109 - as the calls set it
    while (call := line.read()) is not None:
        try:
            os.chdir(call["folder"])
            os.environ.update(call["env"])
            answer = {"value": carry_out(line, call)}
        except Exception as error:  # noqa: BLE001 - it is the attempt's
            line.say(out=traceback.format_exc())
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.chdir(home)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        line.say(**answer)


def carry_out(line: Line, call: dict[str, Any]) -> str | None:
    """The value of a call, as JSON."""
    sys.path[:] = call["path"]
    function = find(call["module"], call["main"], call["function"])
    arguments = pickle.loads(base64.b64decode(call["arguments"]))  # noqa: S301 - written by the pool
    if call["context"]:
        arguments["context"] = ProcessContext(line, call["task"], call["attempt"])
    result = function(**arguments)
    if result is None:
        return None
    to_json = importlib.import_module("pydantic_core").to_json
    return to_json(result, inf_nan_mode="strings").decode()


_mains: dict[str, dict[str, Any]] = {}


def find(module: str, main: str | None, qualname: str) -> Any:
    """The function of that name; of the program's main module by running it under another name."""
    if main is not None:
        if main not in _mains:
            _mains[main] = runpy.run_path(main, run_name=MAIN)
        first, _, rest = qualname.partition(".")
        found = _mains[main][first]
    else:
        found, rest = importlib.import_module(module), qualname
    for name in rest.split(".") if rest else ():
        found = getattr(found, name)
    return found


def _end(_number: int, _frame: object) -> NoReturn:
    """SIGTERM: let `finally` blocks run, then go. SIGKILL follows after the grace period."""
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    serve(Line(int(sys.argv[1])))
