"""A worker process: takes one call after the other. Run as a script; imports the standard library only.

It reads lines of JSON from the socket whose descriptor it is given, and writes lines of JSON:
`{"out": text}`, `{"progress": 0.5, "note": text}`, and at the end of a call `{"value": JSON or null}`,
`{"too_long": bytes}` or `{"error": text}`. It ends when the socket is closed.
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
import threading
import traceback
import types
from typing import Any, NoReturn

MAIN = "__understudy_main__"
PIECE_CHARACTERS = 64 * 1024
"""More text than that goes over the line in several pieces."""
ERROR_CHARACTERS = 8 * 1024
NOTE_CHARACTERS = 200


class Line:
    """The line to the pool."""

    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=number)
        self._socket.settimeout(None)  # the pool's end is not, and made both
        self._reading = self._socket.makefile("rb")
        self._turn = threading.Lock()

    def read(self) -> dict[str, Any] | None:
        """The next call; None when there will be none."""
        line = self._reading.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def say(self, **what: object) -> None:
        """Tell the pool something."""
        data = json.dumps(what).encode() + b"\n"
        with self._turn:
            self._socket.sendall(data)

    def text(self, text: str) -> None:
        """Tell the pool output, in pieces that the line can hold."""
        for start in range(0, len(text), PIECE_CHARACTERS):
            self.say(out=text[start : start + PIECE_CHARACTERS])


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
        self._line.text(text)
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
        self._line.say(progress=done, note=str(note)[:NOTE_CHARACTERS])

    def write(self, text: str) -> None:
        """See `TaskContext`."""
        self._line.text(text)


class Ended(SystemExit):
    """SIGTERM ends this process; a `SystemExit` of the called function ends its call alone."""


def serve(line: Line) -> None:
    """Take calls until there are no more."""
    sys.stdout = sys.stderr = Printed(line)
    home, environment = os.getcwd(), dict(os.environ)  # noqa: PTH109 - as the calls set it
    while (call := line.read()) is not None:
        try:
            os.chdir(call["folder"])
            os.environ.update(call["env"])
            answer = carry_out(line, call)
        except Ended:
            raise
        except BaseException as error:  # noqa: BLE001 - it is the attempt's
            line.text(traceback.format_exc())
            answer = {"error": described(error)}
        os.chdir(home)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        line.say(**answer)


def described(error: BaseException) -> str:
    """The type and the text of an error, cut to a length that the line can hold."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - the caller's own `__str__`
        text = "its text can't be had: __str__ raised"
    if (left_out := len(text) - ERROR_CHARACTERS) > 0:
        text = f"{text[:ERROR_CHARACTERS]} [… {left_out} characters left out …]"
    return f"{type(error).__name__}: {text}"


def carry_out(line: Line, call: dict[str, Any]) -> dict[str, Any]:
    """The answer to a call: its value as JSON, or the length of one that is too long."""
    sys.path[:] = call["path"]
    if call["main"] is not None:
        import_main(call["main"])
    function = find(call["module"], call["function"])
    arguments = pickle.loads(base64.b64decode(call["arguments"]))  # noqa: S301 - written by the pool
    if call["context"]:
        arguments["context"] = ProcessContext(line, call["task"], call["attempt"])
    result = function(**arguments)
    if result is None:
        return {"value": None}
    to_json = importlib.import_module("pydantic_core").to_json
    value = to_json(result, inf_nan_mode="strings")
    if len(value) > call["result_bytes"]:
        return {"too_long": len(value)}
    return {"value": value.decode()}


_mains: dict[str, types.ModuleType] = {}


def import_main(path: str) -> None:
    """Run the program's main file under another name, and let pickled classes of it be found there."""
    if path not in _mains:
        module = types.ModuleType(MAIN)
        module.__dict__.update(runpy.run_path(path, run_name=MAIN))
        _mains[path] = module
    sys.modules["__main__"] = sys.modules[MAIN] = _mains[path]


def find(module: str, qualname: str) -> Any:
    """The function of that name."""
    found: Any = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    return found


def _end(_number: int, _frame: object) -> NoReturn:
    """SIGTERM: let `finally` blocks run, then go. SIGKILL follows after the grace period."""
    raise Ended(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    serve(Line(int(sys.argv[1])))
