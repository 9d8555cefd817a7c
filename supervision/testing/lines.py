"""What the journals of a home say, read without any of the code that writes or recovers them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from understudy.supervision.testing.files import MemoryFiles


@dataclass
class Lines:
    """The turns of one journal that count, by number: as bytes, and as JSON."""

    raw: dict[int, bytes] = field(default_factory=dict[int, bytes])
    parsed: dict[int, Any] = field(default_factory=dict[int, Any])

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Type and data of all events, in order."""
        for line in self.parsed.values():
            for event in line["events"]:
                yield event["type"], event["data"]

    def add(self, seq: int, line: bytes) -> None:
        """Have `line` be the turn `seq`."""
        if self.raw.get(seq) != line:
            self.raw[seq], self.parsed[seq] = line, json.loads(line)


class History:
    """All turns that count of all journals: those that retention has removed, too.

    Retention removes the oldest lines of a journal; what has to be true of all of them together (a key
    was decided once, a task has ended once) can't be told from what is left.

    Attributes:
        journals: the turns, by journal; a turn that was lost before it was durable is not among them.
    """

    def __init__(self) -> None:
        self.journals: dict[str, Lines] = {}

    def durable(self, journal: str, seq: int, line: bytes) -> None:
        """This line is."""
        self.journals.setdefault(journal, Lines()).add(seq, line)

    def found(self, files: MemoryFiles, home: Path) -> dict[str, Lines]:
        """Take in what is in the home, and return just that.

        What is not there now, from a journal's first turn on, was lost before it was durable.
        """
        there = read_lines(files, home, self.journals)
        for name, now in there.items():
            before = self.journals.get(name, Lines())
            gone = [seq for seq in before.raw if seq < min(now.raw, default=0)]
            self.journals[name] = Lines(
                {seq: before.raw[seq] for seq in sorted(gone)} | now.raw,
                {seq: before.parsed[seq] for seq in sorted(gone)} | now.parsed,
            )
        return there


def read_lines(files: MemoryFiles, home: Path, known: Mapping[str, Lines] | None = None) -> dict[str, Lines]:
    """The journals of a home, by name; lines that are `known` are not parsed again.

    A segment makes the lines of those before it (in order of epoch and first number) void from its own
    first number on. What has no newline is torn, and does not count.
    """
    folder = home / "state" / "journals"
    segments: dict[str, list[tuple[int, int, bytes]]] = {}
    for path, data in files.everything().items():
        if path.parent.parent == folder and path.suffix == ".jsonl":
            first, _, epoch = path.stem.partition("-")
            segments.setdefault(path.parent.name, []).append((int(epoch), int(first), data))
    known = known or {}
    return {name: _join(parts, known.get(name, Lines())) for name, parts in sorted(segments.items())}


def _join(segments: list[tuple[int, int, bytes]], known: Lines) -> Lines:
    raw: dict[int, bytes] = {}
    for _, first, data in sorted(segments):
        raw = {seq: line for seq, line in raw.items() if seq < first}
        for seq, line in enumerate(data.splitlines(keepends=True), first):
            if line.endswith(b"\n"):
                raw[seq] = line
    return Lines(
        raw,
        {
            seq: known.parsed[seq] if known.raw.get(seq) == line else json.loads(line)
            for seq, line in raw.items()
        },
    )
