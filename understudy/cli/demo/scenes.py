"""The scenes: small programs with a side effect of their own, recorded outside of the journals."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "scene"
BOOK = "prompt-book.txt"
_SCRIPT = """\
#!/bin/sh
# scene LINE SECONDS [EXIT CODE]: play, and tell the prompt book when it began and when it ended.
note() { printf '%s %s %s\\n' "$1" "$UNDERSTUDY_ATTEMPT" "$$" >> "$UNDERSTUDY_HOME/prompt-book.txt"; }
note began
sleep "$2"
note ended
printf '%s\\n' "$1"
exit "${3:-0}"
"""


@dataclass(frozen=True, slots=True)
class Note:
    """A line of the prompt book: what `began` or `ended`, in which attempt, by which process."""

    what: str
    task: str
    attempt: int
    pid: int


def lay_out(home: Path) -> None:
    """Write the program where the tasks run, before the server makes the rest of the home."""
    work = home / "work"
    work.mkdir(parents=True)
    path = work / PROGRAM
    path.write_text(_SCRIPT, encoding="utf-8")
    path.chmod(0o755)


def command(line: str, seconds: float, exit_code: int = 0) -> str:
    """The shell command that plays a scene."""
    return f"./{PROGRAM} {shlex.quote(line)} {seconds:g}" + (f" {exit_code}" if exit_code else "")


def read_book(home: Path) -> list[Note]:
    """All that the scenes wrote down; a line that a kill cut off is left out."""
    path = home / BOOK
    if not path.exists():
        return []
    notes: list[Note] = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        what, _, rest = line.rstrip("\n").partition(" ")
        mark, _, pid = rest.rpartition(" ")
        task, _, attempt = mark.rpartition("/")
        if line.endswith("\n") and attempt.isdigit() and pid.isdigit():
            notes.append(Note(what, task, int(attempt), int(pid)))
    return notes


def on_stage(notes: list[Note]) -> list[Note]:
    """The scenes that began and did not end."""
    ended = {(note.task, note.attempt) for note in notes if note.what == "ended"}
    return [note for note in notes if note.what == "began" and (note.task, note.attempt) not in ended]
